"""Diagnostics of a fit: how well its rows determine it, and how well it predicts.

The condition number, the gap between the lowest loss and the floor, trends of the
residuals, and backtests: fits to the smaller runs that predict the larger ones.
"""

from dataclasses import dataclass
from itertools import pairwise
from math import isfinite
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from jetlab.laws.evidence.lack_of_fit import SIGNIFICANT, levels
from jetlab.laws.fit import fit_part
from jetlab.laws.fitting import identifiability
from jetlab.laws.result import FitResult

LARGEST_ERROR = 10.0  # of log L: larger errors of a prediction are cut here


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """A backtest: the rows with column `over` <= `seen`, `fitted` of them, are fitted,
    and rows with `seen` < `over` <= `next` predicted.

    `errors` are log L_predicted - log L; `reliable` is that of the fit."""

    over: str
    seen: float
    next: float
    fitted: int
    errors: Float[np.ndarray, "n"]
    reliable: bool

    @property
    def bias(self) -> float:
        """Mean error; positive where the runs were better than predicted."""
        return float(np.mean(self.errors))

    @property
    def spread(self) -> float:
        """Root mean square of the errors."""
        return float(np.sqrt(np.mean(self.errors**2)))

    def record(self) -> dict[str, str | float | int | bool]:
        """The forecast as JSON holds it."""
        own = (self.over, self.seen, self.next, self.fitted, len(self.errors))
        names = ("over", "seen", "next", "fitted", "foretold")
        found = {"bias": self.bias, "spread": self.spread, "told": self.reliable}
        return dict(zip(names, own, strict=True)) | found


def backtest(law: FitResult, over: str = "D") -> list[Forecast]:
    """Forecasts of each size of column `over` by the same fit to the smaller sizes, for
    every window with enough rows for a fit.

    Raises:
      ValueError: for a column that is not in the law's table.
    """
    if over not in law.table:
        raise ValueError(f"the table has no column {over}; it has {list(law.table)}")
    column, found = law.table[over], []
    for seen, coming in pairwise(levels(column)):
        before = column <= seen
        after = ~before & (column <= coming)
        part = fit_part(law, before)
        if not np.isfinite(part.objective):
            continue
        with np.errstate(divide="ignore"):
            errors = np.log(part.predict(law.table)) - np.log(law.table["L"])
        errors = np.nan_to_num(errors, nan=LARGEST_ERROR)
        found.append(
            Forecast(
                over=over,
                seen=seen,
                next=coming,
                fitted=part.rows,
                errors=np.clip(errors, -LARGEST_ERROR, LARGEST_ERROR)[after],
                reliable=part.reliable,
            )
        )
    return found


@dataclass(frozen=True, kw_only=True)
class Diagnostics:
    """What `diagnose` finds.

    Attributes:
      condition: condition number of the scaled Jacobian; 1 is ideal, infinite for
        parameters without effect.
      worst_determined: parameters in the combination that is determined worst.
      gap_to_floor: (lowest loss of the law at any row) / L_inf - 1; None for a law
        without a floor.
      scatter: robust sigma of log L about the law.
      trends: columns on which the residuals depend.
      forecasts: of `backtest` over each column of the form.
    """

    condition: float
    worst_determined: tuple[str, ...]
    gap_to_floor: float | None
    scatter: float
    trends: tuple[str, ...]
    forecasts: tuple[Forecast, ...]

    @property
    def sentences(self) -> list[str]:
        """The findings in words, the condition number first."""
        return [
            *self._condition(), *self._floor(), *self._scatter(), *self.warnings,
            *self._backtests(),
        ]  # fmt: skip

    @property
    def warnings(self) -> list[str]:
        """A sentence on trends of the residuals, if there are any."""
        if not self.trends:
            return []
        return [
            f"residuals depend on {' and on '.join(self.trends)} (p < {SIGNIFICANT:g}):"
            " the law does not hold over all the rows, or they are correlated; fit a"
            " smaller range, or name their clusters"
        ]

    def record(self) -> dict[str, Any]:
        """As JSON holds it, null for a number that is not finite."""
        return {
            "condition": self.condition if isfinite(self.condition) else None,
            "loosest": list(self.worst_determined),
            "lowest_row_above_floor": self.gap_to_floor,
            "residuals_depend_on": list(self.trends),
            "rollout": [forecast.record() for forecast in self.forecasts],
            "words": self.sentences,
        }

    def _condition(self) -> list[str]:
        if not isfinite(self.condition):
            return []
        return [
            f"condition number {self.condition:.3g}; determined worst: a combination"
            f" of {', '.join(self.worst_determined)}"
        ]

    def _floor(self) -> list[str]:
        if self.gap_to_floor is None:
            return []
        return [
            f"the lowest loss at any row is {100 * self.gap_to_floor:.3g} % above L_inf"
            if self.gap_to_floor < 10
            else "L_inf is less than a tenth of the lowest loss at any row"
        ]

    def _scatter(self) -> list[str]:
        if not isfinite(self.scatter):
            return []
        return [f"the rows scatter by {100 * self.scatter:.2g} % about the law"]

    def _backtests(self) -> list[str]:
        """The last forecast over each column, and the worst of the earlier reliable
        ones."""
        found = []
        for over in dict.fromkeys(forecast.over for forecast in self.forecasts):
            ours = [forecast for forecast in self.forecasts if forecast.over == over]
            last = ours[-1]
            sentence = (
                f"backtest: rows up to {over} = {last.seen:.3g} predict those up to"
                f" {last.next:.3g} to {100 * last.spread:.2g} % (bias"
                f" {100 * last.bias:+.2g} %)"
            )
            if not last.reliable:
                sentence += ", by a fit that is not reliable"
            earlier = [forecast for forecast in ours[:-1] if forecast.reliable]
            if earlier:
                worst = 100 * max(forecast.spread for forecast in earlier)
                sentence += (
                    f"; {len(earlier)} smaller windows to {worst:.2g} % at worst"
                )
            found.append(sentence)
        return found


def diagnose(law: FitResult) -> Diagnostics:
    """Diagnostics of a fit; empty for one without parameters. `law.diagnostics` keeps
    them."""
    if not isfinite(law.objective):
        return Diagnostics(
            condition=np.inf,
            worst_determined=(),
            gap_to_floor=None,
            scatter=np.nan,
            trends=(),
            forecasts=(),
        )
    with jax.enable_x64(True):
        optimum = law.problem.space.coordinates(law.params)
        number, mixed = identifiability.condition(law.problem, optimum)
    columns = law.form.columns
    return Diagnostics(
        condition=number,
        worst_determined=mixed,
        gap_to_floor=_gap_to_floor(law),
        scatter=law.scatter,
        trends=tuple(t.column for t in law.evidence.failed if t.column),
        forecasts=tuple(f for over in columns for f in backtest(law, over)),
    )


def _gap_to_floor(law: FitResult) -> float | None:
    floor = law.params.get("L_inf")
    if floor is None:
        return None
    lowest = float(law.predict(law.points).min())
    return lowest / max(floor, 1e-9 * lowest) - 1
