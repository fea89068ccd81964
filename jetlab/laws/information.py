"""What rows tell near an optimum: what they miss, what moves them, and how surely.

Rough errors of a fit from its derivatives, for verdicts, step sizes and designs; those
that are quoted come from draws and profiles.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jetlab.laws.misfit import NEVER
from jetlab.laws.newton import Problem, residuals


def scatter(left: Float[np.ndarray, "n"], free: int, *, squares: bool) -> float:
    """Robust standard deviation of log L from the residuals of a fit with so many free
    parameters: 1.4826 times their median size.

    Least squares make every residual smaller, by sqrt(1 - k / n) on average. A fit of
    absolute deviations, or of Huber's far below the scatter, passes through k rows and
    leaves the others: those k tell nothing of the scatter, and would make a law through
    13 rows look five times better than it is.
    """
    size = np.sort(np.abs(left))
    if squares:
        return float(1.4826 * np.median(size) * np.sqrt(len(size) / (len(size) - free)))
    return float(1.4826 * np.median(size[free:]))


class Near(NamedTuple):
    """A problem at a point z: what misses, and what moves with z.

    `left` are residuals and `effects` their derivatives, each row scaled as its weight
    has it: by sqrt(w) for least squares, by w for misfits that pull alike at any
    distance. `theta` are the free parameters and `slopes` their derivatives.
    """

    left: Float[np.ndarray, "n"]
    effects: Float[np.ndarray, "n k"]
    theta: Float[np.ndarray, "k"]
    slopes: Float[np.ndarray, "k k"]


def near(problem: Problem, z: Float[Array | np.ndarray, "k"]) -> Near:
    """The problem at z, without the rows that pad it."""
    count = problem.rows.count
    left, effects, theta, slopes = map(np.asarray, _near(problem, jnp.asarray(z)))
    return Near(left[:count], effects[:count], theta, slopes)


@jax.jit
def _near(problem: Problem, z: Float[Array, "k"]) -> tuple[Array, ...]:
    weight = problem.rows.weight
    scale = jnp.where(problem.rho.knee >= NEVER, jnp.sqrt(weight), weight)

    def theta(z: Float[Array, "k"]) -> Float[Array, "k"]:
        values = problem.space.theta(z)
        return jnp.stack([values[p.name] for p in problem.space.free])

    return (
        scale * residuals(z, problem),
        scale[:, None] * jax.jacfwd(residuals)(z, problem),
        theta(z),
        jax.jacfwd(theta)(z),
    )


def covariance(
    problem: Problem, z: Float[Array | np.ndarray, "k"]
) -> Float[np.ndarray, "k k"]:
    """Rough covariance of z: sigma^2 (J^T J)^-1."""
    here = near(problem, z)
    return covariance_of(problem, here.left, here.effects)


def covariance_of(
    problem: Problem, left: Float[np.ndarray, "n"], effects: Float[np.ndarray, "n j"]
) -> Float[np.ndarray, "j j"]:
    """sigma^2 from the scatter; absolute deviations, and Huber's far below the scatter,
    have the efficiency 2 / pi under normal scatter, and k rows that tell nothing."""
    count, free = effects.shape
    squares = bool(problem.rho.knee >= NEVER)
    sigma = scatter(left, free, squares=squares)
    if not squares:
        sigma *= np.sqrt(np.pi / 2 * count / (count - free))
    return sigma**2 * np.linalg.inv(effects.T @ effects)
