"""The set Transformer of arXiv:2602.15781, Section 2: a class token reads a jet."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float

from jetlab.models import cpu_attention
from jetlab.models.layers import Layer
from jetlab.models.token_layout import Layout, Padded


@dataclass(frozen=True, kw_only=True)
class Tagger:
    """What is chosen about a tagger; `build` makes it.

    The paper scales N by `width` alone, with 4 layers and max(1, width // 64) heads.
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
        """Attention runs over groups of jets where there is no kernel for CPUs."""
        return not cpu_attention.available()

    def build(self, rngs: nnx.Rngs) -> "SetTransformer":
        return SetTransformer(self, rngs=rngs)


class SetTransformer(nnx.Module):
    """Particles in, logits out; the order of the particles does not matter."""

    def __init__(self, config: Tagger, *, rngs: nnx.Rngs):
        width = config.width
        self.embed = nnx.Linear(config.features, width, rngs=rngs)
        # small, as in BERT (arXiv:1810.04805): the first layer's norm rescales it
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
        """Logits of padded jets; dropout acts only with `rngs` (stream `dropout`)."""
        rows = jnp.asarray(x).reshape(-1, x.shape[-1])
        return self.read(rows, Padded(mask), rngs=rngs)

    def read(
        self,
        particles: Float[Array, "n f"],
        layout: Layout,
        *,
        rngs: nnx.Rngs | None = None,
    ) -> Float[Array, "b k"]:
        """Logits of jets whose particles are rows of one array."""
        exact = self.class_token.dtype
        embedded = self.embed(particles.astype(exact))
        shape = (layout.jets, embedded.shape[-1])
        token = jnp.broadcast_to(self.class_token[...], shape)
        tokens = jnp.concatenate([token, embedded])
        salts = [None] * len(self.layers)
        if rngs is not None:
            salts = jax.random.bits(rngs.dropout(), (len(self.layers), 2, 2))
        for layer, salt in zip(self.layers[:-1], salts[:-1], strict=True):
            tokens = layer(tokens, layout, salt)
        tokens = self.layers[-1](tokens, layout, salts[-1], reads=layout.jets)
        return self.head(self.norm(tokens))
