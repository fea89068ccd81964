"""Estimators of L_inf, a misfit and a way of making its interval each: what they say of
rows, and what they would say of tables on which the law holds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import NamedTuple

import numpy as np

from jetlab.laws import forms
from jetlab.laws.bootstrap import bootstrap
from jetlab.laws.diagnostics import levels
from jetlab.laws.fit import fit
from jetlab.laws.misfit import ABSOLUTE, HUBER, SQUARES, Misfit
from jetlab.laws.profile import profile
from jetlab.laws.result import FitResult
from jetlab.records import Table, TableLike

Interval = tuple[float, float]

LEVELS = 3  # of a column: two cannot tell a power from a constant
QUICK = 100  # draws for each synthetic table


class Reach(NamedTuple):
    """The rows of a table with a column up to `end`."""

    end: float
    rows: TableLike


def reaches(
    rows: TableLike, column: str, free: int = len(forms.additive.names)
) -> list[Reach]:
    """Ever shorter grids: rows with N (or another column) up to each of its levels, the
    largest first, down to three levels and more cells than `free` parameters."""
    if not len(rows["L"]):
        return []
    values = np.asarray(rows[column], float)
    kept = [(end, values <= end) for end in levels(values)[LEVELS - 1 :][::-1]]
    nested = [Reach(end, {n: c[own] for n, c in rows.items()}) for end, own in kept]
    return [reach for reach in nested if Table(reach.rows).cells().max() >= free]


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """L_inf and its 68 % interval; None where a profile found no end above or a fit has
    no draws. `identified` is False for a fit that its rows do not decide."""

    value: float
    interval: Interval | None
    identified: bool

    def holds(self, truth: float) -> bool | None:
        """Whether the interval holds the truth; None without one."""
        return self.interval and self.interval[0] <= truth <= self.interval[1]

    def pull(self, truth: float) -> float | None:
        """(value - truth) in half widths on the side of the truth; None without one."""
        if self.interval is None:
            return None
        low, high = self.interval
        half = self.value - low if self.value > truth else high - self.value
        return (self.value - truth) / half if half > 0 else None


class Estimator(NamedTuple):
    """A misfit, and the 68 % interval of L_inf from a fit and a number of draws."""

    name: str
    misfit: Misfit
    interval: Callable[[FitResult, int], Interval | None]


def _drawn(law: FitResult, draws: int) -> Interval | None:
    return bootstrap(law, draws=draws).intervals.get("L_inf")


def _profiled(law: FitResult, _: int) -> Interval | None:
    """None without an end above: the lowest loss bounds L_inf, so that a profile which
    found no bound, starting from a value of nearly zero, has not come that far."""
    low, high = profile(law, "L_inf").interval
    return (low, high) if isfinite(high) else None


ESTIMATORS = (
    Estimator("Huber, cells drawn anew", HUBER, _drawn),
    Estimator("Huber, profile", HUBER, _profiled),
    Estimator("least squares, cells drawn anew", SQUARES, _drawn),
    Estimator("absolute deviations, cells drawn anew", ABSOLUTE, _drawn),
)
"""The default of `jetlab.laws` first."""


def estimates(rows: TableLike, *, draws: int = 1000) -> dict[str, Estimate]:
    """L_inf by each estimator, by its name. The rows have more cells than the law has
    parameters, as those of `reaches` do."""
    laws = {
        misfit: fit(forms.additive, rows, misfit=misfit)
        for misfit in dict.fromkeys(estimator.misfit for estimator in ESTIMATORS)
    }
    return {e.name: _estimate(e, laws[e.misfit], draws) for e in ESTIMATORS}


def _estimate(estimator: Estimator, law: FitResult, draws: int) -> Estimate:
    there = isfinite(law.objective)
    return Estimate(
        value=law.params["L_inf"],
        interval=estimator.interval(law, draws) if there else None,
        identified=law.reliable,
    )


def imagined(law: FitResult, rows: TableLike, count: int) -> list[dict[str, Estimate]]:
    """Estimates from `count` tables on the cells of these rows, with losses of `law`
    and lognormal scatter as large as that of the rows about it."""
    exact = law.predict(rows)
    noise = np.random.default_rng(0).normal(size=(count, len(exact)))
    cell = {name: rows[name] for name in law.form.columns}
    losses = exact * np.exp(law.scatter * noise)
    return [estimates(cell | {"L": loss}, draws=QUICK) for loss in losses]


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """What one estimator says of tables on which the law holds: shares of them that are
    identified and that have an interval, the share of intervals that hold the truth,
    their median half width and the median error of the value, relative to the truth."""

    identified: float
    told: float
    held: float
    width: float
    error: float

    @classmethod
    def of(cls, found: Sequence[Estimate], truth: float) -> "Coverage":
        ends = np.array([one.interval for one in found if one.interval is not None])
        ends = ends.reshape(-1, 2)
        told = [one.holds(truth) for one in found]
        held = [yes for yes in told if yes is not None]
        values = np.array([one.value for one in found])
        return cls(
            identified=float(np.mean([one.identified for one in found])),
            told=len(ends) / len(found),
            held=float(np.mean(held)) if held else np.nan,
            width=_median(np.ptp(ends, axis=1) / 2 / truth),
            error=_median(np.abs(values / truth - 1)),
        )


def _median(values: np.ndarray) -> float:
    return float(np.median(values)) if len(values) else np.nan
