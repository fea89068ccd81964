"""AdamW whose rates are arrays in its state, so that one program serves them all."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float


class Rates(NamedTuple):
    """What may differ between runs of one compiled program; constant over a run."""

    learning_rate: Float[Array, ""] | float = 1e-4
    weight_decay: Float[Array, ""] | float = 1e-2


def adamw() -> optax.GradientTransformationExtraArgs:
    """AdamW (arXiv:1711.05101) with betas 0.9, 0.999; `set_rates` before use.

    Decay acts on every parameter, biases and norms too, as PyTorch's default does.
    """
    make = optax.inject_hyperparams(
        optax.adamw, static_args=("b1", "b2", "eps", "eps_root", "nesterov")
    )
    return make(learning_rate=0.0, weight_decay=0.0)


def set_rates(state: Any, rates: Rates) -> Any:
    """The state of `adamw()` with these rates."""
    values = {k: jnp.asarray(v, jnp.float32) for k, v in rates._asdict().items()}
    return state._replace(hyperparams=values)
