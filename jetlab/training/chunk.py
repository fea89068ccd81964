"""Many steps in one call: a scan over batches gathered on the device."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from jetlab.training.step import Engine, Info, TrainState

STEPS = 50  # long enough to hide the call, short enough to show progress


def make_chunk(engine: Engine) -> Callable[..., tuple[TrainState, Info]]:
    """`chunk(state, jets, rows, live)`: one step for each of the first `live` rows.

    `rows` (STEPS, batch) index into the leading axis of `jets`, which stay on the
    device. Rows past `live` are skipped, so every length of run is one program. The
    state's buffers are given up to the result.
    """

    def chunk(
        state: TrainState, jets: Any, rows: Int[Array, "s b"], live: Int[Array, ""]
    ) -> tuple[TrainState, Info]:
        def take(state: TrainState, row: Int[Array, "b"]) -> tuple[TrainState, Info]:
            return engine.step(state, jax.tree.map(lambda a: a[row], jets))

        def skip(state: TrainState, row: Int[Array, "b"]) -> tuple[TrainState, Info]:
            return state, Info(jnp.zeros(()), jnp.zeros(()))

        def one(state: TrainState, item: Any) -> tuple[TrainState, Info]:
            index, row = item
            return jax.lax.cond(index < live, take, skip, state, row)

        return jax.lax.scan(one, state, (jnp.arange(len(rows)), rows))

    return jax.jit(chunk, donate_argnums=0)
