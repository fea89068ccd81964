"""Compute-optimal scaling: L(N, D) of single passes, what a budget should buy, Fig. 1
and Table 1 of arXiv:2602.15781."""

from collections.abc import Sequence

import numpy as np

from jetlab.laws import forms
from jetlab.laws.fit import fit
from jetlab.laws.formatting import scientific, with_interval
from jetlab.laws.plans.allocation import frontier
from jetlab.laws.plans.plan import Plan
from jetlab.laws.plot_style import Figure
from jetlab.laws.plots import loss_against_data
from jetlab.laws.result import FitResult
from jetlab.onset import beats_chance
from jetlab.records import Record, Table
from jetlab.runs.grid import FORECAST
from jetlab.runs.report import Findings, TextTable
from jetlab.runs.study import for_each_inputs
from jetlab.studies import compute_optimal_plots as plots
from jetlab.studies.forecast import Forecast, checked
from jetlab.studies.headline import best_use, free_floor, known, unknown
from jetlab.studies.joint_law import (
    Fits,
    Floor,
    begun,
    budgets_spanned,
    compute_optimal_path,
    fit_free_and_fixed,
    fit_sentences,
    fits_as_json,
    for_figures,
    has_optimum,
    known_floor,
    law_table,
    preferred,
)
from jetlab.studies.rejection_laws import rejection_laws, with_rejections
from jetlab.studies.run_quality import NO_RUNS, quality_sentences, unlearned_sentences

CAPTIONS = {
    "loss_against_data": "Validation loss against training jets for each model size N:"
    " runs (points), the fitted law (lines), its floor with the 68 % interval (band)"
    " and the known floor (dashed). Open circles are not fitted; a star is a run that"
    " was foretold.",
    "residuals": "Loss of each run above the law, against its compute.",
    "fig_1a_loss_surface": "The law over model size and training jets: lines of equal"
    " loss, lines of equal compute, and the best N and D for each (dashed).",
    "fig_1b_iso_flops": "The law against model size at equal compute; the minima are"
    " the best sizes (dashed).",
}

BEYOND = 100
"""Budgets are planned up to this many times the largest of the runs."""


@for_each_inputs
def analyse(records: Sequence[Record]) -> Findings:
    """Fits of L(N, D), plans by budget, and the figures. The JSON of the fits has R(L)
    too, for `jetlab predict`."""
    grid = [record for record in records if record.arm != FORECAST]
    runs = Table.of_records(grid)
    rows, unlearned = begun(forms.additive, runs)
    sentences = [*quality_sentences(records), *unlearned_sentences(unlearned)]
    if not rows.rows:
        return Findings(sentences=[*sentences, NO_RUNS])
    floor = known_floor(records[0])
    fits = fit_free_and_fixed(forms.additive, rows, floor)
    texts, laws = fits_as_json(fits), rejection_laws(grid)
    tables = {
        "Table 1: parameters of the law": law_table(fits, floor, records[0].inputs),
    }
    law = preferred(fits)
    if has_optimum(law):
        budgets = budgets_spanned(rows["C"], BEYOND)
        tables["What a budget should buy"] = plans(law, budgets)
    tables["The law by its rows"] = law_by_rows(runs, rows)
    forecasts = checked(law, records)
    return Findings(
        known=[*known(law, floor), *(one.sentence for one in forecasts)],
        unknown=[*free_floor(fits, floor), *unknown(law, floor)],
        advice=[*best_use(law), *_more_rows(law)],
        sentences=[*sentences, *fit_sentences(fits), *_doubts(law)],
        tables=tables,
        figures=_figures(rows, unlearned, fits, floor, forecasts),
        captions=CAPTIONS,
        results={name: with_rejections(text, laws) for name, text in texts.items()},
    )


def law_by_rows(runs: Table, rows: Table) -> TextTable:
    """How the free law moves with the choice of its rows: all that beat the chance
    loss, those after the change point of their trajectory, and those fitted (`rows`).
    """
    beating = runs.take(beats_chance(runs["L"], runs["chance_loss"]))
    choices = {
        "beats the chance loss by 5 %": beating,
        "after the steepest fall of its trajectory": runs.learned(),
        "not far above the law at its smallest D (fitted)": rows,
    }
    names = ("L_inf", "alpha", "beta", "a")
    cells = [
        [what, str(part.rows), *_values(fit(forms.additive, part), names)]
        for what, part in choices.items()
        if part.rows > len(forms.additive.parameters)
    ]
    return TextTable(["runs", "rows", *names], cells)


def _values(law: FitResult, names: Sequence[str]) -> list[str]:
    values = law.params | law.derived
    return [f"{values[name]:.4g}" if name in values else "" for name in names]


def _more_rows(law: FitResult) -> list[str]:
    """What would decide more."""
    if law.reliable and all(one.known for one in law.verdicts.values()):
        return ["Raise the largest N and D to learn more: 'jetlab suggest' says where."]
    return [f"{text}." for text in law.warnings[:2]]


def _doubts(law: FitResult) -> list[str]:
    """What limits the plans."""
    if not has_optimum(law):
        return ["No plans: in the fit L does not fall with both N and D."]
    return [] if law.reliable else ["Plans are indicative only: no fit is reliable."]


def plans(law: FitResult, budgets: Sequence[float]) -> TextTable:
    """The optimal N, D and loss at each budget, in brackets where they are undecided,
    and whether they extrapolate."""
    rows = [
        [
            scientific(plan.flops),
            *(_size(plan, name) for name in ("N", "D")),
            _marked(plan, "loss", with_interval(plan.loss, plan.intervals.get("loss"))),
            plan.warnings[0].partition(";")[0]
            if plan.extrapolates
            else "interpolation",
        ]
        for plan in frontier(law, budgets)
    ]
    return TextTable(["C [FLOPs]", "N", "D", "loss", ""], rows)


def _size(plan: Plan, name: str) -> str:
    """N or D with its interval, as text."""
    value = scientific(getattr(plan, name))
    if name in plan.intervals:
        low, high = map(scientific, plan.intervals[name])
        value = f"{value} ({low}, {high})"
    return _marked(plan, name, value)


def _marked(plan: Plan, name: str, text: str) -> str:
    """A number in brackets where the rows do not decide it."""
    return text if plan.verdicts[name].known else f"[{text}]"


def _figures(
    rows: Table,
    unlearned: Table,
    fits: Fits,
    floor: Floor | None,
    forecasts: Sequence[Forecast],
) -> dict[str, Figure]:
    """Figs. 1a and 1b, and two on the quality of the fit."""
    law = for_figures(fits)
    if not np.isfinite(law.objective):
        return {}
    reached = [(f.N, f.D, f.reached) for f in forecasts if f.reached]
    figures = {
        "loss_against_data": loss_against_data(
            law,
            unlearned,
            floor,
            reached,
            xlabel="training jets $D$",
            ylabel="validation loss [nats]",
        ),
        "residuals": plots.residuals_against_compute(rows, law),
    }
    if not has_optimum(law):
        return figures
    path = compute_optimal_path(law, budgets_spanned(rows["C"]))
    return {
        **figures,
        "fig_1a_loss_surface": plots.loss_surface(rows, law, path),
        "fig_1b_iso_flops": plots.iso_flops(rows, law, path),
    }
