"""The set Transformer of arXiv:2602.15781, Section 2, with one class token a jet."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float

from jetlab.models import cpu_attention
from jetlab.models.layers import Layer
from jetlab.models.token_layout import Layout, PaddedLayout


@dataclass(frozen=True, kw_only=True)
class Tagger:
    """The configuration of a tagger; `build` makes the module.

    The paper scales N by `width` alone, with 4 layers and max(1, width // 64) heads.

    Raises:
      ValueError: for a width that the number of heads does not divide.
    """

    width: int
    features: int = 21
    classes: int = 10
    layers: int = 4
    dropout: float = 0.01

    def __post_init__(self):
        if self.width < 1 or self.width % self.heads:
            raise ValueError(
                f"width {self.width} must be positive and divisible by its "
                f"{self.heads} heads: choose a multiple of {self.heads}"
            )

    @property
    def heads(self) -> int:
        return max(1, self.width // 64)

    @property
    def length_groups(self) -> bool:
        """Whether attention runs over groups of jets of similar length: without the
        CPU kernel."""
        return not cpu_attention.available()

    def build(self, rngs: nnx.Rngs) -> "SetTransformer":
        return SetTransformer(self, rngs=rngs)


class SetTransformer(nnx.Module):
    """Logits of jets from their particles, invariant under permutations of these."""

    def __init__(self, config: Tagger, *, rngs: nnx.Rngs):
        width = config.width
        self.embed = nnx.Linear(config.features, width, rngs=rngs)
        # 0.02 as in BERT (arXiv:1810.04805): the first layer's norm rescales it
        self.class_token = nnx.Param(0.02 * rngs.params.normal((width,)))
        self.layers = nnx.List(
            Layer(width, config.heads, config.dropout, rngs=rngs)
            for _ in range(config.layers)
        )
        self.norm = nnx.LayerNorm(width, epsilon=1e-5, rngs=rngs)
        self.head = nnx.Linear(width, config.classes, rngs=rngs)

    def __call__(
        self,
        x: Float[Array | np.ndarray, "b p f"],
        mask: Bool[Array | np.ndarray, "b p"],
        *,
        rngs: nnx.Rngs | None = None,
    ) -> Float[Array, "b k"]:
        """Logits of padded jets; `mask` is True for particles.

        Dropout acts only with `rngs`, from the stream `dropout`.
        """
        rows = jnp.asarray(x).reshape(-1, x.shape[-1])
        return self.call_flat(rows, PaddedLayout(mask), rngs=rngs)

    def call_flat(
        self,
        particles: Float[Array, "n f"],
        layout: Layout,
        *,
        rngs: nnx.Rngs | None = None,
    ) -> Float[Array, "b k"]:
        """Logits of jets whose particles are rows of one array, as the layout says."""
        dtype = self.class_token.dtype
        embedded = self.embed(particles.astype(dtype))
        shape = (layout.num_jets, embedded.shape[-1])
        class_tokens = jnp.broadcast_to(self.class_token[...], shape)
        tokens = jnp.concatenate([class_tokens, embedded])
        seeds = [None] * len(self.layers)
        if rngs is not None:
            seeds = jax.random.bits(rngs.dropout(), (len(self.layers), 2, 2))
        for layer, seed in zip(self.layers[:-1], seeds[:-1], strict=True):
            tokens = layer(tokens, layout, seed)
        last = self.layers[-1]
        tokens = last(tokens, layout, seeds[-1], num_queries=layout.num_jets)
        return self.head(self.norm(tokens))
