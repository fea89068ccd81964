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

from jetlab.laws.misfit import Rho
from jetlab.laws.parameterization import Space

ROUNDING = 1e-14  # relative, by which the sum over rows may rise in a step downhill


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
    """A fit to do: where to move, what to compare with, and what a miss costs."""

    space: Space
    rows: Rows
    rho: Rho

    @property
    def delta(self) -> Float[Array, ""]:
        """The unit of residuals; Huber's delta."""
        return self.rho.delta

    def sharpened(self, delta: float) -> "Problem":
        """The same problem with another delta."""
        return self._replace(rho=self.rho._replace(delta=jnp.asarray(delta)))


def residuals(z: Float[Array, "k"], problem: Problem) -> Float[Array, "n"]:
    """log L_fit - log L, row by row."""
    space, rows, _ = problem
    return space.form.log_loss(space.theta(z), rows.logs) - rows.log_loss


def sided(r: Float[Array, "n"], problem: Problem) -> Float[Array, "n"]:
    """Weights of the rows, those above the law (L > L_fit) counted `above` times."""
    return problem.rows.weight * jnp.where(r < 0, problem.rho.above, 1.0)


def objective(z: Float[Array, "k"], problem: Problem) -> Float[Array, ""]:
    """Sum of w rho(r), in units of delta^2 so that a solver sees numbers near 1."""
    r = residuals(z, problem) / problem.delta
    size, knee = jnp.abs(r), problem.rho.knee
    rho = jnp.where(size <= knee, size**2 / 2, knee * size - knee**2 / 2)
    return jnp.sum(sided(r, problem) * rho)


def pseudo_residuals(z: Float[Array, "k"], problem: Problem) -> Float[Array, "n"]:
    """Numbers whose half sum of squares is the objective, for least-squares solvers:
    r up to the knee k, sign(r) sqrt(2 k |r| - k^2) beyond (r in units of delta)."""
    r = residuals(z, problem) / problem.delta
    knee = problem.rho.knee
    outside = jnp.abs(r) > knee
    square = jnp.where(outside, 2 * knee * jnp.abs(r) - knee**2, 1.0)  # no NaN gradient
    size = jnp.where(outside, jnp.sign(r) * jnp.sqrt(square), r)
    return jnp.sqrt(sided(r, problem)) * size


class State(NamedTuple):
    """Where Newton's method stands."""

    z: Float[Array, "k"]
    value: Float[Array, ""]
    damping: Float[Array, ""]
    step: Int[Array, ""]
    done: Bool[Array, ""]


class Local(NamedTuple):
    """The objective near a point: slope, curvature, and the curvature of a parabola
    above it (that of reweighted least squares), which is never negative."""

    slope: Float[Array, "k"]
    curvature: Float[Array, "k k"]
    majorant: Float[Array, "k k"]
    imbalance: Float[Array, ""]


def local(z: Float[Array, "k"], problem: Problem) -> Local:
    """Derivatives at z. `imbalance` is 0 at an optimum and at most 1: for each
    parameter |sum of pulls| / sum of |pulls| of the rows, the largest of them, a pull
    being the mean one (of delta at least). A parameter that runs to zero ceases to
    pull; its sum of |pulls| is held up."""
    r = residuals(z, problem) / problem.delta
    jacobian = jax.jacfwd(residuals)(z, problem) / problem.delta
    weight, knee = sided(r, problem), problem.rho.knee
    slope = jacobian.T @ (weight * jnp.clip(r, -knee, knee))
    mean = jnp.sum(weight * jnp.minimum(jnp.abs(r), knee)) / jnp.sum(weight)
    pull = jnp.abs(jacobian).T @ weight * jnp.maximum(1, mean)
    idle = 1e-4 * jnp.sum(weight) / problem.delta  # d log L below 1e-4 for dz = 1
    reweighted = weight / jnp.maximum(1, jnp.abs(r) / knee)
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
    reweighted least squares cut short; small, it is Newton's. A hundredth of its
    diagonal goes with it, for parameters that the rows cannot separate. Returns z, the
    objective (in units of delta^2) and the imbalance there.
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
    share = 1e-12 + 1e-2 * state.damping  # a flat direction has no metric
    ridge = share * jnp.diag(jnp.diag(at.majorant) + 1e-300)
    damped = at.curvature + state.damping * at.majorant + ridge
    factor = jnp.linalg.cholesky(damped)  # NaN where not positive: the step is refused
    z = state.z - cho_solve((factor, True), at.slope)
    value = objective(z, problem)
    better = value <= state.value * (1 + ROUNDING)  # False for NaN
    return State(
        z=jnp.where(better, z, state.z),
        value=jnp.where(better, value, state.value),
        damping=jnp.clip(state.damping * jnp.where(better, 0.1, 6.0), 1e-9, 1e8),
        step=state.step + 1,
        done=at.imbalance <= tolerance,
    )
