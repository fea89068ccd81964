"""What repeats add to a law of single passes: threshold, envelope, Eqs. 4 and 5."""

from collections.abc import Sequence

import numpy as np

from jetlab.laws import forms
from jetlab.laws.amplification import Amplification, amplification
from jetlab.laws.diagnostics import backtest
from jetlab.laws.fit import fit
from jetlab.laws.overfitting import OverfittingThreshold, overfitting_threshold
from jetlab.laws.result import FitResult
from jetlab.laws.terms import Form
from jetlab.records import Record, TableLike
from jetlab.runs.study import Findings
from jetlab.runs.tables import TextTable, scientific, with_interval
from jetlab.studies.joint_law import (
    Laws,
    Published,
    budgets,
    has_optimum,
    trajectory,
)
from jetlab.studies.repetition import figures
from jetlab.studies.repetition.inputs import PAPER
from jetlab.studies.repetition.repeated import (
    Repeats,
    compute_factor,
    envelope,
    repeats,
)

LOWEST = 1e-9  # nats; a floor that the rows do not show is fixed there


def analyse_repeats(
    records: Sequence[Record], single: TableLike, laws: Laws, n_p: float
) -> Findings:
    """The findings of a study's repeated runs, beside the law of its single passes.

    `single` are the rows of the single passes, columns N, D, L.
    """
    found = repeats(records)
    best = envelope(found)
    line, words = _threshold(found)
    law = laws.best
    eq4 = _saturated(best, law)
    tables = {"Fig. 3: runs by their validation curves": _verdicts(found)}
    if eq4 is not None:
        paper = PAPER[records[0].inputs]
        tables["Table 2 and Eq. 5: repeated data"] = _amplified(law, eq4, best, paper)
    tables["Which law of repeats foretells the next data set?"] = _foretold(
        _together(found, single)
    )
    drawn = {
        "fig_2ab_loss_against_compute": figures.loss_against_compute(
            found, trajectory(law, budgets(_with_c(single, n_p), 10), n_p)
            if has_optimum(law) else None, best,
            sure=law.identified and law.converged,
        ),
        "fig_3_overfitting": figures.overfitting(found, line),
        "validation_curves": figures.curves(found),
    }  # fmt: skip
    if len(best["L"]):
        drawn["fig_2c_loss_against_data"] = figures.loss_against_data(
            best, eq4, law, laws.limit, _gain(law, eq4, best) if eq4 else None
        )
    return Findings(
        words=[
            *words,
            *_size_matters(best),
            *_factor(law, best, n_p),
            *_eq4_words(best, eq4),
        ],
        tables=tables,
        figures=drawn,
        results={"fit_repeated": eq4.to_json()} if eq4 else {},
    )


def _threshold(found: Repeats) -> tuple[OverfittingThreshold | None, list[str]]:
    try:
        line = overfitting_threshold(found.rows["N"], found.rows["U"], found.verdicts)
    except ValueError as error:
        return None, [f"No overfitting threshold: {error}."]
    exponent = with_interval(line.exponent, line.intervals.get("exponent"))
    words = f"Overfitting from N = k D^lambda on: lambda {exponent} (paper 0.47)"
    told = f"; {line.message}" if line.message else ""
    cut = sum(
        said == "underfits" and not stopped
        for said, stopped in zip(found.verdicts, found.stopped, strict=True)
    )
    if cut:
        told += (
            f"; {cut} runs were on a plateau at the last pass allowed and may overfit"
            " later, which would change lambda"
        )
    return line, [f"{words}, k {scientific(line.k)}{told}."]


def _size_matters(best: TableLike) -> list[str]:
    """Whether N drops out above the threshold, as the paper has it."""
    several = best["spread"][best["spread"] > 1]
    if not len(several):
        return []
    least, most = 100 * (several.min() - 1), 100 * (several.max() - 1)
    return [
        "Of runs that overfit the same jets, the highest loss lies"
        f" {least:.1f} to {most:.1f} % above the lowest (in the paper N drops out)."
    ]


def _saturated(best: TableLike, law: FitResult) -> FitResult | None:
    """Eq. 4 through the envelope, its floor that of single passes; None for fewer than
    three data sets, or without a law of single passes."""
    if len(best["L"]) < 3 or not np.isfinite(law.objective):
        return None
    rows = {"D": best["U"], "L": best["L"]}
    floor = max(law.params["L_inf"], LOWEST)
    found = fit(forms.repeated, rows, fixed={"L_inf": floor}, bootstrap=1000)
    return found if np.isfinite(found.objective) else None


