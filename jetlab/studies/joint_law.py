"""What the studies share of a law: fits with and without a known floor, the sentences
and the table on them, budgets and the compute-optimal path.

Where the floor is known a law is fitted twice, with L_inf free, as one has to do on
real jets, and with L_inf fixed.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from jetlab.data.features import INPUTS
from jetlab.laws.evidence.steep_start import steep_start
from jetlab.laws.fit import fit
from jetlab.laws.formatting import with_interval
from jetlab.laws.plans.allocation import frontier
from jetlab.laws.result import FitResult
from jetlab.laws.terms import Form
from jetlab.records import Record, Table, TableLike
from jetlab.runs.report import TextTable
from jetlab.studies import published
from jetlab.studies.published import Value
from jetlab.tasks.tagging import Tagging

Floor = tuple[float, float]
"""The loss that no model can beat, and its error, in nats."""

Fits = Mapping[str, FitResult]
"""Fits of one law to the same rows: `FREE` and, where the floor is known, `FIXED`."""

FREE, FIXED = "free", "L_inf fixed"
FEWEST = 3  # rows beside the parameters, which a fit needs
SMALLEST_TERM = 1e-12  # of the loss: a smaller term of a law is none


def known_floor(record: Record) -> Floor | None:
    """The lowest loss on a run's validation jets, or the known floor of its jets and
    inputs; None where neither is known, as for own inputs and other tasks."""
    if "floor" in record.metrics:  # of the very jets that the losses are of
        return record.metrics["floor"], 0.0
    task, inputs = Tagging(), INPUTS.get(record.inputs)
    if record.task != task.name or inputs is None:
        return None
    return task.floor(record.source, inputs)


ROUNDS = 8  # of fits, each without the rows that the one before found too steep


def begun(form: Form, runs: Table) -> tuple[Table, Table]:
    """The runs that follow a law, and those that have not begun to: within 5 % of the
    chance loss, before the change point of their trajectory (`Table.learned`), or far
    above the law at the smallest D of their trajectory. The last are found by fits to
    ever fewer rows, until one finds no more (`jetlab.laws.evidence.steep_start`)."""
    rows, left_out = runs.learned(), runs.unlearned()
    for _ in range(ROUNDS):
        if rows.rows < len(form.parameters) + FEWEST:
            break
        law = fit(form, rows)
        steep = steep_start(law) if law.converged else np.zeros(rows.rows, bool)
        if not steep.any() or rows.rows - steep.sum() < len(form.parameters) + FEWEST:
            break
        left_out = Table(
            {n: np.concatenate([left_out[n], rows[n][steep]]) for n in rows}
        )
        rows = rows.take(~steep)
    return rows, left_out


def fit_free_and_fixed(form: Form, table: TableLike, floor: Floor | None) -> Fits:
    """`form` fitted with L_inf free and, if the floor is known, with L_inf fixed to it;
    both with 1000 bootstrap draws."""
    fixed = {FREE: {}, **({FIXED: {"L_inf": floor[0]}} if floor else {})}
    return {kind: fit_law(form, table, values) for kind, values in fixed.items()}


def fit_law(form: Form, table: TableLike, fixed: Mapping[str, float]) -> FitResult:
    """A fit with 1000 bootstrap draws."""
    return fit(form, table, fixed=fixed, bootstrap=1000)


def preferred(fits: Fits) -> FitResult:
    """The fit to use: the free one if it is reliable, else that with L_inf fixed if
    there is one."""
    return next((law for law in fits.values() if law.reliable), list(fits.values())[-1])


def for_figures(fits: Fits) -> FitResult:
    """The fit to draw: the free one if it converged to a law with an optimum."""
    free = fits[FREE]
    return free if free.converged and has_optimum(free) else preferred(fits)


def fits_as_json(fits: Fits) -> dict[str, str]:
    """The fits by the name of their file, the free one with its diagnostics."""
    texts = {"fit": fits[FREE].to_json(diagnostics=True)}
    if FIXED in fits:
        texts["fit_known_limit"] = fits[FIXED].to_json()
    return texts


def fit_sentences(fits: Fits) -> list[str]:
    """Warnings of the fits, diagnostics of the free one, and which of them is used."""
    warnings = [
        *(f"{kind}: {text}." for kind, law in fits.items() for text in law.warnings),
        *(f"{FREE}: {sentence}." for sentence in fits[FREE].diagnostics.sentences),
    ]
    if preferred(fits) is not fits[FREE]:
        warnings.append(
            "The fit with L_inf fixed is used: the free one is not reliable."
        )
    return warnings


def parameter_rows(
    fits: Fits,
    names: Sequence[str],
    paper: Mapping[str, Value] = {},
    floor: Floor | None = None,
) -> list[list[str]]:
    """Published values, fits and the known floor as rows under `parameter_headers`, of
    the first two what there is. The published values are of JetClass, and stay away
    from jets with a known floor."""
    rows = []
    if paper and not floor:
        values = [with_interval(*paper[n]) if n in paper else "" for n in names]
        rows.append(["paper, JetClass", "", *values, "", ""])
    for kind, law in fits.items():
        values = [value_with_interval(law, name) for name in names]
        rows.append([kind, str(law.rows), *values, median_residual(law), _verdict(law)])
    if floor:
        error = f" ± {floor[1]:.4f}" if floor[1] else ""
        limit = {"L_inf": f"{floor[0]:.4f}{error}"}
        rows.append(["known floor", "", *(limit.get(n, "") for n in names), "", ""])
    return rows


def _verdict(law: FitResult) -> str:
    """Whether all, some or none of the quantities are known."""
    return law.summary.partition(":")[0]


def parameter_headers(names: Sequence[str]) -> list[str]:
    """Parameters with 68 % intervals, and how good the fit is."""
    return ["68 % intervals", "rows", *names, "median residual", "verdict"]


def law_table(fits: Fits, floor: Floor | None, inputs: str) -> TextTable:
    """Table 1 of arXiv:2602.15781: L(N, D), beside the paper's for its own inputs."""
    names = list(published.TABLE_1)
    paper = published.TABLE_1 if inputs in published.TABLE_2 else {}
    rows = parameter_rows(fits, names, paper, floor)
    return TextTable(parameter_headers(names), rows)


