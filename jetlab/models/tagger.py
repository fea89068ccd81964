"""The set Transformer of arXiv:2602.15781, Section 2: a class token reads a jet."""

from dataclasses import dataclass

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float

from jetlab.models.blocks import Layer


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
        x: Float[Array, "b p f"],
        mask: Bool[Array, "b p"],
        *,
        rngs: nnx.Rngs | None = None,
    ) -> Float[Array, "b k"]:
        """Logits of each jet; dropout acts only with `rngs` (its stream `dropout`)."""
        particles = self.embed(x)
        shape = (len(x), 1, particles.shape[-1])
        token = jnp.broadcast_to(self.class_token[...], shape)
        tokens = jnp.concatenate([token, particles], axis=1)
        # the class token is never masked, so a jet without particles stays finite
        mask = jnp.pad(mask, ((0, 0), (1, 0)), constant_values=True)
        for layer in self.layers[:-1]:
            tokens = layer(tokens, mask, rngs=rngs)
        tokens = self.layers[-1](tokens, mask, reads=1, rngs=rngs)
        return self.head(self.norm(tokens[:, 0]))
