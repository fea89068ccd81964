"""The optimum of absolute deviations, from Huber's.

The sum of |r| has its minimum at a vertex: the law goes exactly through as many rows as
it has free parameters. Huber's optimum comes close to it as delta falls, and tells
which rows those are; the vertex itself is where their residuals vanish.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jetlab.laws.batched import Lanes, polish
from jetlab.laws.newton import Problem, residuals, sided

SHARPENED = (1e-4, 1e-5, 1e-6, 1e-7, 1e-8)  # deltas on the way
CORRECTIONS = 3  # Newton steps to the vertex, from a millionth away


def sharpened(
    problem: Problem, z: Float[np.ndarray, "k"]
) -> tuple[Float[np.ndarray, "k"], float]:
    """The optimum near Huber's at z, and the sum of w |r| there."""
    for delta in SHARPENED:
        now = problem.sharpened(min(delta, float(problem.delta)))
        z = polish(now, Lanes.same_rows(z[None], problem.rows))[0][0]
    candidates = [z, _vertex(problem, z)]
    sums = [float(_deviations(jnp.asarray(point), problem)) for point in candidates]
    best = int(np.nanargmin(sums))
    return candidates[best], sums[best]


def _vertex(problem: Problem, z: Float[np.ndarray, "k"]) -> Float[np.ndarray, "k"]:
    """Where the rows that the law all but goes through have no residuals; z itself if
    they do not decide one point."""
    miss, _ = _misses(jnp.asarray(z), problem)
    size = np.where(np.asarray(problem.rows.weight) > 0, np.abs(miss), np.inf)
    touched = np.argsort(size)[: len(z)]
    point = z
    for _ in range(CORRECTIONS):
        miss, slope = (
            np.asarray(part) for part in _misses(jnp.asarray(point), problem)
        )
        if np.linalg.cond(slope[touched]) > 1e10:
            return z
        point = point - np.linalg.solve(slope[touched], miss[touched])
    return point


@jax.jit
def _misses(
    z: Float[Array, "k"], problem: Problem
) -> tuple[Float[Array, "n"], Float[Array, "n k"]]:
    return residuals(z, problem), jax.jacfwd(residuals)(z, problem)


@jax.jit
def _deviations(z: Float[Array, "k"], problem: Problem) -> Float[Array, ""]:
    r = residuals(z, problem)
    return jnp.sum(sided(r, problem) * jnp.abs(r))
