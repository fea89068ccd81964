"""Many steps in one call: a scan over batches gathered on the device."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from jetlab.training.step import Engine, TrainState

STEPS = 50  # long enough to hide the call, short enough to show progress


class Steps(NamedTuple):
    """What a chunk does: one pass for each of its leading entries.

    A batch is usually one pass. One that does not fit the static shape is cut in
    `parts` passes whose gradients are summed; the parameters move after the last.
    """

    # into the jets on the device; -1 where there is none
    rows: Int[Array | np.ndarray, "*s b"]
    part: Int[Array | np.ndarray, "*s"]
    parts: Int[Array | np.ndarray, "*s"]  # 0: nothing to do


def nothing(passes: int, batch: int) -> Steps:
    """So many passes with nothing to do, to be filled in on the host."""
    rows = np.full((passes, batch), -1, np.int32)
    return Steps(rows, np.zeros(passes, np.int32), np.zeros(passes, np.int32))


Take = Callable[[Any, Steps], Any]
"""(what lies on the device, one entry of `Steps`) -> the batch of a loss."""

Chunk = Callable[[TrainState, Any, Steps], tuple[TrainState, Array]]
"""(state, what lies on the device, steps) -> the state after, loss of each pass."""


def make_chunk(engine: Engine, take: Take) -> Chunk:
    """A scan of passes; those with nothing to do change nothing.

    On a CPU they are skipped. An accelerator computes them in vain and selects: a
    branch would copy the whole state at every step and break the launch of kernels in
    one graph (192 of 501 launches of a step at d = 4, compiled for an H200).
    """

    def chunk(state: TrainState, store: Any, steps: Steps) -> tuple[TrainState, Array]:
        def work(state: TrainState, total: Any, entry: Steps) -> Any:
            value, grads = engine.gradient(state, take(store, entry))
            total = jax.tree.map(jnp.add, total, grads)
            moved = (engine.update(state, total), jax.tree.map(jnp.zeros_like, total))
            last = entry.part + 1 == entry.parts
            return *_choose(last, moved, (state, total)), value

        def rest(state: TrainState, total: Any, entry: Steps) -> Any:
            return state, total, jnp.zeros(())

        def one(carry: tuple[TrainState, Any], entry: Steps) -> Any:
            *after, value = _branch(
                jnp.asarray(entry.parts) > 0, work, rest, *carry, entry
            )
            return tuple(after), value

        total = jax.tree.map(jnp.zeros_like, state.params)
        (state, _), values = jax.lax.scan(one, (state, total), steps)
        return state, values

    return chunk


def each_lane(chunk: Chunk) -> Chunk:
    """A chunk of every lane: states, steps and losses have a leading axis of lanes.

    One lane goes without `vmap`, under which a branch would compute both its sides.
    """
    many = jax.vmap(chunk, in_axes=(0, None, 0))

    def lanes(states: TrainState, store: Any, steps: Steps) -> tuple[TrainState, Array]:
        if len(states.step) > 1:
            return many(states, store, steps)
        state, step = jax.tree.map(lambda a: a[0], (states, steps))
        return jax.tree.map(lambda a: a[None], chunk(state, store, step))

    return lanes


def _branch(condition: Array, yes: Callable, no: Callable, *operands: Any) -> Any:
    if jax.default_backend() == "cpu":
        return jax.lax.cond(condition, yes, no, *operands)
    return _choose(condition, yes(*operands), no(*operands))


def _choose(condition: Array, yes: Any, no: Any) -> Any:
    def pick(a: Array, b: Array) -> Array:
        return jnp.where(condition, a, b)

    return jax.tree.map(pick, yes, no)


def compiler_options() -> dict[str, str]:
    """For `jax.jit`: on a CPU, XLA's own loops in place of YNNPACK's, which make a step
    a tenth to a fifth longer (jax 0.10.2)."""
    if jax.default_backend() != "cpu":
        return {}
    return {"xla_cpu_experimental_ynn_fusion_type": ""}
