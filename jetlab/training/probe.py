"""A piece of a tagger's step, quick to compile: how many lanes pay on this device."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from jetlab.models.layers import FeedForward
from jetlab.training.replicas import Probe


def feed_forward(width: int, rows: int, lanes: int) -> Probe:
    """Gradient of the feed-forward block on so many tokens, in so many lanes.

    It is a third of a layer's arithmetic and has its mixture of matrix products and
    elementwise work. Its memory is taken twelvefold: four layers, a third each.
    """
    model = FeedForward(width, rngs=nnx.Rngs(0))
    graphdef, params = nnx.split(model, nnx.Param)
    stacked = jax.tree.map(lambda a: jnp.stack([a] * lanes), params)

    def loss(weights, tokens: Float[Array, "t d"]) -> Float[Array, ""]:
        return jnp.square(nnx.merge(graphdef, weights)(tokens)).mean()

    tokens = jnp.ones((rows, width))
    step = jax.jit(jax.vmap(jax.grad(loss), in_axes=(0, None)))
    compiled = step.lower(stacked, tokens).compile()
    memory = compiled.memory_analysis()
    temporary = 0 if memory is None else memory.temp_size_in_bytes
    return Probe(lambda: compiled(stacked, tokens), 12 * temporary)
