"""Closure test: does L_inf, extrapolated from a grid, agree with the known floor?

L_inf by how far the grid reaches in N and in D; its p-value and the coverage of its
interval on toys, on which the law holds; and omega (arXiv:2602.15781, Eq. 5).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, sqrt

from jetlab.laws import forms
from jetlab.laws.evidence.intervals import CONFIDENCE_LEVEL
from jetlab.laws.formatting import with_interval, zeroed
from jetlab.laws.result import FitResult
from jetlab.records import Record, Table
from jetlab.runs.report import Findings, TextTable
from jetlab.runs.study import for_each_inputs
from jetlab.studies import closure_plots as plots
from jetlab.studies.floor_estimates import (
    ESTIMATORS,
    Coverage,
    Estimate,
    GridFloor,
    grid_floors,
    p_value,
    toys,
)
from jetlab.studies.headline import first_screen
from jetlab.studies.joint_law import (
    FIXED,
    FREE,
    Fits,
    Floor,
    begun,
    fit_free_and_fixed,
    fit_sentences,
    fits_as_json,
    known_floor,
    law_table,
)
from jetlab.studies.omega_by_reach import GridOmega, grid_omegas, omega_table
from jetlab.studies.repeated_runs import envelope, repeated_runs
from jetlab.studies.run_quality import NO_RUNS, quality_sentences, unlearned_sentences

TOYS = 200
AGREES = "L_inf agrees with the known floor"
MIN_RELIABLE = 0.5  # share of the toys: with fewer, the grid is too short
SIGNIFICANT = 0.05  # a p-value below which the losses do not follow the law
NARROW = 3.0  # binomial errors of the coverage below 68 %


@dataclass(frozen=True, kw_only=True)
class Closure:
    """L_inf and omega by the reach of the grid, and the toys; none without a known
    floor. `law` is the fit with L_inf fixed, of which the toys are made."""

    floor: Floor | None
    by_n: list[GridFloor]
    by_d: list[GridFloor]
    law: FitResult | None
    toys: list[dict[str, Estimate]]
    omegas: list[GridOmega]

    @property
    def whole(self) -> GridFloor | None:
        """The whole grid; None where it has too few rows for a fit."""
        return next(iter([*self.by_d, *self.by_n]), None)

    def coverage(self, estimator: str) -> Coverage:
        """Of an estimator on the toys."""
        assert self.floor
        return Coverage.of([toy[estimator] for toy in self.toys], self.floor[0])

    def p_value(self, estimator: str) -> float:
        """Share of the toys with L_inf at least as far from the known floor."""
        assert self.floor
        assert self.whole
        value = self.whole.estimates[estimator].value
        return p_value([toy[estimator] for toy in self.toys], self.floor[0], value)


@for_each_inputs
def analyse(records: Sequence[Record]) -> Findings:
    """The fits to the whole grid, and the closure test."""
    single = Table.of_records(records).where(arm="single")
    rows, unlearned = begun(forms.additive, single)
    sentences = [*quality_sentences(records), *unlearned_sentences(unlearned)]
    if not rows.rows:
        return Findings(sentences=[*sentences, NO_RUNS])
    floor = known_floor(records[0])
    fits = fit_free_and_fixed(forms.additive, rows, floor)
    lowest = envelope(repeated_runs(records))
    found = report(closure_test(rows, lowest, fits, floor, TOYS))
    screen = first_screen(fits[FREE], floor)  # which has to find the floor
    return Findings(
        known=[*found.known, *screen["known"]],
        unknown=[*found.unknown, *screen["unknown"]],
        advice=screen["advice"],
        sentences=[*sentences, *fit_sentences(fits), *found.sentences],
        tables={
            "Table 1: parameters of the law": law_table(fits, floor, records[0].inputs),
            **found.tables,
        },
        figures=found.figures,
        results=fits_as_json(fits),
    )


def closure_test(
    rows: Table, lowest: Table, fits: Fits, floor: Floor | None, count: int
) -> Closure:
    """The closure test of single passes (columns N, D, L) and of the envelope `lowest`
    of repeated runs (N, U, D, L), with `count` toys."""
    by_n, by_d = (grid_floors(rows, column) for column in ("N", "D"))
    law = fits.get(FIXED)
    fitted = law is not None and isfinite(law.scatter) and bool(by_d or by_n)
    return Closure(
        floor=floor,
        by_n=by_n,
        by_d=by_d,
        law=law if fitted else None,
        toys=toys(law, rows, count) if law and fitted else [],
        omegas=grid_omegas(rows, lowest, floor),
    )


def report(found: Closure) -> Findings:
    """Sentences, three tables and the figure, as far as the rows allow them."""
    tables = {}
    if found.whole:
        tables["L_inf by the reach of the grid"] = _floor_table(found)
    if found.toys:
        tables["Toys on which the law holds"] = _toy_table(found)
    if found.omegas:
        tables["omega by the reach of the grid"] = omega_table(found.omegas)
    drawn = found.whole or found.omegas
    verdict = [_verdict(found)] if found.whole and found.floor else []
    agrees = verdict[:1] and verdict[0].startswith(AGREES)
    return Findings(
        known=verdict if agrees else [],
        unknown=[] if agrees else verdict,
        sentences=_sentences(found),
        tables=tables,
        figures={"fig_closure": plots.closure(found)} if drawn else {},
    )


def _sentences(found: Closure) -> list[str]:
    if not found.whole:
        return ["No closure test: too few runs for a fit of L(N, D)."]
    if found.floor is None:
        return ["No closure test: the known floor of these jets and inputs is unknown."]
    value, error = found.floor
    known = f"{value:.4f}" + (f" ± {error:.4f}" if error else "")
    distance = 100 * (found.whole.lowest / value - 1)
    return [
        f"Known floor {known} nats; the lowest loss of the"
        f" {found.whole.runs} runs is {found.whole.lowest:.4f}, {distance:.0f} % more.",
        *([] if found.omegas else ["No omega: Eq. 4 needs 3 data sets that overfit."]),
    ]


def _verdict(found: Closure) -> str:
    """Whether the floor agrees, or why not: too short a grid, too narrow intervals, or
    losses off the law."""
    if not found.toys:
        return "No toys: there is no fit with L_inf fixed."
    default = ESTIMATORS[0]
    reliable, p = found.coverage(default).reliable, found.p_value(default)
    reasons = [
        *([f"the grid is too short ({100 * reliable:.0f} % of the toys are reliable)"]
          if reliable < MIN_RELIABLE else []),
        *(f"the intervals of the {name} are too narrow (coverage"
          f" {found.coverage(name).coverage:.2f})" for name in _narrow(found)),
        *([f"the losses do not follow the law (p-value {p:.2g})"]
          if p < SIGNIFICANT else []),
    ]  # fmt: skip
    if not reasons:
        return f"{AGREES}: p-value {p:.2g} on toys."
    return f"L_inf is not to be trusted: {'; '.join(reasons)}."


def _narrow(found: Closure) -> list[str]:
    """Estimators whose coverage lies significantly below 68 %."""
    error = sqrt(CONFIDENCE_LEVEL * (1 - CONFIDENCE_LEVEL) / len(found.toys))
    named = {name: found.coverage(name) for name in ESTIMATORS}
    return [
        name
        for name, one in named.items()
        if one.with_interval > 0
        and one.coverage < CONFIDENCE_LEVEL - NARROW * error / sqrt(one.with_interval)
    ]


def _floor_table(found: Closure) -> TextTable:
    assert found.whole
    cut = [
        (f"{column} to {grid.end:,.0f}", grid)
        for column, grids in (("N", found.by_n), ("D", found.by_d))
        for grid in grids[1:]
    ]
    rows = [
        [kept, str(grid.runs), f"{grid.lowest:.4f}"]
        + [_estimate(grid.estimates[name], found.floor) for name in ESTIMATORS]
        for kept, grid in [("all", found.whole), *cut]
    ]
    return TextTable(["kept", "runs", "lowest loss", *ESTIMATORS], rows)


def _estimate(one: Estimate, floor: Floor | None) -> str:
    """Value and interval, with flags; numbers below a thousandth are shown as 0."""
    ends = one.interval and (zeroed(one.interval[0]), zeroed(one.interval[1]))
    text = with_interval(zeroed(one.value), ends)
    text += "" if one.interval else ", no interval"
    text += "" if one.reliable else ", not reliable"
    if floor is None or one.interval is None:
        return text
    text += "; covers" if one.covers(floor[0]) else "; misses"
    pull = one.pull(floor[0])
    return text + (f", pull {pull:+.1f}" if pull is not None else "")


def _toy_table(found: Closure) -> TextTable:
    named = {name: found.coverage(name) for name in ESTIMATORS}
    rows = [
        [
            name, f"{one.reliable:.2f}", f"{one.with_interval:.2f}",
            _finite(one.coverage, "{:.2f}"), _finite(100 * one.width, "{:.1f} %"),
            _finite(100 * one.error, "{:.1f} %"), f"{found.p_value(name):.2f}",
        ]
        for name, one in named.items()
    ]  # fmt: skip
    headers = [
        f"{len(found.toys)} toys", "reliable", "with an interval", "coverage (68 %)",
        "median half width", "median error", "p-value",
    ]  # fmt: skip
    return TextTable(headers, rows)


def _finite(value: float, layout: str) -> str:
    """A number as text; empty for one that no toy gives."""
    return layout.format(value) if isfinite(value) else ""
