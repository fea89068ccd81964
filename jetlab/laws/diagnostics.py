"""Can these rows tell? What stands before the numbers of a fit.

How unequally the rows know the parameters, how far the floor lies below any of them,
and how well the same fit to smaller runs foretold the larger ones.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import jax
import numpy as np
from scipy.special import fdtrc
from scipy.stats import rankdata

from jetlab.laws import identifiability
from jetlab.laws.backtest import Forecast, levels, rollout
from jetlab.laws.fit import pose_again
from jetlab.laws.result import FitResult
from jetlab.records import TableLike

UNLIKELY = 1e-3  # a chance at which residuals are said to depend on a column


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What the rows of a fit can tell.

    `condition` is that of the fit, 1 for parameters that the rows know equally well,
    and `loosest` are the parameters in the combination that they know least. `above`
    is how far the lowest loss of the law at any row lies above L_inf, relative to
    L_inf; None for a law without a floor. `scatter` is that of log L about the law, and
    `bent` names the columns on whose values the residuals depend. `forecasts` are those
    of `rollout` over each column of the form.
    """

    condition: float
    loosest: tuple[str, ...]
    above: float | None
    scatter: float
    bent: tuple[str, ...]
    forecasts: tuple[Forecast, ...]

    @property
    def words(self) -> list[str]:
        """Sentences, the conditioning first."""
        return [*self._condition(), *self._floor(), *self._bent(), *self._foretold()]

    def record(self) -> dict[str, Any]:
        """As JSON writes it, null for a number that there is not."""
        return {
            "condition": self.condition if isfinite(self.condition) else None,
            "loosest": list(self.loosest),
            "lowest_row_above_floor": self.above,
            "residuals_depend_on": list(self.bent),
            "rollout": [forecast.record() for forecast in self.forecasts],
            "words": self.words,
        }

    def beside(self, law: FitResult, remarks: Sequence[str] = ()) -> str:
        """The fit as `FitResult.from_json` reads it, with `evidence` and `remarks`."""
        more = {"evidence": self.record(), "remarks": list(remarks)}
        return json.dumps(json.loads(law.to_json()) | more, allow_nan=False)

    def _condition(self) -> list[str]:
        if not isfinite(self.condition):
            return []
        return [
            f"condition number {self.condition:.3g}, known least: a combination of"
            f" {', '.join(self.loosest)}"
        ]

    def _floor(self) -> list[str]:
        if self.above is None:
            return []
        return [
            f"the lowest loss at any row is {100 * self.above:.3g} % above L_inf"
            if self.above < 10
            else "L_inf is less than a tenth of the lowest loss at any row"
        ]

    def _bent(self) -> list[str]:
        words = []
        if isfinite(self.scatter):
            words.append(
                f"the rows scatter by {100 * self.scatter:.2g} % about the law"
            )
        if self.bent:
            words.append(
                f"residuals depend on {' and on '.join(self.bent)}: the law is bent, or"
                " rows share their luck (name their clusters); its intervals know of"
                " neither"
            )
        return words

    def _foretold(self) -> list[str]:
        """The last forecast over each column, and the worst of those that a fit stood
        behind."""
        words = []
        for over in dict.fromkeys(forecast.over for forecast in self.forecasts):
            ours = [forecast for forecast in self.forecasts if forecast.over == over]
            last = ours[-1]
            sentence = (
                f"rows up to {over} = {last.seen:.3g} foretold those up to"
                f" {last.next:.3g} to {100 * last.spread:.2g} % (bias"
                f" {100 * last.bias:+.2g} %)"
            )
            if not last.told:
                sentence += ", by a fit that was not identified"
            told = [forecast for forecast in ours[:-1] if forecast.told]
            if told:
                worst = 100 * max(forecast.spread for forecast in told)
                sentence += f"; {len(told)} smaller windows to {worst:.2g} % at worst"
            words.append(sentence)
        return words


def evidence(law: FitResult, table: TableLike) -> Evidence:
    """What the rows that `law` was fitted to can tell; nothing for a fit without
    parameters. Raises ValueError for a table without the form's columns."""
    if not isfinite(law.objective):
        return Evidence(
            condition=np.inf,
            loosest=(),
            above=None,
            scatter=np.nan,
            bent=(),
            forecasts=(),
        )
    with jax.enable_x64(True):
        problem = pose_again(law, table)
        optimum = problem.space.coordinates(law.params)
        number, mixed = identifiability.condition(problem, optimum)
    found = [f for over in law.form.columns for f in rollout(law, table, over)]
    return Evidence(
        condition=number,
        loosest=mixed,
        above=_above(law),
        scatter=law.scatter,
        bent=tuple(n for n in law.form.columns if _depends(law, law.points[n])),
        forecasts=tuple(found),
    )


def _depends(law: FitResult, column: np.ndarray) -> bool:
    """Whether residuals differ between the sizes of a column by more than chance has
    it: the F test of one-way analysis of variance on their ranks (Conover and Iman, Am.
    Stat. 35 (1981) 124), by which outliers do not count."""
    edges = np.array(levels(column))
    group = np.minimum(np.searchsorted(edges, column), len(edges) - 1)
    count = np.bincount(group)
    groups, within = int(np.sum(count > 0)), len(column) - int(np.sum(count > 0))
    if groups < 3 or within < groups:
        return False
    ranks = rankdata(law.residuals)
    means = np.bincount(group, ranks) / np.maximum(count, 1)
    between = np.sum(count * (means - ranks.mean()) ** 2) / (groups - 1)
    inside = np.sum((ranks - means[group]) ** 2) / within
    return bool(fdtrc(groups - 1, within, between / max(inside, 1e-300)) < UNLIKELY)


def _above(law: FitResult) -> float | None:
    floor = law.params.get("L_inf")
    if floor is None:
        return None
    lowest = float(law.predict(law.points).min())
    return lowest / max(floor, 1e-9 * lowest) - 1
