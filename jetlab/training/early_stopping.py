"""The best parameters so far, and how long ago they were: part of a lane's state."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int


class Best(NamedTuple):
    """What early stopping keeps of a run."""

    params: Any
    loss: Float[Array, ""]
    step: Int[Array, ""]
    waited: Int[Array, ""]  # evaluations since


def begin(params: Any) -> Best:
    """Nothing has been evaluated yet."""
    zero = jnp.zeros((), jnp.int32)
    return Best(params, jnp.asarray(jnp.inf, jnp.float32), zero, zero)


def consider(best: Best, params: Any, loss: Array, step: Array) -> Best:
    """The better of what was best and these parameters; a NaN is never better."""
    better = loss < best.loss

    def pick(new: Array, old: Array) -> Array:
        return jnp.where(better, new, old)

    return Best(
        jax.tree.map(pick, params, best.params),
        pick(jnp.asarray(loss, jnp.float32), best.loss),
        pick(step, best.step),
        jnp.where(better, 0, best.waited + 1),
    )
