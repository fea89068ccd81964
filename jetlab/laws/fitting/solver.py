"""The optimum of a fit: global search, Newton's method, and jaxopt's last word.

Variable projection proposes starts (`laws.fitting.starting_points`), Newton's method
descends from the best of them, and jaxopt's Levenberg-Marquardt goes on from the lowest
point. It finishes every fit: the objective returned is never above the one that jaxopt
reached.
"""

import warnings
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jetlab.laws.fitting import starting_points
from jetlab.laws.fitting.newton import (
    CONVERGED,
    ProblemBatch,
    in_chunks,
    newton_batch,
    one_of_batch,
)
from jetlab.laws.fitting.objective import (
    Problem,
    pseudo_residuals,
    residuals,
    row_weights,
)

with warnings.catch_warnings():
    # JAXopt warns at import that it is no longer maintained; users cannot act on it.
    warnings.simplefilter("ignore", DeprecationWarning)
    import jaxopt

EXPLORE = 40  # Levenberg-Marquardt steps from each start
FINALISTS = 16  # starts of Newton's method
FINISH = 10  # Levenberg-Marquardt steps from the lowest point
ROUNDING = 1e-12  # relative differences of the objective below it are the arithmetic's
DELTAS = (1e-4, 1e-5, 1e-6, 1e-7, 1e-8)  # of Huber's function towards |r|
CORRECTIONS = 3  # Newton steps to the vertex of absolute deviations


class Optimum(NamedTuple):
    """Where the objective is lowest: coordinates, objective (in units of log L), the
    relative gradient there, and how many starts reached it."""

    z: Float[np.ndarray, "k"]
    objective: float
    relative_gradient: float
    starts: int


def solve(problem: Problem, *, absolute: bool = False) -> Optimum:
    """The lowest optimum found. With `absolute` the sum of w |r| is minimised, from the
    optimum of Huber's function with the problem's delta."""
    batch = ProblemBatch.same_rows(_finalists(problem), problem.rows)
    z, value, gradient = newton_batch(problem, batch)
    value = np.nan_to_num(value, nan=np.inf)
    close = value <= value.min() * (1 + 1e-6) + 1e-9 * problem.rows.count
    settled = close & (gradient <= CONVERGED)  # in a flat valley not all of them
    best = _smallest(z, np.where(settled if settled.any() else close, value, np.inf))
    point = finish(problem, z[best], float(value[best]), float(gradient[best]))
    optimum, lowest, left = point
    lowest *= float(problem.delta**2)
    if absolute:
        optimum, lowest = least_absolute(problem, optimum)
    return Optimum(optimum, lowest, left, int(close.sum()))


def finish(
    problem: Problem, z: Float[np.ndarray, "k"], value: float, gradient: float
) -> tuple[Float[np.ndarray, "k"], float, float]:
    """jaxopt's Levenberg-Marquardt from Newton's point: z, objective (in delta^2) and
    relative gradient.

    Its point is taken if it is lower by more than rounding, with Newton steps after it;
    Newton's otherwise, to the bit.
    """
    start = ProblemBatch.same_rows(z[None], problem.rows)
    lower, reached = levenberg_marquardt(problem, start, FINISH)
    if not reached[0] < value * (1 - ROUNDING):
        return z, value, gradient
    last = newton_batch(problem, start._replace(z=lower))
    z, value, gradient = last[0][0], float(last[1][0]), float(last[2][0])
    return (z, value, gradient) if value <= reached[0] else (lower[0], reached[0], 1.0)


def levenberg_marquardt(
    problem: Problem, batch: ProblemBatch, steps: int
) -> tuple[Float[np.ndarray, "b k"], Float[np.ndarray, "b"]]:
    """jaxopt's solver for each fit: z and objective (in delta^2), infinite where it
    failed."""
    chunk = partial(_levenberg_marquardt_chunk, problem, steps=jnp.asarray(steps))
    z, value = in_chunks(chunk, batch)
    return z, np.nan_to_num(value, nan=np.inf)


