"""Repeated data: the overfitting threshold, the envelope, and what a repeated jet is
worth; Figs. 2 and 3 and Eqs. 4 and 5 of arXiv:2602.15781."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jetlab.laws import forms
from jetlab.laws.amplification import Amplification, amplification
from jetlab.laws.formatting import scientific, with_interval
from jetlab.laws.overfitting import OverfittingThreshold, overfitting_threshold
from jetlab.laws.plot_style import Figure
from jetlab.laws.result import FitResult
from jetlab.records import Record, Table
from jetlab.runs.report import Findings, TextTable
from jetlab.runs.study import for_each_inputs
from jetlab.studies import published
from jetlab.studies import repetition_plots as plots
from jetlab.studies.headline import first_screen
from jetlab.studies.joint_law import (
    FIXED,
    FREE,
    Fits,
    Floor,
    begun,
    budgets_spanned,
    compute_optimal_path,
    fit_free_and_fixed,
    fit_sentences,
    fits_as_json,
    has_optimum,
    known_floor,
    law_table,
    preferred,
    value_with_interval,
)
from jetlab.studies.repeated_runs import (
    MIN_DATA_SETS,
    backtests,
    compute_factor,
    envelope,
    finished,
    fit_envelope,
    repeated_runs,
)
from jetlab.studies.run_quality import NO_RUNS, quality_sentences, unlearned_sentences


@dataclass(frozen=True, kw_only=True)
class RepetitionResult:
    """What is fitted to a study of repeated data.

    Attributes:
      single: single passes that have learned.
      fits: of L(N, D) to them; `law` is the preferred one.
      runs, lowest: repeated runs and their envelope (`jetlab.studies.repeated_runs`).
      threshold: the overfitting threshold, or why there is none.
      eq4: Eq. 4 through the envelope with the floor of `at_floor`; None without either.
    """

    single: Table
    fits: Fits
    floor: Floor | None
    runs: Table
    lowest: Table
    threshold: OverfittingThreshold | str
    eq4: FitResult | None

    @property
    def law(self) -> FitResult:
        return preferred(self.fits)

    @property
    def at_floor(self) -> FitResult:
        """The law that repeated runs are compared with: that at the known floor where
        there is one, as omega compares two terms above one L_inf."""
        return self.fits.get(FIXED, self.fits[FREE])


@for_each_inputs
def analyse(records: Sequence[Record]) -> Findings:
    """The law of the single passes, and the repeated runs beside it."""
    single = Table.of_records(records).where(arm="single")
    rows, unlearned = begun(forms.additive, single)
    sentences = [*quality_sentences(records), *unlearned_sentences(unlearned)]
    if not rows.rows:
        return Findings(sentences=[*sentences, NO_RUNS])
    found = fit_repetition(records, rows)
    eq4 = {"fit_repeated": found.eq4.to_json()} if found.eq4 else {}
    known, unknown = _lines(found)
    screen = first_screen(found.law, found.floor)
    return Findings(
        known=[*known, *screen["known"]],
        unknown=[*unknown, *screen["unknown"]],
        advice=screen["advice"],
        sentences=[*sentences, *fit_sentences(found.fits)],
        tables={
            "Table 1: parameters of the law": law_table(
                found.fits, found.floor, records[0].inputs
            ),
            "Repeated data: threshold, compute, Table 2 and Eq. 5": quantities(
                found, records[0].inputs
            ),
            "Backtest of laws of repeated data": backtests(found.runs, found.single),
            "Fig. 3: runs by their validation curves": _curves(found.runs),
        },
        figures=_figures(found, records) if found.runs.rows else {},
        results={**fits_as_json(found.fits), **eq4},
    )


def fit_repetition(records: Sequence[Record], single: Table) -> RepetitionResult:
    """Everything that is fitted to these runs; `single` are single passes."""
    floor, runs = known_floor(records[0]), repeated_runs(records)
    fits = fit_free_and_fixed(forms.additive, single, floor)
    lowest = envelope(runs)
    return RepetitionResult(
        single=single,
        fits=fits,
        floor=floor,
        runs=runs,
        lowest=lowest,
        threshold=_threshold(runs),
        eq4=fit_envelope(lowest, fits.get(FIXED, fits[FREE])),
    )


def _threshold(runs: Table) -> OverfittingThreshold | str:
    try:
        return overfitting_threshold(runs["N"], runs["U"], runs["curve"].tolist())
    except ValueError as error:
        return f"no threshold: {error}"


def quantities(found: RepetitionResult, inputs: str) -> TextTable:
    """What is measured of repeated data, beside the paper's for its own inputs."""
    rows = [
        _threshold_row(found),
        _compute_row(found),
        _spread_row(found.lowest),
        *_eq4_rows(found, inputs),
    ]
    if not published.quoted(inputs, found.floor):
        rows = [[name, "", *rest] for name, _, *rest in rows]
    return TextTable(["quantity", "paper (68 %)", "here (68 %)", ""], rows)


def _threshold_row(found: RepetitionResult) -> list[str]:
    line, paper = found.threshold, f"{published.THRESHOLD_EXPONENT}"
    name = "lambda of the overfitting threshold N = k D^lambda"
    if isinstance(line, str):
        return [name, paper, "", line]
    notes = [f"k = {scientific(line.k)}", *([line.message] if line.message else [])]
    if cut := found.runs.where(curve="underfits", stopped=False).rows:
        notes.append(
            f"{cut} runs were on a plateau at the last epoch allowed and may overfit"
            " later: allow more"
        )
    value = with_interval(line.exponent, line.intervals.get("exponent"))
    return [name, paper, value, "; ".join(notes)]


