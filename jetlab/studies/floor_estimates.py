"""Estimates of L_inf from truncated grids and from toys.

Toys are tables on the cells of a grid, with losses of a law and lognormal scatter as
large as that of the runs about it. A bend of the losses against the law counts as
scatter.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from jetlab.laws import forms
from jetlab.laws.evidence.bootstrap import bootstrap
from jetlab.laws.evidence.diagnostics import levels
from jetlab.laws.evidence.profile import profile
from jetlab.laws.fit import fit
from jetlab.laws.result import FitResult
from jetlab.records import Table

Interval = tuple[float, float]

ESTIMATORS = ("bootstrap", "profile")
"""Ways to the 68 % interval of L_inf: resampled cells, the default of the laws, and the
profile of the likelihood."""

MIN_LEVELS = 3  # of a column: two do not distinguish a power from a constant
TOY_DRAWS = 100  # of the bootstrap of each toy


class Truncated(NamedTuple):
    """The rows of a table with a column up to `end`."""

    end: float
    rows: Table


def truncations(
    rows: Table, column: str, free: int = len(forms.additive.names)
) -> list[Truncated]:
    """Rows with a column up to each of its levels, the largest first, down to three
    levels and more cells (N, D) than `free` parameters."""
    if not rows.rows:
        return []
    ends = levels(np.asarray(rows[column], float))[MIN_LEVELS - 1 :][::-1]
    nested = [Truncated(end, rows.take(rows[column] <= end)) for end in ends]
    return [grid for grid in nested if grid.rows.cells().max() >= free]


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """L_inf and its 68 % interval; None for a profile without an upper end and a fit
    without draws. `reliable` is whether the fit decides it."""

    value: float
    interval: Interval | None
    reliable: bool

    def covers(self, truth: float) -> bool | None:
        """Whether the interval holds the truth; None without one."""
        return self.interval and self.interval[0] <= truth <= self.interval[1]

    def pull(self, truth: float) -> float | None:
        """(value - truth) in half widths on the side of the truth; None without one."""
        if self.interval is None:
            return None
        low, high = self.interval
        half = self.value - low if self.value > truth else high - self.value
        return (self.value - truth) / half if half > 0 else None


def estimates(rows: Table, *, draws: int = 1000) -> dict[str, Estimate]:
    """L_inf of the additive law by each of `ESTIMATORS`. The rows have more cells than
    the law has parameters, as those of `truncations` have."""
    law = fit(forms.additive, rows)
    decided = law.verdicts["L_inf"].status == "decided"
    intervals: list[Interval | None] = [None, None]
    if isfinite(law.objective):
        drawn = bootstrap(law, draws=draws).intervals
        intervals = [drawn.get("L_inf"), _profile_interval(law)]
    return {
        name: Estimate(value=law.params["L_inf"], interval=interval, reliable=decided)
        for name, interval in zip(ESTIMATORS, intervals, strict=True)
    }


def _profile_interval(law: FitResult) -> Interval | None:
    """None for a law that decides nothing, and without an upper end: the lowest loss is
    an upper bound of L_inf, so a profile without one, from a value of nearly zero, was
    not followed that far."""
    if law.evidence.doubt:  # too few trajectories for a scatter
        return None
    low, high = profile(law, "L_inf").interval
    return (low, high) if isfinite(high) else None


class GridFloor(NamedTuple):
    """L_inf by estimator from the `runs` of a grid up to `end`, and their lowest
    loss."""

    end: float
    runs: int
    lowest: float
    estimates: dict[str, Estimate]


def grid_floors(rows: Table, column: str) -> list[GridFloor]:
    """L_inf of the grids that `truncations` makes, the whole one first."""
    return [
        GridFloor(end, part.rows, float(part["L"].min()), estimates(part))
        for end, part in truncations(rows, column)
    ]


def toys(law: FitResult, rows: Table, count: int) -> list[dict[str, Estimate]]:
    """Estimates from `count` toys of a law on the cells of these rows."""
    exact = law.predict(rows)
    noise = np.random.default_rng(0).normal(size=(count, len(exact)))
    cells = {name: rows[name] for name in law.form.columns}
    losses = exact * np.exp(law.scatter * noise)
    return [estimates(Table(cells, L=loss), draws=TOY_DRAWS) for loss in losses]


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """One estimator on toys.

    Attributes:
      reliable, with_interval: shares of the toys.
      coverage: share of the intervals that hold the truth.
      width, error: median half width of the intervals and median error of the value,
        relative to the truth.
    """

    reliable: float
    with_interval: float
    coverage: float
    width: float
    error: float

    @classmethod
    def of(cls, found: Sequence[Estimate], truth: float) -> "Coverage":
        ends = np.array([one.interval for one in found if one.interval is not None])
        ends = ends.reshape(-1, 2)
        covered = [yes for one in found if (yes := one.covers(truth)) is not None]
        values = np.array([one.value for one in found])
        return cls(
            reliable=float(np.mean([one.reliable for one in found])),
            with_interval=len(ends) / len(found),
            coverage=float(np.mean(covered)) if covered else np.nan,
            width=_median(np.ptp(ends, axis=1) / 2 / truth),
            error=_median(np.abs(values / truth - 1)),
        )


def p_value(toys: Sequence[Estimate], truth: float, value: float) -> float:
    """Share of the toys with L_inf at least as far from the truth as `value`."""
    values = np.array([one.value for one in toys])
    return float(np.mean(np.abs(values - truth) >= abs(value - truth)))


def _median(values: Float[np.ndarray, "n"]) -> float:
    return float(np.median(values)) if len(values) else np.nan
