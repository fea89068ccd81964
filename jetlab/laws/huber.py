"""The objective of a fit, and Newton's method on it.

Hoffmann et al. (arXiv:2203.15556, Appendix D.3) minimise the sum over rows of
Huber_delta(log L_fit - log L) with delta = 1e-3. With scatter of per cents that is
nearly a sum of absolute deviations: few rows lie in the quadratic zone and the optimum
sits in a narrow crease, where least-squares steps converge slowly and Newton's do not.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import cho_solve
from jaxtyping import Array, Bool, Float, Int

from jetlab.laws.space import Space


class Rows(NamedTuple):
    """What a fit compares with: logarithms of the columns and of L, and weights.

    Rows of weight 0 pad a table to a size that is already compiled; they are last.
    """

    logs: dict[str, Float[Array, "n"]]
    log_loss: Float[Array, "n"]
    weight: Float[Array, "n"]

    @property
    def count(self) -> int:
        """Rows of the table, without the padding."""
        return int(np.count_nonzero(self.weight))


class Problem(NamedTuple):
    """A fit to do: where to move, what to compare with, and Huber's delta."""

    space: Space
    rows: Rows
    delta: Float[Array, ""]


def residuals(z: Float[Array, "k"], problem: Problem) -> Float[Array, "n"]:
    """log L_fit - log L, row by row."""
    space, rows, _ = problem
    return space.form.log_loss(space.theta(z), rows.logs) - rows.log_loss


def objective(z: Float[Array, "k"], problem: Problem) -> Float[Array, ""]:
    """Sum of w Huber(r), in units of delta^2 so that a solver sees numbers near 1."""
    r = jnp.abs(residuals(z, problem)) / problem.delta
    return jnp.sum(problem.rows.weight * jnp.where(r <= 1, r**2 / 2, r - 0.5))


def pseudo_residuals(z: Float[Array, "k"], problem: Problem) -> Float[Array, "n"]:
    """Numbers whose half sum of squares is the objective, for least-squares solvers:
    sign(r) sqrt(2 |r| - 1) where |r| > 1, else r (r in units of delta)."""
    r = residuals(z, problem) / problem.delta
    outside = jnp.abs(r) > 1
    root = jnp.sqrt(jnp.where(outside, 2 * jnp.abs(r) - 1, 1.0))  # no NaN gradient
    return jnp.sqrt(problem.rows.weight) * jnp.where(outside, jnp.sign(r) * root, r)


class State(NamedTuple):
    """Where Newton's method stands."""

    z: Float[Array, "k"]
    value: Float[Array, ""]
    damping: Float[Array, ""]
    step: Int[Array, ""]
    done: Bool[Array, ""]


class Local(NamedTuple):
    """The objective near a point: slope, curvature, and the curvature of a parabola
    above it (that of reweighted least squares), which never fails to be positive."""

    slope: Float[Array, "k"]
    curvature: Float[Array, "k k"]
    majorant: Float[Array, "k k"]
    imbalance: Float[Array, ""]


def local(z: Float[Array, "k"], problem: Problem) -> Local:
    """Derivatives at z. `imbalance` is 0 at an optimum and at most 1: for each
    parameter |sum of pulls| / sum of |pulls| of the rows, the largest of them. A
    parameter that runs to zero ceases to pull; its sum of |pulls| is held up."""
    r = residuals(z, problem) / problem.delta
    jacobian = jax.jacfwd(residuals)(z, problem) / problem.delta
    weight = problem.rows.weight
    slope = jacobian.T @ (weight * jnp.clip(r, -1, 1))
    pull = jnp.abs(jacobian).T @ weight
    idle = 1e-4 * jnp.sum(weight) / problem.delta  # d log L below 1e-4 for dz = 1
    reweighted = weight / jnp.maximum(1, jnp.abs(r))
    return Local(
        slope=slope,
        curvature=jax.hessian(objective)(z, problem),
        majorant=(jacobian.T * reweighted) @ jacobian,
        imbalance=jnp.max(jnp.abs(slope) / jnp.maximum(pull, idle)),
    )


def newton(
    z: Float[Array, "k"], problem: Problem, *, steps: Int[Array, ""], tolerance: float
) -> tuple[Float[Array, "k"], Float[Array, ""], Float[Array, ""]]:
    """Damped Newton steps until the imbalance is below `tolerance`.

    The damping is added in the metric of the majorant: large, it is a step of
    reweighted least squares cut short; small, it is Newton's. Returns z, the objective
    (in units of delta^2) and the imbalance there.
    """
    state = State(
        z=z,
        value=objective(z, problem),
        damping=jnp.ones_like(z[0]),
        step=jnp.zeros((), int),
        done=jnp.zeros((), bool),
    )
    advance = partial(_advance, problem=problem, tolerance=tolerance)
    state = jax.lax.while_loop(lambda s: ~s.done & (s.step < steps), advance, state)
    return state.z, state.value, local(state.z, problem).imbalance


def _advance(state: State, *, problem: Problem, tolerance: float) -> State:
    at = local(state.z, problem)
    ridge = 1e-12 * jnp.diag(jnp.diag(at.majorant) + 1e-300)  # for a flat direction
    damped = at.curvature + state.damping * at.majorant + ridge
    factor = jnp.linalg.cholesky(damped)  # NaN where not positive: the step is refused
    z = state.z - cho_solve((factor, True), at.slope)
    value = objective(z, problem)
    better = value <= state.value  # False for NaN
    return State(
        z=jnp.where(better, z, state.z),
        value=jnp.where(better, value, state.value),
        damping=jnp.clip(state.damping * jnp.where(better, 0.1, 6.0), 1e-9, 1e8),
        step=state.step + 1,
        done=at.imbalance <= tolerance,
    )