def _compute_row(found: RepetitionResult) -> list[str]:
    law = found.at_floor
    value, note = "", "" if law.reliable else "the law is not reliable"
    if not found.lowest.rows:
        note = "no run overfits: allow more epochs"
    else:
        try:
            value = with_interval(*compute_factor(law, found.lowest))
        except ValueError as error:
            note = str(error)
    name = "compute over that of the best single pass of equal loss"
    return [name, f"about {published.COMPUTE_FACTOR}", value, note]


def _spread_row(lowest: Table) -> list[str]:
    """Whether N drops out above the threshold, as the paper has it."""
    name = "highest over lowest loss of runs that overfit the same jets"
    several = lowest["spread"][lowest["spread"] > 1]
    if not several.size:
        return [name, "1", "", "no two runs overfit the same jets"]
    return [name, "1", f"{several.min():.3f} to {several.max():.3f}", ""]


def _eq4_rows(found: RepetitionResult, inputs: str) -> list[list[str]]:
    """B_rep, beta_rep and omega at the smallest and the largest data set."""
    eq4, U = found.eq4, found.lowest["U"]
    if eq4 is None:
        why = (
            f"needs {MIN_DATA_SETS} data sets with a run that overfits and a law of"
            f" single passes; there are {len(U)}"
        )
        return [["B_rep, beta_rep, omega", "", "", why]]
    paper = {n: with_interval(*v) for n, v in published.TABLE_2.get(inputs, {}).items()}
    note = "" if eq4.reliable else eq4.message
    rows = [
        [name, paper.get(name, ""), value_with_interval(eq4, name), note]
        for name in ("B_rep", "beta_rep")
    ]
    omega = f"{published.OMEGA[inputs]}" if inputs in published.OMEGA else ""
    for size in (float(U.min()), float(U.max())):
        gain = amplification(found.at_floor, eq4, size)
        name = f"omega at {size:,.0f} jets"
        rows.append([name, omega, with_interval(*gain), _omega_note(found, gain)])
    return rows


def _lines(found: RepetitionResult) -> tuple[list[str], list[str]]:
    """What is known and what is not of repeated data, for the first screen."""
    known, unknown = [], []
    line = found.threshold
    if isinstance(line, str):
        unknown.append(f"The overfitting threshold N = k D^lambda: {line}.")
    else:
        power = with_interval(line.exponent, line.intervals.get("exponent"))
        text = f"Runs overfit above N = k D^lambda, lambda = {power}"
        note = f" ({line.message})" if line.message else ""
        (known if line.decided else unknown).append(f"{text}{note}.")
    for name, _, value, note in _eq4_rows(found, ""):
        text = f"{name} = {value}" if value else name
        (known if value and not note else unknown).append(
            f"{text}{note and f': {note}'}."
        )
    return known, unknown


def _omega_note(found: RepetitionResult, gain: Amplification) -> str:
    """Why omega is not known; empty if it is."""
    if not (found.at_floor.reliable and found.eq4 and found.eq4.reliable):
        return "a law that it is made of is not reliable"
    if gain.interval is None:
        return "no interval without a known floor"
    return "" if np.isfinite([gain.omega, *gain.interval]).all() else "not finite"


def _curves(runs: Table) -> TextTable:
    names = ("N", "U", "epochs", "L", "curve")
    rows = [
        [f"{N:,.0f}", f"{U:,.0f}", f"{epochs:.1f}", f"{L:.4f}", str(curve)]
        for N, U, epochs, L, curve in zip(*(runs[name] for name in names), strict=True)
    ]
    return TextTable(["N", "unique jets", "epochs to the best", "loss", ""], rows)


def _figures(found: RepetitionResult, records: Sequence[Record]) -> dict[str, Figure]:
    law, path = found.law, None
    if has_optimum(law):
        budgets = budgets_spanned(found.single["C"], 10)
        path = compute_optimal_path(law, budgets)
    line = None if isinstance(found.threshold, str) else found.threshold
    figures = {
        "fig_2ab_loss_against_compute": plots.loss_against_compute(
            found.runs, path, found.lowest, reliable=law.reliable
        ),
        "fig_3_overfitting": plots.overfitting(found.runs, line),
        "validation_curves": plots.validation_curves(finished(records)),
    }
    if found.lowest.rows:
        omega = found.eq4 and _omega_curve(found.at_floor, found.eq4, found.lowest["U"])
        figures["fig_2c_loss_against_data"] = plots.loss_against_data(
            found.lowest, found.eq4, law, found.floor, omega
        )
    return figures


def _omega_curve(law: FitResult, eq4: FitResult, U: np.ndarray) -> plots.OmegaCurve:
    """omega over the data sets, and a factor two on either side."""
    unique = np.geomspace(U.min() / 2, U.max() * 2, 40)
    points = [amplification(law, eq4, float(size)) for size in unique]
    omega = np.array([point.omega for point in points])
    if points[0].interval is None:
        return plots.OmegaCurve(unique, omega, None, None)
    low, high = np.array([point.interval for point in points]).T
    return plots.OmegaCurve(unique, omega, low, high)
