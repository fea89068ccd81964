"""Background rejections to expect of the compute-optimal tagger for a budget.

The law of the loss gives the lowest loss for the budget, R(L) = A e^(-B L) + C of each
signal class the rejection at that loss (arXiv:2602.15781, Section 4). Intervals combine
the draws of both fits as independent.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from math import inf, isfinite
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from jetlab.laws import forms
from jetlab.laws.evidence.draws import Draws
from jetlab.laws.plans import plan_certainty
from jetlab.laws.plans.allocation import allocate, optima
from jetlab.laws.plans.budget import flops_per_parameter
from jetlab.laws.plans.plan import Plan, RejectionForecast
from jetlab.laws.rejection import rejection_at, rejection_interval
from jetlab.laws.result import FitResult


class WorkingPoint(NamedTuple):
    """R(L) of a signal class at a signal efficiency against a background class, and
    `common_error`, the error of log R shared by the runs fitted."""

    efficiency: float
    background: str
    law: FitResult
    common_error: float


def predict_rejections(
    law: FitResult,
    points: Mapping[str, WorkingPoint],
    flops: float,
    *,
    particles: float | None = None,
) -> Plan:
    """The compute-optimal plan for `flops` FLOPs with `rejections` at its loss.

    Args:
      points: by signal class. A class whose R(L) has no finite value at the loss gets
        None and a warning.

    Raises:
      ValueError: as `allocate`, or for a point whose law is not a rejection law.
    """
    for signal, point in points.items():
        if point.law.form is not forms.rejection:
            raise ValueError(
                f"the law of {signal} is {point.law.form.formula}, where"
                f" {forms.rejection.formula} is needed"
            )
    particles = law.particles if particles is None else particles
    best = allocate(law, flops, particles=particles)
    if not isfinite(best.loss):
        raise ValueError(f"the law gives no finite loss at {flops:g} FLOPs")
    log_nd = float(np.log(flops / flops_per_parameter(particles)))
    draws = optima(law.form, plan_certainty.params_and_draws(law), log_nd)["loss"][1:]
    losses = draws[np.isfinite(draws)]
    found = tuple(
        forecast_rejection(signal, point, best.loss, losses)
        for signal, point in points.items()
    )
    return replace(
        best, rejections=found, warnings=(*best.warnings, *_by_warning(found))
    )


def forecast_rejection(
    signal: str, point: WorkingPoint, loss: float, losses: Float[np.ndarray, "m"]
) -> RejectionForecast:
    """The rejection of a class at a predicted loss in nats, with draws `losses`."""
    value = float(rejection_at(point.law, np.array([loss]))[0])
    interval, warnings = None, [f"R(L) has no finite value ({point.law.message})"]
    if isfinite(value):
        interval, missing = _interval(point, losses)
        warnings = [*_warnings(point.law, loss), *missing]
    return RejectionForecast(
        signal=signal,
        efficiency=point.efficiency,
        background=point.background,
        rejection=value if isfinite(value) else None,
        interval=interval,
        warnings=tuple(warnings),
    )


def _warnings(law: FitResult, loss: float) -> list[str]:
    """On the fit of R(L), and on a loss outside the range fitted."""
    lowest, highest = np.log(law.span["X"])
    warnings = []
    if not law.reliable:
        warnings.append(
            f"the fit of R(L) is not reliable ({law.message}): do not quote its"
            " rejection"
        )
    if law.params["B"] <= 0:
        warnings.append(
            f"R(L) rises with the loss (B = {law.params['B']:.3g}): add runs"
        )
    if loss < lowest - plan_certainty.TOLERANCE:
        warnings.append(
            f"the loss {loss:.4g} is below {lowest:.4g}, the lowest in the fit of R(L):"
            " add runs of more jets"
        )
    if loss > highest + plan_certainty.TOLERANCE:
        warnings.append(
            f"the loss {loss:.4g} is above {highest:.4g}, the highest in the fit of"
            " R(L): add runs of fewer jets"
        )
    return warnings


def _interval(
    point: WorkingPoint, losses: Float[np.ndarray, "m"]
) -> tuple[tuple[float, float] | None, list[str]]:
    """The interval, or None and a warning that says why."""
    draws = _finite(point.law.draws)
    if draws is None or not losses.size:
        missing = "R(L)" if losses.size else "the loss"
        return None, [f"no interval: {missing} has no draws; fit with --bootstrap 1000"]
    with np.errstate(over="ignore", invalid="ignore"):
        law = replace(point.law, draws=draws)
        low, high = rejection_interval(law, losses, point.common_error)
    if not (isfinite(low) and isfinite(high)):
        return None, ["no interval: draws of R(L) overflow"]
    return (low, high), []


def _finite(draws: Draws | None) -> Draws | None:
    """Draws of which every parameter is finite; None where there are none."""
    if draws is None or not draws.values:
        return None
    finite = np.all([np.isfinite(v) for v in draws.values.values()], axis=0)
    kept = {name: column[finite] for name, column in draws.values.items()}
    return replace(draws, values=kept) if finite.any() else None


def _by_warning(forecasts: tuple[RejectionForecast, ...]) -> list[str]:
    """Each warning once, after the classes that it applies to."""
    classes: dict[str, list[str]] = {}
    for one in forecasts:
        if one.warnings:
            classes.setdefault(one.message, []).append(one.signal)
    return [f"{', '.join(names)}: {message}" for message, names in classes.items()]


def read_fits(text: str) -> tuple[FitResult, dict[str, WorkingPoint]]:
    """The law of the loss and the working point of each class, from the fit.json of a
    study.

    Raises:
      ValueError: for any other text.
    """
    law = FitResult.from_json(text)
    found = json.loads(text).get("rejections")
    if not found:
        raise ValueError(
            "the file holds no rejection laws: predict takes the fit.json of a study of"
            " taggers, jetlab run experiments/physics.py"
        )
    if not isinstance(found, dict):
        raise ValueError("rejections is not an object with a key for each signal class")
    return law, {signal: _point(signal, record) for signal, record in found.items()}


def _point(signal: str, record: Any) -> WorkingPoint:
    keys = ("efficiency", "background", "law", "common_error")
    if not (isinstance(record, dict) and set(keys) <= record.keys()):
        raise ValueError(f"rejections: {signal} must have {', '.join(keys)}")
    efficiency, common = record["efficiency"], record["common_error"]
    if not (isinstance(efficiency, int | float) and 0 < efficiency <= 1):
        raise ValueError(
            f"rejections: the efficiency of {signal} is {efficiency!r}, not in (0, 1]"
        )
    if not (isinstance(common, int | float) and 0 <= common < inf):
        raise ValueError(f"rejections: the common error of {signal} is {common!r}")
    try:
        law = FitResult.from_json(json.dumps(record["law"]))
    except ValueError as error:
        raise ValueError(f"rejections: the law of {signal} is {error}") from error
    return WorkingPoint(
        float(efficiency), str(record["background"]), law, float(common)
    )
