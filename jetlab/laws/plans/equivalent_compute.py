"""How many times the compute is an arm worth? Two laws compared at equal loss.

For the loss that arm B reaches with the compute C, arm A needs C': B is worth C'/C
times the compute. The factor is the geometric mean over half-decades of the compute
that the rows of both arms span.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from jetlab.laws.evidence.intervals import CONFIDENCE_LEVEL, around, percentiles
from jetlab.laws.formatting import with_interval
from jetlab.laws.plans.allocation import optima
from jetlab.laws.plans.budget import flops_per_parameter
from jetlab.laws.plans.plan import check_law
from jetlab.laws.result import FitResult

PER_DECADE = 8  # points at which the loss of arm A is known
BEYOND = 3.0  # decades of its compute past both ends
SAMPLED = 200  # draws


@dataclass(frozen=True, kw_only=True)
class EquivalentCompute:
    """What arm B is worth in compute of arm A.

    Attributes:
      factor: C'/C, mean over the common range.
      interval: 68 % interval over the draws of both fits; None without draws.
      lack_of_fit: from the least to the largest factor at any budget of the range and
        by the refits of either law to parts of its rows, extended to `interval`.
      range: of C, in FLOPs.
      floors: L_inf of A and of B, which decide the factor far beyond the range.
    """

    factor: float
    interval: tuple[float, float] | None
    lack_of_fit: tuple[float, float]
    range: tuple[float, float]
    floors: tuple[float, float]

    def sentence(self, one: str, other: str) -> str:
        """In words, B named `other` and A `one`."""
        low, high = self.lack_of_fit
        return (
            f"{other} is worth {with_interval(self.factor, self.interval)} times the"
            f" compute of {one}, from {self.range[0]:.2g} to {self.range[1]:.2g} FLOPs;"
            f" {low:.2g} to {high:.2g} over this range and on parts of the rows; L_inf"
            f" is {self.floors[0]:.3g} for {one} and {self.floors[1]:.3g} for {other}"
        )


def equivalent_compute(one: FitResult, other: FitResult) -> EquivalentCompute:
    """What `other` is worth in compute of `one`, for laws of N and D, at their
    compute-optimal N and D.

    Raises:
      ValueError: for laws without N and D, rows without a common range of compute, or
        a loss of `other` that `one` does not reach.
    """
    check_law(one)
    check_law(other)
    spans = [
        flops_per_parameter(law.particles) * np.array(law.span["ND"])
        for law in (one, other)
    ]
    low, high = max(s[0] for s in spans), min(s[1] for s in spans)
    if not low < high:
        raise ValueError(
            f"the rows have no compute in common: {spans[0][0]:.2g} to"
            f" {spans[0][1]:.2g} FLOPs and {spans[1][0]:.2g} to {spans[1][1]:.2g}"
        )
    budgets = np.geomspace(low, high, 2 + int(2 * np.log10(high / low)))
    value = _factors(one, one.params, other, other.params, budgets)[0]
    if not np.isfinite(value).all():
        raise ValueError(
            f"one arm does not reach the loss of the other: L_inf is"
            f" {one.params['L_inf']:.4g} and {other.params['L_inf']:.4g}"
        )
    factor = float(np.exp(np.mean(value)))
    interval = _interval(one, other, budgets, factor)
    return EquivalentCompute(
        factor=factor,
        interval=interval,
        lack_of_fit=_lack_of_fit(
            one, other, budgets, value, interval or (factor, factor)
        ),
        range=(float(low), float(high)),
        floors=(one.params["L_inf"], other.params["L_inf"]),
    )


def _factors(
    one: FitResult,
    params: Mapping[str, np.ndarray | float],
    other: FitResult,
    others: Mapping[str, np.ndarray | float],
    budgets: Float[np.ndarray, "c"],
) -> Float[np.ndarray, "m c"]:
    """log (C'/C) by set of parameters and budget; NaN where arm A does not get
    there."""
    low, high = np.log(budgets[[0, -1]])
    reach = BEYOND * np.log(10)
    points = 1 + int(PER_DECADE * (high - low + 2 * reach) / np.log(10))
    log_c = np.linspace(low - reach, high + reach, points)
    there = _losses(one, params, log_c)
    wanted = _losses(other, others, np.log(budgets))
    count = max(len(there), len(wanted))
    there = np.broadcast_to(there, (count, points))
    found = [
        np.interp(-w, -t, log_c, left=np.nan, right=np.nan)
        for w, t in zip(
            np.broadcast_to(wanted, (count, len(budgets))), there, strict=True
        )
    ]
    return np.array(found) - np.log(budgets)


def _losses(
    law: FitResult,
    params: Mapping[str, np.ndarray | float],
    log_c: Float[np.ndarray, "c"],
) -> Float[np.ndarray, "m c"]:
    """log of the lowest loss at each budget, by set of parameters."""
    sets = {name: np.atleast_1d(np.asarray(v, float)) for name, v in params.items()}
    offset = np.log(flops_per_parameter(law.particles))
    columns = [optima(law.form, sets, float(c - offset))["loss"] for c in log_c]
    return np.log(np.stack(columns, axis=1))


def _interval(
    one: FitResult, other: FitResult, budgets: Float[np.ndarray, "c"], factor: float
) -> tuple[float, float] | None:
    """The interval over draws, those of the two fits being independent."""
    if not (one.draws and other.draws and one.draws.values and other.draws.values):
        return None
    count = min(
        SAMPLED, *(len(law.draws.values["L_inf"]) for law in (one, other) if law.draws)
    )
    sets = [
        {name: v[:count] for name, v in law.draws.values.items()}
        for law in (one, other)
        if law.draws
    ]
    drawn = np.exp(_factors(one, sets[0], other, sets[1], budgets).mean(axis=1))
    drawn = drawn[np.isfinite(drawn)]
    if not drawn.size:
        return None
    return around(factor, percentiles(drawn, CONFIDENCE_LEVEL))


def _lack_of_fit(
    one: FitResult,
    other: FitResult,
    budgets: Float[np.ndarray, "c"],
    value: Float[np.ndarray, "c"],
    ends: tuple[float, float],
) -> tuple[float, float]:
    """The least and the largest factor by budget and by part of the rows."""
    found = [*np.exp(value), *ends]
    for law in (one, other):
        refits = law.evidence.refits
        if refits is None:
            continue
        if law is one:
            shifted = _factors(one, refits.params, other, other.params, budgets)
        else:
            shifted = _factors(one, one.params, other, refits.params, budgets)
        means = np.exp(shifted.mean(axis=1))
        found += [float(mean) for mean in means if np.isfinite(mean)]
    return float(min(found)), float(max(found))
