"""The loss of a tagger: cross-entropy in nats."""

from typing import Any

import optax
from flax import nnx
from jaxtyping import Array, Float

from jetlab.types import Jets


def cross_entropy(
    tagger: Any, jets: Jets, rngs: nnx.Rngs | None = None
) -> Float[Array, ""]:
    """Mean over the jets of -ln p(true class); dropout acts only with `rngs`."""
    logits = tagger(jets.x, jets.mask, rngs=rngs)
    return optax.softmax_cross_entropy_with_integer_labels(logits, jets.y).mean()
