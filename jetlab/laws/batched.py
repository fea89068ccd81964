"""Many small fits at once: one compiled program, chunks of lanes, rounds of steps.

A vmapped loop runs until its slowest lane is done. Lanes therefore run in chunks, and
Newton's method in rounds: after a few steps only the lanes that need more go on.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jetlab.laws.newton import Problem, Rows, newton

HostOrDevice = np.ndarray | Array
CHUNK = 16
ROUNDS = (8, 40, 200)  # Newton steps
TOLERANCE = 1e-8  # of the imbalance, where Newton's method stops


class Lanes(NamedTuple):
    """Fits of one problem that differ in start, losses and weights."""

    z: Float[HostOrDevice, "lane k"]
    log_loss: Float[HostOrDevice, "lane n"]
    weight: Float[HostOrDevice, "lane n"]

    @classmethod
    def same_rows(cls, z: Float[np.ndarray, "lane k"], rows: Rows) -> "Lanes":
        """The rows as they are, from several starts."""
        shape = (len(z), len(rows.weight))
        return cls(
            z,
            np.broadcast_to(np.asarray(rows.log_loss), shape),
            np.broadcast_to(np.asarray(rows.weight), shape),
        )

    def take(self, index: Int[np.ndarray, "some"]) -> "Lanes":
        return Lanes(*(column[index] for column in self))


def lane_problem(
    problem: Problem, log_loss: Float[Array, "n"], weight: Float[Array, "n"]
) -> Problem:
    """The problem of one lane."""
    return problem._replace(rows=Rows(problem.rows.logs, log_loss, weight))


def in_chunks(
    function: Callable[[Lanes], tuple[Array, ...]], lanes: Lanes
) -> tuple[np.ndarray, ...]:
    """`function` over all lanes, CHUNK at a time so that it is compiled once."""
    count = len(lanes.z)
    padded = np.minimum(np.arange(-(-count // CHUNK) * CHUNK), count - 1)
    parts = [
        jax.tree.map(np.asarray, function(lanes.take(chunk)))
        for chunk in padded.reshape(-1, CHUNK)
    ]
    return tuple(np.concatenate(column)[:count] for column in zip(*parts, strict=True))


@jax.jit
def _newton_chunk(
    problem: Problem, lanes: Lanes, steps: Array
) -> tuple[Float[Array, "lane k"], Float[Array, "lane"], Float[Array, "lane"]]:
    def one(z, log_loss, weight):
        ours = lane_problem(problem, log_loss, weight)
        return newton(z, ours, steps=steps, tolerance=TOLERANCE)

    return jax.vmap(one)(*lanes)


def polish(
    problem: Problem, lanes: Lanes
) -> tuple[
    Float[np.ndarray, "lane k"], Float[np.ndarray, "lane"], Float[np.ndarray, "lane"]
]:
    """Newton's method in every lane: z, objective (in delta^2) and imbalance."""
    z = np.array(lanes.z)
    value, imbalance = np.full(len(z), np.inf), np.full(len(z), np.inf)
    todo = np.arange(len(z))
    for steps in ROUNDS:
        step = partial(_newton_chunk, problem, steps=jnp.asarray(steps))
        now = lanes._replace(z=z).take(todo)
        z[todo], value[todo], imbalance[todo] = in_chunks(step, now)
        todo = todo[~(imbalance[todo] <= TOLERANCE)]
        if todo.size == 0:
            break
    return z, value, imbalance
