"""Masked attention, the feed-forward block, and the pre-norm layer made of both."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float


class Attention(nnx.Module):
    """Multi-head attention of some queries over masked keys (arXiv:1706.03762)."""

    def __init__(self, width: int, heads: int, *, rngs: nnx.Rngs):
        self.heads = heads
        self.query = nnx.Linear(width, width, rngs=rngs)
        self.key_value = nnx.Linear(width, 2 * width, rngs=rngs)
        self.out = nnx.Linear(width, width, rngs=rngs)

    def __call__(
        self,
        queries: Float[Array, "b q d"],
        tokens: Float[Array, "b t d"],
        mask: Bool[Array, "b t"],
    ) -> Float[Array, "b q d"]:
        """softmax(q k^T / sqrt(d/h)) v; each jet needs a token that is not masked."""

        def by_head(x: Float[Array, "b s d"]) -> Float[Array, "b s h e"]:
            return x.reshape(*x.shape[:2], self.heads, -1)

        query = by_head(self.query(queries))
        key, value = map(by_head, jnp.split(self.key_value(tokens), 2, axis=-1))
        scores = jnp.einsum("bqhe,bthe->bhqt", query, key) / query.shape[-1] ** 0.5
        # exp(-inf) is exactly zero: a padded token has no weight, not a small one
        scores = jnp.where(mask[:, None, None, :], scores, -jnp.inf)
        mixed = jnp.einsum("bhqt,bthe->bqhe", jax.nn.softmax(scores), value)
        return self.out(mixed.reshape(queries.shape))


class FeedForward(nnx.Module):
    """Two linear maps with a GELU between, hidden width 4d (arXiv:1606.08415)."""

    def __init__(self, width: int, *, rngs: nnx.Rngs):
        self.up = nnx.Linear(width, 4 * width, rngs=rngs)
        self.down = nnx.Linear(4 * width, width, rngs=rngs)

    def __call__(self, x: Float[Array, "*b d"]) -> Float[Array, "*b d"]:
        return self.down(jax.nn.gelu(self.up(x), approximate=False))


class Layer(nnx.Module):
    """Pre-norm Transformer layer (arXiv:2002.04745) with dropout on each branch."""

    def __init__(self, width: int, heads: int, dropout: float, *, rngs: nnx.Rngs):
        self.norm_attention = nnx.LayerNorm(width, epsilon=1e-5, rngs=rngs)
        self.attention = Attention(width, heads, rngs=rngs)
        self.norm_forward = nnx.LayerNorm(width, epsilon=1e-5, rngs=rngs)
        self.forward = FeedForward(width, rngs=rngs)
        self.dropout = nnx.Dropout(dropout)

    def __call__(
        self,
        tokens: Float[Array, "b t d"],
        mask: Bool[Array, "b t"],
        *,
        reads: int | None = None,
        rngs: nnx.Rngs | None = None,
    ) -> Float[Array, "b q d"]:
        """Update the first `reads` tokens from all of them (all where None).

        A last layer of which only the class token is read needs no other row: the
        same numbers for a fifth less arithmetic. Dropout acts only with `rngs`.
        """
        normed = self.norm_attention(tokens)
        tokens = tokens[:, :reads]
        branch = self.attention(normed[:, :reads], normed, mask)
        tokens = tokens + self._drop(branch, rngs)
        branch = self.forward(self.norm_forward(tokens))
        return tokens + self._drop(branch, rngs)

    def _drop(
        self, x: Float[Array, "b q d"], rngs: nnx.Rngs | None
    ) -> Float[Array, "b q d"]:
        if rngs is None:
            return x
        return self.dropout(x, deterministic=False, rngs=rngs)