def _factor(law: FitResult, best: TableLike, n_p: float) -> list[str]:
    if not len(best["L"]):
        return ["No run overfits: there is no envelope."]
    try:
        value, interval = compute_factor(law, best, n_p)
    except ValueError as error:
        return [f"No factor in compute: {error}."]
    return [
        f"To its losses the envelope takes {with_interval(value, interval)} times the"
        " compute of the best single pass (paper about 10)."
    ]


def _eq4_words(best: TableLike, eq4: FitResult | None) -> list[str]:
    if eq4 is None:
        return [
            "Eq. 4 wants three data sets with a run that overfits, above the floor of a"
            f" law of single passes: there are {len(best['L'])}."
        ]
    return [f"Eq. 4 through the envelope, L_inf that of one pass: {eq4.message}."]


def _verdicts(found: Repeats) -> TextTable:
    rows = [
        [
            f"{N:,.0f}", f"{U:,.0f}", f"{epoch:.1f}", f"{L:.4f}", said,
        ]
        for N, U, epoch, L, said in zip(
            *(found.rows[name] for name in ("N", "U", "epoch", "L")),
            found.verdicts,
            strict=True,
        )
    ]  # fmt: skip
    return TextTable(["N", "unique jets", "passes to the best", "loss", ""], rows)


def _amplified(
    law: FitResult, eq4: FitResult, best: TableLike, paper: Published
) -> TextTable:
    """B_rep, beta_rep and omega at the ends of the data sets, beside the paper's."""
    rows = [
        [name, with_interval(*paper[name]), with_interval(
            eq4.params[name], eq4.intervals.get(name))]
        for name in ("B_rep", "beta_rep")
    ]  # fmt: skip
    for unique in (best["U"].min(), best["U"].max()):
        gain: Amplification = amplification(law, eq4, float(unique))
        name = f"omega at {unique:,.0f} jets"
        paper_has = "2.7" if paper is PAPER["full-128"] else ""
        rows.append([name, paper_has, with_interval(gain.omega, gain.interval)])
    return TextTable(["parameter", "paper (68 %)", "here (68 %)"], rows)


def _gain(law: FitResult, eq4: FitResult, best: TableLike) -> figures.Gain:
    """omega over the data sets, and as far again on either side."""
    unique = np.geomspace(best["U"].min() / 2, best["U"].max() * 2, 40)
    found = [amplification(law, eq4, float(size)) for size in unique]
    omega = np.array([one.omega for one in found])
    if found[0].interval is None:
        return figures.Gain(unique, omega, None, None)
    low, high = np.array([one.interval for one in found]).T
    return figures.Gain(unique, omega, low, high)


def _together(found: Repeats, single: TableLike) -> TableLike:
    """Repeated runs at their lowest loss and single passes, those that had begun to
    learn: columns N, D, U, L."""
    once = {"N": single["N"], "D": single["D"], "U": single["D"], "L": single["L"]}
    return {
        name: np.concatenate(
            [found.rows[name][found.begun], np.asarray(once[name], float)]
        )
        for name in ("N", "D", "U", "L")
    }


def _foretold(rows: TableLike) -> TextTable:
    """Muennighoff's law and the paper's in its limit: what each says of the largest
    data sets from the smaller ones, the paper holding that the first cannot work."""
    lines = [_line(form, rows) for form in (forms.repetition, forms.amplified)]
    headers = ["law", "source", "rows", "median residual", "next U to", "identified"]
    return TextTable(headers, lines)


def _line(form: Form, rows: TableLike) -> list[str]:
    law = fit(form, rows)
    if not np.isfinite(law.objective):
        return [form.name, form.source[:16], str(law.rows), "", "", law.message]
    error = f"{100 * np.median(np.abs(law.residuals)):.2f} %"
    ahead = [100 * forecast.spread for forecast in backtest(law, "U")]
    told = f"{ahead[-1]:.2f} %" if ahead else ""
    sure = "yes" if law.identified and law.converged else "no"
    return [form.name, form.source[:16], str(law.rows), error, told, sure]


def _with_c(rows: TableLike, n_p: float) -> TableLike:
    return {**rows, "C": 6 * n_p * np.asarray(rows["N"], float) * rows["D"]}
