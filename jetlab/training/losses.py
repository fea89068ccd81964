"""The loss of a tagger: cross-entropy in nats."""

from typing import Any

import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import Array, Float

from jetlab.training.batching import Batch


def cross_entropy(
    tagger: Any, jets: Batch, rngs: nnx.Rngs | None = None
) -> Float[Array, ""]:
    """Weighted sum over the jets of -ln p(true class), in float32.

    Dropout acts only with `rngs`.
    """
    logits = tagger.read(jets.x, jets.layout, rngs=rngs).astype(jnp.float32)
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, jets.y)
    return jnp.sum(jets.weight * losses)
