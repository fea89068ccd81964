"""The rejection of one signal class at an expected loss, and what stands against it."""

from dataclasses import dataclass, replace
from math import isfinite
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from jetlab.laws.budgets import SMALLEST_DIFFERENCE
from jetlab.laws.rejection import foretold, rejection_at
from jetlab.laws.result import Draws, FitResult


class Mapped(NamedTuple):
    """R(L) of a signal class at a signal efficiency against a background class, and
    the error of log R that its runs share."""

    efficiency: float
    background: str
    law: FitResult
    common_error: float


@dataclass(frozen=True, kw_only=True)
class Expected:
    """The rejection expected of a class; None where there is no number. `message` says
    what stands against it, and is empty where nothing does."""

    signal: str
    efficiency: float
    background: str
    rejection: float | None
    interval: tuple[float, float] | None
    message: str


def expect(
    signal: str, mapped: Mapped, loss: float, losses: Float[np.ndarray, "m"]
) -> Expected:
    """The rejection of a class at the expected loss, whose draws are `losses`."""
    value = float(rejection_at(mapped.law, np.array([loss]))[0])
    interval, words = None, [f"R(L) gives no number ({mapped.law.message})"]
    if isfinite(value):
        interval, why_none = _interval(mapped, losses)
        words = [*_warnings(mapped.law, loss), *why_none]
    return Expected(
        signal=signal,
        efficiency=mapped.efficiency,
        background=mapped.background,
        rejection=value if isfinite(value) else None,
        interval=interval,
        message=", and ".join(words),
    )


def _warnings(law: FitResult, loss: float) -> list[str]:
    """Why the number at this loss is to be doubted."""
    lowest, highest = np.log(law.span["X"])
    words = []
    if not (law.converged and law.identified):
        words.append(
            f"the fit of R(L) does not bear a number to be quoted ({law.message})"
        )
    if law.params["B"] <= 0:
        words.append(
            f"R does not fall with the loss in this fit (B = {law.params['B']:.3g})"
        )
    if loss < lowest - SMALLEST_DIFFERENCE:
        words.append(
            f"the expected loss {loss:.4g} lies below {lowest:.4g}, the lowest that"
            " R(L) was fitted to, where R grows steeply"
        )
    if loss > highest + SMALLEST_DIFFERENCE:
        words.append(
            f"the expected loss {loss:.4g} lies above {highest:.4g}, the highest that"
            " R(L) was fitted to"
        )
    return words


def _interval(
    mapped: Mapped, losses: Float[np.ndarray, "m"]
) -> tuple[tuple[float, float] | None, list[str]]:
    """The interval, or None and why."""
    draws = _sound(mapped.law.draws)
    if draws is None or not losses.size:
        lacking = "R(L)" if losses.size else "the loss"
        return None, [f"without draws of {lacking} there is no interval"]
    with np.errstate(over="ignore", invalid="ignore"):
        law = replace(mapped.law, draws=draws)
        low, high = foretold(law, losses, mapped.common_error)
    if not (isfinite(low) and isfinite(high)):
        return None, ["the draws of R(L) give no finite interval"]
    return (low, high), []


def _sound(draws: Draws | None) -> Draws | None:
    """The draws that are numbers; None where there are none."""
    if draws is None or not draws.values:
        return None
    sound = np.all([np.isfinite(v) for v in draws.values.values()], axis=0)
    kept = {name: column[sound] for name, column in draws.values.items()}
    return replace(draws, values=kept) if sound.any() else None
