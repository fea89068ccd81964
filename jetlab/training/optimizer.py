"""AdamW with its hyperparameters in the state, and early stopping.

Hyperparameters are arrays of the optimizer's state, so one compiled program serves runs
that differ in them.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int


class Hyperparams(NamedTuple):
    """What may differ between runs of one compiled program; constant over a run."""

    learning_rate: Float[Array, ""] | float = 1e-4
    weight_decay: Float[Array, ""] | float = 1e-2


def adamw() -> optax.GradientTransformationExtraArgs:
    """AdamW (arXiv:1711.05101) with betas 0.9, 0.999; `set_hyperparams` before use.

    Decay acts on every parameter, biases and norms too, as PyTorch's default does.
    """
    make = optax.inject_hyperparams(
        optax.adamw, static_args=("b1", "b2", "eps", "eps_root", "nesterov")
    )
    return make(learning_rate=0.0, weight_decay=0.0)


def set_hyperparams(state: Any, hyperparams: Hyperparams) -> Any:
    """The state of `adamw()` with these hyperparameters."""
    values = hyperparams._asdict().items()
    return state._replace(
        hyperparams={k: jnp.asarray(v, jnp.float32) for k, v in values}
    )


class Best(NamedTuple):
    """The parameters of the lowest validation loss, for early stopping."""

    params: Any
    loss: Float[Array, ""]
    step: Int[Array, ""]
    waited: Int[Array, ""]  # evaluations since


def no_best(params: Any) -> Best:
    """The state before the first evaluation."""
    zero = jnp.zeros((), jnp.int32)
    return Best(params, jnp.asarray(jnp.inf, jnp.float32), zero, zero)


def update_best(best: Best, params: Any, loss: Array, step: Array) -> Best:
    """These parameters in place of the best where their loss is lower; a NaN is not."""
    better = loss < best.loss

    def pick(new: Array, old: Array) -> Array:
        return jnp.where(better, new, old)

    return Best(
        jax.tree.map(pick, params, best.params),
        pick(jnp.asarray(loss, jnp.float32), best.loss),
        pick(step, best.step),
        jnp.where(better, 0, best.waited + 1),
    )
