"""Attention, the feed-forward block, dropout, and the pre-norm layer made of them.

Tokens are rows of one flat array; a `Layout` knows which of them make a jet.
"""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, UInt

from jetlab.models.token_layout import Layout


@jax.custom_vjp
def gelu(x: Float[Array, "*b d"]) -> Float[Array, "*b d"]:
    """x Phi(x) (arXiv:1606.08415), whose derivative is made with it and kept: without
    a second error function a step at d = 16 is a tenth shorter."""
    return _gelu_forward(x)[0]


def _gelu_forward(x: Array) -> tuple[Array, tuple[Array]]:
    below = 0.5 * (1 + jax.lax.erf(x * 0.5**0.5))
    slope = below + x * jnp.exp(-0.5 * x * x) * (2 * jnp.pi) ** -0.5
    return x * below, (slope,)


gelu.defvjp(_gelu_forward, lambda kept, grad: (grad * kept[0],))


def dropout(
    x: Float[Array, "t d"],
    ids: UInt[Array, "t"],
    salt: UInt[Array, "2"],
    rate: float,
) -> Float[Array, "t d"]:
    """Zero each entry with probability `rate`, scale the rest by 1 / (1 - rate).

    The bits are a hash of (salt, token, column): three rounds of multiply, shift and
    exclusive or, with the multipliers of a 32-bit mixer (C. Wellons' lowbias32). They
    are computed where they are used and stored nowhere; `jax.random` would cost a
    third of a tiny model's step. As a token's number does not depend on where it lies,
    a batch drops the same entries whether padded, flat or cut in parts.
    """
    columns = jnp.arange(x.shape[1], dtype=jnp.uint32)
    bits = (ids[:, None] * jnp.uint32(x.shape[1]) + columns) ^ salt[0]
    bits = (bits ^ (bits >> 16)) * jnp.uint32(0x21F0AAAD) + salt[1]
    bits = (bits ^ (bits >> 15)) * jnp.uint32(0x735A2D97)
    bits = (bits ^ (bits >> 15)) * jnp.uint32(0x21F0AAAD)
    bits = bits ^ (bits >> 16)
    keep = bits >= jnp.uint32(round(rate * 2**32))
    return jnp.where(keep, x * (1 / (1 - rate)), 0.0)


class Attention(nnx.Module):
    """Multi-head attention inside each jet (arXiv:1706.03762)."""

    def __init__(self, width: int, heads: int, *, rngs: nnx.Rngs):
        self.heads = heads
        self.query = nnx.Linear(width, width, rngs=rngs)
        self.key_value = nnx.Linear(width, 2 * width, rngs=rngs)
        self.out = nnx.Linear(width, width, rngs=rngs)

    def __call__(
        self, tokens: Float[Array, "t d"], layout: Layout, reads: int | None
    ) -> Float[Array, "q d"]:
        """For the first `reads` tokens: all of them (None) or the class tokens."""
        query, pairs = self.query(tokens[:reads]), self.key_value(tokens)
        return self.out(layout.attend(query, pairs, self.heads))


class FeedForward(nnx.Module):
    """Two linear maps with a GELU between, hidden width 4d."""

    def __init__(self, width: int, *, rngs: nnx.Rngs):
        self.up = nnx.Linear(width, 4 * width, rngs=rngs)
        self.down = nnx.Linear(4 * width, width, rngs=rngs)

    def __call__(self, x: Float[Array, "*b d"]) -> Float[Array, "*b d"]:
        return self.down(gelu(self.up(x)))


class Layer(nnx.Module):
    """Pre-norm Transformer layer (arXiv:2002.04745) with dropout on each branch."""

    def __init__(self, width: int, heads: int, rate: float, *, rngs: nnx.Rngs):
        self.rate = rate
        self.norm_attention = nnx.LayerNorm(width, epsilon=1e-5, rngs=rngs)
        self.attention = Attention(width, heads, rngs=rngs)
        self.norm_forward = nnx.LayerNorm(width, epsilon=1e-5, rngs=rngs)
        self.forward = FeedForward(width, rngs=rngs)

    def __call__(
        self,
        tokens: Float[Array, "t d"],
        layout: Layout,
        salts: UInt[Array, "2 2"] | None = None,
        *,
        reads: int | None = None,
    ) -> Float[Array, "q d"]:
        """Update the first `reads` tokens from all of them (all where None).

        A last layer of which only the class tokens are read needs no other row: the
        same numbers for a fifth less arithmetic. Dropout acts only with `salts`.
        """
        branch = self.attention(self.norm_attention(tokens), layout, reads)
        tokens = tokens[:reads] + self._drop(branch, layout, salts, 0)
        branch = self.forward(self.norm_forward(tokens))
        return tokens + self._drop(branch, layout, salts, 1)

    def _drop(
        self,
        x: Float[Array, "q d"],
        layout: Layout,
        salts: UInt[Array, "2 2"] | None,
        branch: int,
    ) -> Float[Array, "q d"]:
        if salts is None or not self.rate:
            return x
        return dropout(x, layout.ids[: len(x)], salts[branch], self.rate)
