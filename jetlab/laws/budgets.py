"""What every plan by a fitted law shares: budgets, draws, intervals and reach."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import isfinite

import numpy as np
from jaxtyping import Float

from jetlab.laws.result import FitResult, percentiles

PARTICLES = 40.0
"""Mean particles in a JetClass jet, n_p of arXiv:2602.15781."""

SMALLEST_DIFFERENCE = 1e-9  # of a ratio, that makes a plan reach past the rows


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What the dataclasses of plans share."""

    def to_json(self) -> str:
        """One object with the fields as keys. Raises ValueError for a number that is
        not finite."""
        return json.dumps(asdict(self), allow_nan=False)


def device_budget(hours: float, rate: float) -> float:
    """FLOPs of `hours` device hours at `rate` achieved FLOP/s a device.

    Raises ValueError unless both are positive and finite.
    """
    require(device_hours=hours, flop_rate=rate)
    return hours * 3600 * rate


def simulation_cost(seconds: float, exchange: float) -> float:
    """FLOPs that the simulation of a jet is worth, from core-seconds a jet.

    `exchange` is the FLOPs of training that cost as much as a core-second of
    simulation: (price of a core-second) / (price of a FLOP). Raises ValueError unless
    both are positive and finite.
    """
    require(core_seconds=seconds, exchange=exchange)
    return seconds * exchange


def require(**numbers: float) -> None:
    """Raises ValueError that names the first number not positive and finite."""
    for name, value in numbers.items():
        if not (isfinite(value) and value > 0):
            raise ValueError(f"{name} is {value:g}; it must be positive and finite")


def check_law(fit: FitResult) -> None:
    """Raises ValueError for a fit that divides no budget between N and D."""
    form = fit.form
    if not ({"N", "D"} <= set(form.columns) and "L_inf" in form.names):
        raise ValueError(
            f"{form.name} has no N and D to divide a budget between: its law is"
            f" {form.formula}"
        )
    missing = [name for name in form.names if name not in fit.params]
    if missing:
        raise ValueError(f"the fit lacks {', '.join(missing)} of {form.name}")
    if not all(isfinite(fit.params[name]) for name in form.names):
        raise ValueError(f"the fit has no parameters to allocate by: {fit.message}")


def with_draws(fit: FitResult) -> dict[str, Float[np.ndarray, "m"]]:
    """The fit's parameters first, then those of its draws.

    Raises ValueError for draws that lack a parameter or differ in number.
    """
    draws = fit.draws.values if fit.draws else {}
    if len({len(draws.get(name, ())) for name in fit.form.names}) > 1:
        raise ValueError("the fit's draws do not hold every parameter equally often")
    return {
        name: np.append(fit.params[name], draws.get(name, ()))
        for name in fit.form.names
    }


def intervals(
    columns: Mapping[str, Float[np.ndarray, "m"]],
) -> dict[str, tuple[float, float]]:
    """68 % percentile interval of each quantity over the draws that have an optimum,
    the first entry being no draw; empty where there are no draws."""
    draws = {k: column[1:][np.isfinite(column[1:])] for k, column in columns.items()}
    ends = {name: percentiles(column) for name, column in draws.items() if column.size}
    return {name: (float(low), float(high)) for name, (low, high) in ends.items()}


def beyond(fit: FitResult, plan: Mapping[str, float]) -> dict[str, float]:
    """How many times each quantity of a plan exceeds the largest in the rows."""
    return {k: value / fit.span[k][1] for k, value in plan.items() if k in fit.span}


def reach(fit: FitResult, plan: Mapping[str, float]) -> list[str]:
    """In words, interpolation or extrapolation and by how much; and whether the fit
    bears a plan at all."""
    past = []
    for name, value in plan.items():
        low, high = fit.span.get(name, (0.0, np.inf))
        if value > high * (1 + SMALLEST_DIFFERENCE):
            past.append(f"{name} {value / high:.3g} times the largest")
        if value < low * (1 - SMALLEST_DIFFERENCE):
            past.append(f"{name} {value / low:.3g} times the smallest")
    words = [
        f"extrapolation: {', '.join(past)} in the rows fitted"
        if past
        else "interpolation: within the range of the rows fitted"
    ]
    if not (fit.converged and fit.identified):
        words.append(f"the fit does not bear a plan ({fit.message})")
    return words
