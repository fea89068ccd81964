"""Where to measure next: the runs that make a number surer, for a given compute.

A run at (N, D) adds x x^T to the information M of the rows, x being the gradient of
log L at that point. The variance of a number with gradient g is g^T M^-1 g, and one
more run lowers it by (g^T M^-1 x)^2 / (1 + x^T M^-1 x): c-optimal design (Pukelsheim,
Optimal Design of Experiments, 1993, Chapter 2) for scatter that is alike in all runs.
The gradients depend on the parameters, so gains are averaged over the fit's draws.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from jetlab.laws.budgets import Plan
from jetlab.laws.objective import Problem, residuals
from jetlab.laws.result import FitResult
from jetlab.records import Table

DRAWS = 50  # parameter sets that gains are averaged over
MOST = 200  # runs suggested; more are a new grid
STEP = 1e-4  # of a coordinate, for the gradient of a target

Target = Callable[[Mapping[str, float]], float]
"""A number that the parameters decide."""


@dataclass(frozen=True, kw_only=True)
class Suggestion(Plan):
    """Runs to add, the most useful per FLOP first.

    `gain` is the error of the target after them over the error before, expected from
    the information of the rows; `cost` is in FLOPs.
    """

    N: list[float]
    D: list[float]
    cost: float
    gain: float
    message: str


def suggest(
    fit: FitResult,
    candidates: Mapping[str, np.ndarray],
    costs: Float[np.ndarray, "c"],
    budget: float,
    target: Target,
) -> Suggestion:
    """The candidates (columns of the form, one entry a run; each may be chosen more
    than once, with another seed) that make `target` surest for `budget` FLOPs.

    Two ways of choosing are tried, by gain per FLOP and by gain alone, and the better
    is kept: either alone can be far from the best.

    Raises:
      ValueError: for a fit without parameters, or where no candidate is affordable.
    """
    if not np.isfinite(fit.objective):
        raise ValueError(f"there is no fit to improve on: {fit.message}")
    if not (costs <= budget).any():
        raise ValueError(
            f"no candidate is affordable: the cheapest takes {costs.min():.3g} FLOPs "
            f"of a budget of {budget:.3g}"
        )
    with jax.enable_x64(True):
        local = _linearised(fit, candidates, target)
    ways = [
        _greedy(local, costs, budget, per_flop=per_flop) for per_flop in (True, False)
    ]
    chosen, gain = min(ways, key=lambda way: way[1])
    return Suggestion(
        N=np.asarray(candidates["N"], float)[chosen].tolist(),
        D=np.asarray(candidates["D"], float)[chosen].tolist(),
        cost=float(costs[chosen].sum()),
        gain=gain,
        message=_words(fit, candidates, chosen, gain),
    )


@dataclass(frozen=True)
class _Local:
    """The problem near each of some parameter sets: inverse information of the rows,
    gradient of the target, gradients of log L at the candidates."""

    inverse: Float[np.ndarray, "m k k"]
    target: Float[np.ndarray, "m k"]
    points: Float[np.ndarray, "m c k"]


def _linearised(
    fit: FitResult, candidates: Mapping[str, np.ndarray], target: Target
) -> _Local:
    there = Table(fit.points, L=fit.predict(fit.points))
    problem = replace(fit, weight=None, table=there).problem
    columns = fit.form.columns
    logs = {n: jnp.log(jnp.asarray(candidates[n], float)) for n in columns}
    wanted = problem.rows._replace(logs=logs, log_loss=jnp.zeros(len(logs["N"])))
    sets = [problem.space.coordinates(params) for params in _parameters(fit)]
    slopes = jax.vmap(jax.jacfwd(residuals), in_axes=(0, None))
    z = jnp.asarray(np.array(sets))
    rows = np.asarray(slopes(z, problem))[:, : problem.rows.count]
    information = np.einsum("mni,mnj->mij", rows, rows)
    # a direction that no row tells of is known to a factor of e^100, not to infinity
    information += 1e-4 * np.eye(z.shape[1])
    return _Local(
        np.linalg.inv(information),
        np.array([_slope(problem, point, target) for point in sets]),
        np.asarray(slopes(z, problem._replace(rows=wanted))),
    )


def _parameters(fit: FitResult) -> list[dict[str, float]]:
    """Those of the fit and of some of its draws."""
    draws = fit.draws.values if fit.draws else {}
    columns = {k: [v, *draws.get(k, [])[:DRAWS]] for k, v in fit.params.items()}
    shortest = min(len(column) for column in columns.values())
    return [{k: float(v[i]) for k, v in columns.items()} for i in range(shortest)]


def _slope(problem: Problem, z: np.ndarray, target: Target) -> Float[np.ndarray, "k"]:
    """Of the target, by central differences."""
    steps = STEP * np.eye(len(z))
    params = problem.space.params
    return np.array(
        [(target(params(z + h)) - target(params(z - h))) / (2 * STEP) for h in steps]
    )


def _greedy(
    local: _Local, costs: Float[np.ndarray, "c"], budget: float, *, per_flop: bool
) -> tuple[Int[np.ndarray, "r"], float]:
    """Run after run while one is affordable; which, and the error left."""
    inverse, left, chosen = local.inverse.copy(), budget, []
    before = np.einsum("mi,mij,mj->m", local.target, inverse, local.target)
    weight = costs if per_flop else np.ones_like(costs)
    while (affordable := costs <= left).any():
        moved = np.einsum("mij,mcj->mci", inverse, local.points)
        known = 1 + np.einsum("mci,mci->mc", moved, local.points)
        gain = np.einsum("mci,mi->mc", moved, local.target) ** 2 / known
        share = np.mean(gain / before[:, None], axis=0) / weight
        best = int(np.argmax(np.where(affordable, share, -np.inf)))
        step = moved[:, best]
        inverse -= step[:, :, None] * step[:, None] / known[:, best, None, None]
        chosen.append(best)
        left -= costs[best]
        if len(chosen) == MOST:
            break
    after = np.einsum("mi,mij,mj->m", local.target, inverse, local.target)
    return np.array(chosen), float(np.sqrt(np.mean(after / before)))


def _words(
    fit: FitResult,
    candidates: Mapping[str, np.ndarray],
    chosen: Int[np.ndarray, "r"],
    gain: float,
) -> str:
    words = [f"the error is expected to shrink to {gain:.2g} of what it is"]
    past = [
        f"{name} to {far:.2g} times the largest fitted"
        for name in ("N", "D")
        if (far := np.max(candidates[name][chosen]) / fit.span[name][1]) > 1
    ]
    if past:
        words.append(f"this trusts the law beyond its rows ({', '.join(past)})")
    if not (fit.converged and fit.identified):
        words.append(f"the present fit decides little ({fit.message})")
    return "; ".join(words)
