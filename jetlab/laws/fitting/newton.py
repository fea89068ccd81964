"""Newton's method on the objective of a fit, for one problem and for many at once.

A vmapped loop runs until its slowest member is done. Batches therefore run in chunks,
and Newton's method in rounds: after a few steps only the fits that need more go on.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import cho_solve
from jaxtyping import Array, Bool, Float, Int

from jetlab.laws.fitting.objective import (
    Problem,
    Rows,
    objective,
    residuals,
    row_weights,
)

HostOrDevice = np.ndarray | Array
ROUNDING = 1e-14  # relative, by which the sum over rows may rise in a step downhill
CHUNK = 16  # fits in one call of a compiled program
ROUNDS = (8, 40, 200)  # Newton steps
TOLERANCE = 1e-8  # of the relative gradient, where Newton's method stops
CONVERGED = 1e-5  # of the relative gradient: a fit above it has not converged


class State(NamedTuple):
    """An iterate of Newton's method."""

    z: Float[Array, "k"]
    value: Float[Array, ""]
    damping: Float[Array, ""]
    step: Int[Array, ""]
    done: Bool[Array, ""]


class Derivatives(NamedTuple):
    """Gradient and Hessian of the objective, and the Hessian of reweighted least
    squares, a parabola above the objective that is never concave."""

    gradient: Float[Array, "k"]
    hessian: Float[Array, "k k"]
    majorant: Float[Array, "k k"]
    relative_gradient: Float[Array, ""]


def derivatives(z: Float[Array, "k"], problem: Problem) -> Derivatives:
    """Derivatives at z.

    `relative_gradient` is 0 at an optimum and at most 1: the largest over parameters of
    |sum over rows| / sum over rows of |.| of w psi dr/dz. In the denominator |psi| is
    its mean over the rows, of delta at least, and the sum has a lower bound, for
    parameters that run to zero and cease to change the loss.
    """
    r = residuals(z, problem) / problem.delta
    jacobian = jax.jacfwd(residuals)(z, problem) / problem.delta
    weight, threshold = row_weights(r, problem), problem.rho.threshold
    gradient = jacobian.T @ (weight * jnp.clip(r, -threshold, threshold))
    mean = jnp.sum(weight * jnp.minimum(jnp.abs(r), threshold)) / jnp.sum(weight)
    size = jnp.abs(jacobian).T @ weight * jnp.maximum(1, mean)
    least = 1e-4 * jnp.sum(weight) / problem.delta  # d log L below 1e-4 for dz = 1
    reweighted = weight / jnp.maximum(1, jnp.abs(r) / threshold)
    return Derivatives(
        gradient=gradient,
        hessian=jax.hessian(objective)(z, problem),
        majorant=(jacobian.T * reweighted) @ jacobian,
        relative_gradient=jnp.max(jnp.abs(gradient) / jnp.maximum(size, least)),
    )


def newton(
    z: Float[Array, "k"], problem: Problem, *, steps: Int[Array, ""], tolerance: float
) -> tuple[Float[Array, "k"], Float[Array, ""], Float[Array, ""]]:
    """Damped Newton steps until the relative gradient is below `tolerance`.

    The damping multiplies the majorant: large, a step is one of reweighted least
    squares cut short; small, it is Newton's. A hundredth of the diagonal goes with it,
    for parameters that the rows cannot separate.

    Returns:
      z, the objective (in units of delta^2) and the relative gradient there.
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
    return state.z, state.value, derivatives(state.z, problem).relative_gradient


def _advance(state: State, *, problem: Problem, tolerance: float) -> State:
    at = derivatives(state.z, problem)
    share = 1e-12 + 1e-2 * state.damping  # a flat direction has no metric
    ridge = share * jnp.diag(jnp.diag(at.majorant) + 1e-300)
    damped = at.hessian + state.damping * at.majorant + ridge
    factor = jnp.linalg.cholesky(damped)  # NaN where not positive: the step is refused
    z = state.z - cho_solve((factor, True), at.gradient)
    value = objective(z, problem)
    better = value <= state.value * (1 + ROUNDING)  # False for NaN
    return State(
        z=jnp.where(better, z, state.z),
        value=jnp.where(better, value, state.value),
        damping=jnp.clip(state.damping * jnp.where(better, 0.1, 6.0), 1e-9, 1e8),
        step=state.step + 1,
        done=at.relative_gradient <= tolerance,
    )


class ProblemBatch(NamedTuple):
    """Fits of one problem that differ in start, losses and weights."""

    z: Float[HostOrDevice, "b k"]
    log_loss: Float[HostOrDevice, "b n"]
    weight: Float[HostOrDevice, "b n"]

    @classmethod
    def same_rows(cls, z: Float[np.ndarray, "b k"], rows: Rows) -> "ProblemBatch":
        """The same rows from several starts."""
        shape = (len(z), len(rows.weight))
        return cls(
            z,
            np.broadcast_to(np.asarray(rows.log_loss), shape),
            np.broadcast_to(np.asarray(rows.weight), shape),
        )

    def take(self, index: Int[np.ndarray, "some"]) -> "ProblemBatch":
        """Some of the fits."""
        return ProblemBatch(*(column[index] for column in self))


def one_of_batch(
    problem: Problem, log_loss: Float[Array, "n"], weight: Float[Array, "n"]
) -> Problem:
    """The problem with the losses and weights of one fit of a batch."""
    return problem._replace(rows=Rows(problem.rows.logs, log_loss, weight))


def in_chunks(
    function: Callable[[ProblemBatch], tuple[Array, ...]], batch: ProblemBatch
) -> tuple[np.ndarray, ...]:
    """`function` over a batch, CHUNK fits at a time so that it is compiled once."""
    count = len(batch.z)
    padded = np.minimum(np.arange(-(-count // CHUNK) * CHUNK), count - 1)
    parts = [
        jax.tree.map(np.asarray, function(batch.take(chunk)))
        for chunk in padded.reshape(-1, CHUNK)
    ]
    return tuple(np.concatenate(column)[:count] for column in zip(*parts, strict=True))


@jax.jit
def _newton_chunk(
    problem: Problem, batch: ProblemBatch, steps: Array
) -> tuple[Float[Array, "b k"], Float[Array, "b"], Float[Array, "b"]]:
    def one(z, log_loss, weight):
        ours = one_of_batch(problem, log_loss, weight)
        return newton(z, ours, steps=steps, tolerance=TOLERANCE)

    return jax.vmap(one)(*batch)


def newton_batch(
    problem: Problem, batch: ProblemBatch
) -> tuple[Float[np.ndarray, "b k"], Float[np.ndarray, "b"], Float[np.ndarray, "b"]]:
    """Newton's method for each fit: z, objective (in delta^2) and relative gradient."""
    z = np.array(batch.z)
    value, gradient = np.full(len(z), np.inf), np.full(len(z), np.inf)
    todo = np.arange(len(z))
    for steps in ROUNDS:
        step = partial(_newton_chunk, problem, steps=jnp.asarray(steps))
        now = batch._replace(z=z).take(todo)
        z[todo], value[todo], gradient[todo] = in_chunks(step, now)
        todo = todo[~(gradient[todo] <= TOLERANCE)]
        if todo.size == 0:
            break
    return z, value, gradient
