"""Parameters and FLOPs of a tagger by every convention, in groups that sum up.

A multiplication and an addition count as two FLOPs. A training step costs three times
the forward pass: the backward pass computes two products for each of the forward pass.
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from jetlab.models.tagger import Tagger


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """The numbers of parameters of a tagger by function."""

    embedding: int  # of the particles, and the class token
    attention: int
    feed_forward: int
    norms: int
    head: int

    @property
    def total(self) -> int:
        """N as in arXiv:2602.15781: all parameters."""
        return self.nonembedding + self.embedding + self.head

    @property
    def nonembedding(self) -> int:
        """N as in arXiv:2001.08361: without embedding and head."""
        return self.attention + self.feed_forward + self.norms


def parameters(config: Tagger) -> Parameters:
    """Number of parameters by group, from the formula.

    For 21 features, 10 classes and 4 layers the total is 48 d^2 + 87 d + 10.
    """
    d, layers = config.width, config.layers
    return Parameters(
        embedding=(config.features + 1) * d + d,
        attention=layers * 4 * (d * d + d),
        feed_forward=layers * (8 * d * d + 5 * d),
        norms=(2 * layers + 1) * 2 * d,
        head=(d + 1) * config.classes,
    )


@dataclass(frozen=True, kw_only=True)
class Products:
    """FLOPs of the matrix products of a forward pass on one jet."""

    embedding: float
    projections: float  # queries, keys, values and the output of attention
    scores: float  # q k^T and the weighted sum of values
    feed_forward: float
    head: float

    @property
    def forward(self) -> float:
        return (
            self.embedding
            + self.projections
            + self.scores
            + self.feed_forward
            + self.head
        )

    @property
    def training(self) -> float:
        """FLOPs of both passes; the input of the embedding needs no gradient."""
        return 3 * self.forward - self.embedding


def products(config: Tagger, particles: float, particles_squared: float) -> Products:
    """FLOPs a jet of the matrix products, averaged over jets.

    Attention pairs all T = n + 1 tokens of a jet of n particles, so its cost is
    proportional to the mean of T^2, which exceeds the square of the mean. The last
    layer updates the class token alone.

    Args:
      particles: mean of n.
      particles_squared: mean of n^2.
    """
    d, full = config.width, config.layers - 1
    tokens = particles + 1
    pairs = particles_squared + 2 * particles + 1
    return Products(
        embedding=2 * config.features * d * particles,
        projections=full * 8 * d * d * tokens + 4 * d * d * tokens + 4 * d * d,
        scores=full * 4 * d * pairs + 4 * d * tokens,
        feed_forward=16 * d * d * (full * tokens + 1),
        head=2 * config.classes * d,
    )


def estimate(config: Tagger, particles: float) -> float:
    """6 N n_p: the paper's FLOPs of training on one jet (arXiv:2602.15781, Sec. 2)."""
    return 6 * parameters(config).total * particles


def measured(config: Tagger, particles: int, batch: int = 128) -> float:
    """FLOPs a jet of one training step by XLA's cost analysis, padded to `particles`.

    It includes elementwise operations, so it exceeds `products(...).training`.

    Raises:
      RuntimeError: on a backend without cost analysis.
    """
    model = nnx.eval_shape(lambda: config.build(nnx.Rngs(0)))
    graphdef, params = nnx.split(model, nnx.Param)

    def loss(params: Any, x: Float[Array, "b p f"], mask: Array) -> Float[Array, ""]:
        logits = nnx.merge(graphdef, params)(x, mask)
        return -jnp.mean(jax.nn.log_softmax(logits)[:, 0])

    x = jax.ShapeDtypeStruct((batch, particles, config.features), jnp.float32)
    mask = jax.ShapeDtypeStruct((batch, particles), jnp.bool_)
    compiled = jax.jit(jax.grad(loss)).lower(params, x, mask).compile()
    cost = compiled.cost_analysis()
    if cost is None:
        raise RuntimeError(f"{jax.default_backend()} gives no cost analysis: use a CPU")
    return float(cost["flops"]) / batch
