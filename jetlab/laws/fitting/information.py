"""Fisher information of a fit: residuals, Jacobian, scatter and rough errors.

Errors here, sigma^2 (J^T J)^-1, serve verdicts, step sizes and designs; those that are
quoted come from bootstrap draws and profiles.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jetlab.laws.fitting.misfit import QUADRATIC
from jetlab.laws.fitting.objective import Problem, residuals


def scatter(residuals: Float[np.ndarray, "n"], free: int, *, squares: bool) -> float:
    """Robust standard deviation of log L from the residuals of a fit with `free`
    parameters: 1.4826 times their median size.

    Least squares shrink every residual, by sqrt(1 - k / n) on average. A fit of
    absolute deviations, or of Huber's far below the scatter, passes through k rows and
    leaves the others: those k say nothing of the scatter, and would make it a fifth of
    its size for 13 rows.
    """
    size = np.sort(np.abs(residuals))
    if squares:
        return float(1.4826 * np.median(size) * np.sqrt(len(size) / (len(size) - free)))
    return float(1.4826 * np.median(size[free:]))


class Linearised(NamedTuple):
    """A problem near a point z: residuals and their Jacobian, free parameters `theta`
    and their Jacobian.

    Rows are scaled by their weight as the misfit has it: by sqrt(w) for least squares,
    by w for misfits whose derivative is bounded.
    """

    residuals: Float[np.ndarray, "n"]
    jacobian: Float[np.ndarray, "n k"]
    theta: Float[np.ndarray, "k"]
    theta_jacobian: Float[np.ndarray, "k k"]


def linearise(problem: Problem, z: Float[Array | np.ndarray, "k"]) -> Linearised:
    """The problem near z, without the rows that pad it."""
    count = problem.rows.count
    r, jacobian, *theta = map(np.asarray, _linearise(problem, jnp.asarray(z)))
    return Linearised(r[:count], jacobian[:count], *theta)


@jax.jit
def _linearise(problem: Problem, z: Float[Array, "k"]) -> tuple[Array, ...]:
    weight = problem.rows.weight
    squares = problem.rho.threshold >= QUADRATIC
    scale = jnp.where(squares, jnp.sqrt(weight), weight)

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
    here = linearise(problem, z)
    return covariance_of(problem, here.residuals, here.jacobian)


def covariance_of(
    problem: Problem, r: Float[np.ndarray, "n"], jacobian: Float[np.ndarray, "n j"]
) -> Float[np.ndarray, "j j"]:
    """sigma^2 is that of the scatter, over the efficiency of the misfit."""
    count, free = jacobian.shape
    squares = bool(problem.rho.threshold >= QUADRATIC)
    sigma = scatter(r, free, squares=squares) * efficiency(problem, count, free)
    return sigma**2 * np.linalg.inv(jacobian.T @ jacobian)


def efficiency(problem: Problem, count: int, free: int) -> float:
    """Standard error by the misfit over that by least squares, for normal scatter.
    Absolute deviations, and Huber's far below the scatter, have the efficiency 2 / pi,
    and pass through k rows."""
    if problem.rho.threshold >= QUADRATIC:
        return 1.0
    return float(np.sqrt(np.pi / 2 * count / (count - free)))