def value_with_interval(law: FitResult, name: str) -> str:
    """A parameter or derived exponent as text, with its interval unless it is fixed;
    its limit, if it has one; in brackets if it is undecided; empty where there is no
    number."""
    one = law.verdicts[name]
    if not np.isfinite(one.value):
        return ""
    if one.limit is not None:
        sign = "<" if one.status == "upper limit" else ">"
        return f"{sign} {with_interval(one.limit, None)}"
    drawn = law.intervals and name not in law.fixed
    text = with_interval(one.value, law.interval(name) if drawn else None)
    return text if one.known else f"[{text}]"


def median_residual(law: FitResult) -> str:
    """The median absolute residual of log L as text; empty for a law without."""
    if not np.isfinite(law.objective):
        return ""
    return f"{100 * np.median(np.abs(law.residuals)):.2f} %"


def has_optimum(law: FitResult) -> bool:
    """Whether both terms fall and neither is negligible at every row, so that a budget
    has an optimal division."""
    p = law.params
    smallest = min(
        p["A"] / law.span["N"][0] ** p["alpha"], p["B"] / law.span["D"][0] ** p["beta"]
    )
    return bool(smallest > SMALLEST_TERM and min(p["alpha"], p["beta"]) > 0)


def budgets_spanned(C: np.ndarray, beyond: float = 1) -> list[float]:
    """Half-decades of compute from the least to `beyond` times the most of the runs."""
    least, most = float(C.min()), float(C.max()) * beyond
    marks = np.arange(np.ceil(2 * np.log10(least)), np.floor(2 * np.log10(most)) + 1)
    return (10 ** (marks / 2)).tolist() if len(marks) > 1 else [least, most]


def compute_optimal_path(law: FitResult, budgets: Sequence[float]) -> Table:
    """The optimal N, D and loss at each budget C in FLOPs."""
    plans = frontier(law, budgets)
    names = {"C": "flops", "N": "N", "D": "D", "loss": "loss"}
    return Table(
        {name: [getattr(plan, own) for plan in plans] for name, own in names.items()}
    )
