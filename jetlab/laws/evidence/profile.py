"""Profile likelihood of one parameter: all others refitted at each of its values.

The statistic is that of a likelihood ratio for an M-estimator (Koenker and Bassett,
Econometrica 50 (1982) 43, for absolute deviations),

    W(v) = 2 [S(v) - S(best)] E[psi'] / E[psi^2] / q,

with S the sum of misfits and psi their derivative, for normal scatter of the size seen.
q is 1 where every row is its own cluster; else it is the effect of correlated rows on
the variance of the sum of psi, (sum over clusters of (sum of psi)^2) / (sum of psi^2),
exact where the rows of a cluster are one point (N, D). W is compared with the square of
Student's t with G - k degrees of freedom for G clusters, its distribution for normal
scatter, least squares and clusters of one.
"""

from dataclasses import dataclass, replace
from functools import partial
from math import erf, exp, isfinite, pi, sqrt

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jetlab.laws.evidence.clusters import Labels, row_clusters, too_few
from jetlab.laws.evidence.intervals import CONFIDENCE_LEVEL, student_quantile
from jetlab.laws.evidence.random_effects import RandomEffects, effects_of
from jetlab.laws.fitting.information import Linearised, covariance, linearise, scatter
from jetlab.laws.fitting.newton import CONVERGED, TOLERANCE, newton
from jetlab.laws.fitting.objective import Problem, objective
from jetlab.laws.result import FitResult

POINTS = 24  # on each side of the optimum
FARTHEST = np.log(1e3)  # a positive parameter is followed to a thousandth of its value
STEPS = 60  # of Newton's method at each value


@dataclass(frozen=True, kw_only=True)
class Profile:
    """W over values of a parameter, in order, with the optimum among them.

    `interval` holds the values that the rows do not exclude at `level`: sqrt(W) is
    below `limit` there. An end is 0 or infinite where they exclude no value on that
    side; `message` says so.
    """

    name: str
    values: Float[np.ndarray, "m"]
    statistic: Float[np.ndarray, "m"]
    interval: tuple[float, float]
    limit: float
    level: float
    message: str


def profile(
    fit: FitResult,
    name: str,
    *,
    labels: Labels | None = None,
    level: float = CONFIDENCE_LEVEL,
) -> Profile:
    """The profile of one free parameter. Clusters are those of
    `jetlab.laws.evidence.clusters.row_clusters`.

    Raises:
      ValueError: for a parameter that was not fitted, labels of another number of rows,
        or a fit without parameters or with an asymmetric misfit.
    """
    _check(fit, name)
    ids = row_clusters(fit, labels)
    with jax.enable_x64(True):
        whole = fit.problem
        here = fit.linearised
        effects = effects_of(here, ids)
        if effects is None:
            raise ValueError(too_few(int(ids.max()) + 1, fit.free))
        problem = _with_fixed(whole, name, fit.params[name])
        start = jnp.asarray(problem.space.coordinates(fit.params))
        best = float(objective(start, problem))
        sides = []
        for sign in (-1, 1):
            values = _values(fit, whole, name, sign)
            sums, gradient = _follow(problem, name, jnp.asarray(values), start)
            fine = np.asarray(gradient) <= CONVERGED
            sides.append((values[fine], np.asarray(sums)[fine]))
    (below, low), (above, high) = sides
    values = np.concatenate([below[::-1], [fit.params[name]], above])
    sums = np.concatenate([low[::-1], [best], high])
    scale = _scale(fit, here) / _inflation(fit, problem, effects, here)
    statistic = np.maximum(0, sums - sums.min()) * scale
    return _read(name, values, statistic, level, effects.freedom)


def _with_fixed(problem: Problem, name: str, value: float) -> Problem:
    """The problem with one parameter fixed."""
    space = problem.space
    bounds = {k: ends for k, ends in space.bounds.items() if k != name}
    space = replace(space, fixed={**space.fixed, name: value}, bounds=bounds)
    return problem._replace(space=space)


def _check(fit: FitResult, name: str) -> None:
    free = fit.free_names
    if name not in free:
        raise ValueError(f"{name} was not fitted; free were {', '.join(free)}")
    if not isfinite(fit.objective):
        raise ValueError(f"there is no fit to profile: {fit.message}")
    if fit.misfit.above != 1:
        raise ValueError(
            f"an asymmetric misfit (above = {fit.misfit.above:g}) has no profile: fit"
            " with above = 1"
        )
    if len(free) == 1:
        raise ValueError(f"{name} is the only free parameter: nothing to refit")