@jax.jit
def _levenberg_marquardt_chunk(
    problem: Problem, batch: ProblemBatch, steps: Int[Array, ""]
) -> tuple[Float[Array, "b k"], Float[Array, "b"]]:
    solver = jaxopt.LevenbergMarquardt(
        pseudo_residuals,
        maxiter=steps,  # pyright: ignore[reportArgumentType]  (may be traced)
        tol=1e-6,
        solver="cholesky",
        materialize_jac=True,
        implicit_diff=False,
        unroll=False,  # jaxopt's default runs all the steps
    )

    def one(z, log_loss, weight):
        z, state = solver.run(z, one_of_batch(problem, log_loss, weight))
        return z, state.value

    return jax.vmap(one)(*batch)


def _finalists(problem: Problem) -> Float[np.ndarray, "start k"]:
    """Starts of Newton's method: the best points of the projected grid of exponents, or
    for a form without linear scales the best of Levenberg-Marquardt from its starts."""
    projected = starting_points.starts(problem, FINALISTS)
    if projected is not None:
        return projected
    batch = ProblemBatch.same_rows(problem.space.grid(), problem.rows)
    z, value = levenberg_marquardt(problem, batch, EXPLORE)
    return z[np.argsort(value)[:FINALISTS]]


def _smallest(z: Float[np.ndarray, "b k"], value: Float[np.ndarray, "b"]) -> int:
    """The lowest point; of points that are equal to rounding, along a flat valley, the
    one of the smallest norm, where no term and no exponent is extreme."""
    lowest = value <= value.min() * (1 + ROUNDING)
    return int(np.argmin(np.where(lowest, np.linalg.norm(z, axis=1), np.inf)))


def least_absolute(
    problem: Problem, z: Float[np.ndarray, "k"]
) -> tuple[Float[np.ndarray, "k"], float]:
    """The optimum of absolute deviations near Huber's at z, and the sum of w |r| there.

    The sum has its minimum at a vertex: the law passes exactly through as many rows as
    it has free parameters. Huber's optimum tends to it as delta falls, which shows the
    rows; the vertex is where their residuals vanish. Derivatives jump there, so that
    jaxopt finishes the smooth problem only, from which this one starts.
    """
    for delta in DELTAS:
        now = problem.with_delta(min(delta, float(problem.delta)))
        z = newton_batch(now, ProblemBatch.same_rows(z[None], problem.rows))[0][0]
    candidates = [z, _vertex(problem, z)]
    sums = [float(_deviations(jnp.asarray(point), problem)) for point in candidates]
    best = int(np.nanargmin(sums))
    return candidates[best], sums[best]


def _vertex(problem: Problem, z: Float[np.ndarray, "k"]) -> Float[np.ndarray, "k"]:
    """The zero of the k smallest residuals; z itself if they have no single one."""
    r, _ = _linearised(jnp.asarray(z), problem)
    size = np.where(np.asarray(problem.rows.weight) > 0, np.abs(r), np.inf)
    touched = np.argsort(size)[: len(z)]
    point = z
    for _ in range(CORRECTIONS):
        linear = _linearised(jnp.asarray(point), problem)
        r, jacobian = (np.asarray(part)[touched] for part in linear)
        if np.linalg.cond(jacobian) > 1e10:
            return z
        point = point - np.linalg.solve(jacobian, r)
    return point


@jax.jit
def _linearised(
    z: Float[Array, "k"], problem: Problem
) -> tuple[Float[Array, "n"], Float[Array, "n k"]]:
    return residuals(z, problem), jax.jacfwd(residuals)(z, problem)


@jax.jit
def _deviations(z: Float[Array, "k"], problem: Problem) -> Float[Array, ""]:
    r = residuals(z, problem)
    return jnp.sum(row_weights(r, problem) * jnp.abs(r))
