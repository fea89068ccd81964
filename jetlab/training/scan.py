"""Many steps in one call: a scan over micro-batches gathered on the device."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from jetlab.training.step import Engine, TrainState

SCAN_LENGTH = 50  # long enough to hide the call, short enough to show progress


class MicroBatches(NamedTuple):
    """The schedule of a scan: one micro-batch for each of the leading entries.

    A batch is usually one micro-batch. One that does not fit the static shape is
    divided into `count` micro-batches whose gradients are summed; the parameters are
    updated after the last.
    """

    # into the jets on the device; -1 for an empty place
    rows: Int[Array | np.ndarray, "*s b"]
    index: Int[Array | np.ndarray, "*s"]  # of the micro-batch within its batch
    count: Int[Array | np.ndarray, "*s"]  # micro-batches of the batch; 0: idle entry


def empty_schedule(length: int, batch: int) -> MicroBatches:
    """A schedule of idle entries, to be filled in on the host."""
    rows = np.full((length, batch), -1, np.int32)
    return MicroBatches(rows, np.zeros(length, np.int32), np.zeros(length, np.int32))


GatherFn = Callable[[Any, MicroBatches], Any]
"""(jets on the device, one entry of a schedule) -> the batch of a loss."""

Scan = Callable[[TrainState, Any, MicroBatches], tuple[TrainState, Array]]
"""(state, jets on the device, schedule) -> (final state, loss of each entry)."""


def make_scan(engine: Engine, gather: GatherFn) -> Scan:
    """A scan over micro-batches; idle entries leave the state as it is.

    On a CPU idle entries are skipped. An accelerator computes them and selects: a
    branch would copy the whole state at every step and prevent the launch of all
    kernels as one graph (192 of 501 launches of a step at d = 4, compiled for an H200).
    """

    def scan(
        state: TrainState, jets: Any, schedule: MicroBatches
    ) -> tuple[TrainState, Array]:
        def work(state: TrainState, total: Any, entry: MicroBatches) -> Any:
            value, grads = engine.gradient(state, gather(jets, entry))
            total = jax.tree.map(jnp.add, total, grads)
            moved = (engine.update(state, total), jax.tree.map(jnp.zeros_like, total))
            last = entry.index + 1 == entry.count
            return *_select(last, moved, (state, total)), value

        def idle(state: TrainState, total: Any, entry: MicroBatches) -> Any:
            return state, total, jnp.zeros(())

        def one(carry: tuple[TrainState, Any], entry: MicroBatches) -> Any:
            *after, value = _branch(
                jnp.asarray(entry.count) > 0, work, idle, *carry, entry
            )
            return tuple(after), value

        total = jax.tree.map(jnp.zeros_like, state.params)
        (state, _), values = jax.lax.scan(one, (state, total), schedule)
        return state, values

    return scan


def each_replica(scan: Scan) -> Scan:
    """A scan of every replica: states, schedules and losses get a leading axis.

    One replica runs without `vmap`, under which a branch would compute both sides.
    """
    many = jax.vmap(scan, in_axes=(0, None, 0))

    def replicas(
        states: TrainState, jets: Any, schedules: MicroBatches
    ) -> tuple[TrainState, Array]:
        if len(states.step) > 1:
            return many(states, jets, schedules)
        state, schedule = jax.tree.map(lambda a: a[0], (states, schedules))
        return jax.tree.map(lambda a: a[None], scan(state, jets, schedule))

    return replicas


def _branch(condition: Array, yes: Callable, no: Callable, *operands: Any) -> Any:
    if jax.default_backend() == "cpu":
        return jax.lax.cond(condition, yes, no, *operands)
    return _select(condition, yes(*operands), no(*operands))


def _select(condition: Array, yes: Any, no: Any) -> Any:
    def pick(a: Array, b: Array) -> Array:
        return jnp.where(condition, a, b)

    return jax.tree.map(pick, yes, no)


def compiler_options() -> dict[str, str]:
    """For `jax.jit`: on a CPU, XLA's own loops in place of YNNPACK's, which make a step
    a tenth to a fifth longer (jax 0.10.2)."""
    if jax.default_backend() != "cpu":
        return {}
    return {"xla_cpu_experimental_ynn_fusion_type": ""}