def _values(fit: FitResult, problem: Problem, name: str, sign: int) -> np.ndarray:
    """Values on one side of the optimum at growing distances: from a fifth of a
    standard error to beyond any value that rows could exclude."""
    (parameter,) = (p for p in fit.form.parameters if p.name == name)
    error = _error(fit, problem, name)
    farthest = FARTHEST if parameter.positive else max(2.0, 30 * error)
    steps = sign * np.geomspace(min(error / 5, farthest / 100), farthest, POINTS)
    best = fit.params[name]
    values = best * np.exp(steps) if parameter.positive else best + steps
    low, high = fit.bounds.get(name, (-np.inf, np.inf))
    return values[(values > low) & (values < high)]


def _error(fit: FitResult, problem: Problem, name: str) -> float:
    """Rough standard error of a parameter, of its logarithm if it is positive; 1 where
    there is none because a term has run to zero."""
    z = problem.space.coordinates(fit.params)
    names = [parameter.name for parameter in problem.space.free]
    slope = linearise(problem, z).theta_jacobian[names.index(name)]
    try:
        variance = float(slope @ covariance(problem, z) @ slope)
    except np.linalg.LinAlgError:
        return 1.0
    return float(np.sqrt(variance)) if isfinite(variance) and variance > 0 else 1.0


@partial(jax.jit, static_argnames="name")
def _follow(
    problem: Problem, name: str, values: Float[Array, "m"], start: Float[Array, "k"]
) -> tuple[Float[Array, "m"], Float[Array, "m"]]:
    """Objective and relative gradient at each value, each refit starting from the
    last."""

    def at(z: Array, value: Array) -> tuple[Array, tuple[Array, Array]]:
        space = replace(problem.space, fixed={**problem.space.fixed, name: value})
        ours = problem._replace(space=space)
        z, total, gradient = newton(
            z, ours, steps=jnp.asarray(STEPS), tolerance=TOLERANCE
        )
        return z, (total, gradient)

    return jax.lax.scan(at, start, values)[1]


def _scale(fit: FitResult, here: Linearised) -> float:
    """2 E[psi'] / E[psi^2] for normal scatter, psi in units of delta. Least squares
    take the scatter from the sum of squares, which makes W that of the F test."""
    if fit.misfit.kind == "squares":
        return fit.misfit.delta**2 * (fit.rows - fit.free) / max(fit.objective, 1e-300)
    own = here.residuals if fit.misfit.of == "L" else fit.residuals
    size = max(scatter(own, fit.free, squares=False), 1e-12) / fit.misfit.delta
    t = float(fit.misfit.rho.threshold)
    inside = erf(t / size / sqrt(2))
    edge = sqrt(2 / pi) * t / size * exp(-min(0.5 * (t / size) ** 2, 700.0))
    return 2 * inside / (size**2 * (inside - edge) + t**2 * (1 - inside))


def _inflation(
    fit: FitResult, problem: Problem, effects: RandomEffects, here: Linearised
) -> float:
    """q: the factor by which clusters raise the variance of the sum of psi. Least
    squares shrink the G sums, as they shrink residuals, by the share of the degrees of
    freedom between clusters that the law takes."""
    t = float(fit.misfit.rho.threshold)
    weight = np.asarray(problem.rows.weight)[: fit.rows]
    own = here.residuals / weight if fit.misfit.of == "L" else fit.residuals
    psi = weight * np.clip(own / fit.misfit.delta, -t, t)
    sums = np.bincount(effects.ids, psi)
    found = max(1.0, float(np.sum(sums**2) / max(np.sum(psi**2), 1e-300)))
    if fit.misfit.kind == "squares":
        found *= (1 - fit.free / fit.rows) / (effects.freedom / len(sums))
    return found


def _read(
    name: str, values: np.ndarray, statistic: np.ndarray, level: float, freedom: float
) -> Profile:
    """The interval, and the sides on which it is open."""
    limit = student_quantile(level, freedom)
    root, best = np.sqrt(statistic), int(np.argmin(statistic))
    low = _crossing(values[best::-1], root[best::-1], limit)
    high = _crossing(values[best:], root[best:], limit)
    open_ = [side for side, end in (("low", low), ("high", high)) if end is None]
    words = f"{level:.0%} of the likelihood ratio"
    if open_:
        words += f"; the rows exclude no {' and no '.join(open_)} value: a flat valley"
    return Profile(
        name=name,
        values=values,
        statistic=statistic,
        interval=(
            (0.0 if values[0] >= 0 else -np.inf) if low is None else low,
            np.inf if high is None else high,
        ),
        limit=limit,
        level=level,
        message=words,
    )


def _crossing(values: np.ndarray, root: np.ndarray, limit: float) -> float | None:
    """Where the statistic first exceeds the limit, going away from the optimum."""
    past = np.flatnonzero(root > limit)
    if not past.size:
        return None
    after = int(past[0])
    share = (limit - root[after - 1]) / (root[after] - root[after - 1])
    return float(values[after - 1] + share * (values[after] - values[after - 1]))
