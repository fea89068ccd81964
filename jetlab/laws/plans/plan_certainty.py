"""How certain a plan is: intervals and verdicts over draws and refits of its law, and
how far it extrapolates."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Float

from jetlab.laws.evidence.assessment import NARROW_SHARE
from jetlab.laws.evidence.fit_warnings import undecided
from jetlab.laws.evidence.intervals import percentiles
from jetlab.laws.evidence.verdict import Verdict, judged_values
from jetlab.laws.result import FitResult

SAMPLED = 200  # of a sample that takes the place of draws
SIZES = ("N", "D")
JUDGED = ("N", "D", "loss", "a", "gamma")
NARROW_SIZE = 0.3  # half a 68 % interval of log10 N or D that decides: a factor of two
NARROW_LOSS = 0.05  # of the loss, as a share
TOLERANCE = 1e-9
"""Relative distance outside the fitted range that still counts as inside."""


def params_and_draws(law: FitResult) -> dict[str, Float[np.ndarray, "m"]]:
    """Each parameter's fitted value, followed by its bootstrap draws.

    Raises:
      ValueError: for draws that lack a parameter or differ in number.
    """
    draws = law.draws.values if law.draws else {}
    if len({len(draws.get(name, ())) for name in law.form.names}) > 1:
        raise ValueError("the fit's draws do not hold every parameter equally often")
    return {
        name: np.append(law.params[name], draws.get(name, ()))
        for name in law.form.names
    }


def params_and_evidence(law: FitResult) -> dict[str, Float[np.ndarray, "m"]]:
    """Each parameter's fitted value, followed by its draws (some of the evidence's
    sample for a fit without), and the points of the refits to parts of the rows.

    Raises:
      ValueError: for draws that lack a parameter or differ in number.
    """
    columns = params_and_draws(law)
    if not law.draws:
        some = {n: v[:SAMPLED] for n, v in law.evidence.sample.items()}
        columns = {n: np.append(v, some.get(n, ())) for n, v in columns.items()}
    refits = law.evidence.refits
    if refits is None:
        return columns
    return {name: np.append(v, refits.points[name]) for name, v in columns.items()}


def certainty(
    law: FitResult,
    best: Mapping[str, Float[np.ndarray, "m"]],
    bought: Mapping[str, float],
    assumptions: Sequence[str] = (),
) -> dict[str, Any]:
    """The fields of a plan on its uncertainty: intervals, verdicts, range_ratio,
    extrapolates and warnings.

    Args:
      best: columns of the optimum at `params_and_evidence`.
      bought: quantities to compare with the rows fitted.
      assumptions: further warnings.
    """
    outside = _extrapolation(law, bought)
    refits = law.evidence.refits
    points = 0 if refits is None else len(refits.points["L_inf"])
    drawn = {n: v[: len(v) - points] for n, v in best.items()}
    at = {n: v[len(v) - points :] for n, v in best.items()}
    verdicts = {
        name: _verdict(law, name, drawn[name], at[name] if points else None)
        for name in JUDGED
        if name in best
    }
    best = drawn if law.draws else {n: v[:1] for n, v in drawn.items()}
    return {
        "intervals": _intervals(best),
        "verdicts": verdicts,
        "range_ratio": {
            name: value / law.span[name][1]
            for name, value in bought.items()
            if name in law.span
        },
        "extrapolates": bool(outside),
        "warnings": (*outside, *_reliability(verdicts, best["loss"]), *assumptions),
    }


def _verdict(
    law: FitResult,
    name: str,
    drawn: Float[np.ndarray, "m"],
    at: Float[np.ndarray, "p"] | None,
) -> Verdict:
    """The verdict on a quantity of a plan: sizes by their logarithms."""
    size = name in SIZES
    with np.errstate(all="ignore"):
        values = np.log10(drawn) if size else drawn
        there = None if at is None else np.log10(at) if size else at
    narrow = {"loss": NARROW_LOSS * drawn[0], "a": NARROW_SHARE}.get(name)
    one = judged_values(
        law.evidence,
        name,
        float(values[0]),
        values[1:],
        there,
        narrow=NARROW_SIZE if size else narrow,
        log=size,
    )
    return replace(one, value=float(drawn[0]), interval=None)


def _intervals(
    columns: Mapping[str, Float[np.ndarray, "m"]],
) -> dict[str, tuple[float, float]]:
    """68 % percentile interval of each column over its finite entries after the first,
    which is the fitted value; empty where there are none."""
    draws = {k: column[1:][np.isfinite(column[1:])] for k, column in columns.items()}
    ends = {name: percentiles(column) for name, column in draws.items() if column.size}
    return {name: (float(low), float(high)) for name, (low, high) in ends.items()}


def _extrapolation(law: FitResult, values: Mapping[str, float]) -> list[str]:
    """A warning with the values outside the rows fitted; empty where all are inside."""
    outside = []
    for name, value in values.items():
        low, high = law.span.get(name, (0.0, np.inf))
        if value > high * (1 + TOLERANCE):
            outside.append(f"{name} {value / high:.3g} times the largest")
        if value < low * (1 - TOLERANCE):
            outside.append(f"{name} {value / low:.3g} times the smallest")
    if not outside:
        return []
    return [
        f"extrapolation: {', '.join(outside)} in the rows fitted; add runs nearer to"
        " the plan to check it"
    ]


def _reliability(
    verdicts: Mapping[str, Verdict], loss: Float[np.ndarray, "m"]
) -> list[str]:
    """Warnings on quantities that are undecided and on draws without an optimum; `loss`
    is that of the fit and of its draws, NaN without an optimum."""
    warnings = [
        f"the plan is indicative only, {sentence}: add runs or fix a parameter before"
        " quoting it"
        for sentence in undecided(verdicts)
    ]
    lost, drawn = int(np.sum(np.isnan(loss[1:]))), len(loss) - 1
    if lost:
        warnings.append(
            f"{lost} of {drawn} draws have no optimum and are left out: the intervals"
            " are too narrow"
        )
    return warnings
