"""What the engine is measured against: the tagger in a plain Flax training loop.

The PyTorch loops are in `baselines_torch`. All train the model of `jetlab.models`
(arXiv:2602.15781, Section 2) on the same jets, as a careful user would write it from
the library's documentation: none of the engine's tricks, no mistakes either.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import cycle, islice
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import numpy as np
import optax
from flax.training.train_state import TrainState
from jax import numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from benchmarks.timing import Contender
from jetlab.data import ragged
from jetlab.data.features import INPUTS, featurize
from jetlab.data.shower.source import Shower
from jetlab.models import flops, scaling
from jetlab.models.tagger import Tagger
from jetlab.types import FlatJets

BATCH = 128
LEARNING_RATE, WEIGHT_DECAY = 1e-4, 1e-2  # arXiv:2602.15781, Section 2


class PaddedJets(NamedTuple):
    """Zero-padded features of jets, a mask of the real particles, and labels."""

    x: Float[Array | np.ndarray, "*b p f"]
    mask: Bool[Array | np.ndarray, "*b p"]
    y: Int[Array | np.ndarray, "*b"]


class Baseline(NamedTuple):
    """A training loop in parts.

    `load(jets)` is a batch on the device, `init()` a state, `step(state, batch)` the
    state after one more step, `wait(state)` returns when it has been computed.
    """

    load: Callable[[PaddedJets], Any]
    init: Callable[[], Any]
    step: Callable[[Any, Any], Any]
    wait: Callable[[Any], Any]


def contender(
    baseline: Baseline, batches: Sequence[PaddedJets], steps: int
) -> Contender:
    """The loop of a baseline over these batches, over and over, `steps` at a call."""
    coming = cycle([baseline.load(jets) for jets in batches])
    state = baseline.init()

    def run() -> int:
        nonlocal state
        for batch in islice(coming, steps):
            state = baseline.step(state, batch)
        baseline.wait(state)
        return steps

    return run


def shower_jets(count: int, inputs: str = "full-128") -> FlatJets:
    """So many batches of jets of the shower, as a run reads them."""
    return featurize(Shower().train(0, count * BATCH), INPUTS[inputs])


def padded_batches(jets: FlatJets, inputs: str = "full-128") -> list[PaddedJets]:
    """The same in batches, with a place for every particle, float32 on the host."""
    particles = INPUTS[inputs].particles
    padded = PaddedJets(
        x=ragged.pad(jets.x, jets.counts, particles).astype(np.float32),
        mask=np.arange(particles) < jets.counts[:, None],
        y=jets.y,
    )
    count = len(jets.y) // BATCH
    split = (np.split(np.asarray(column), count) for column in padded)
    return [PaddedJets(*columns) for columns in zip(*split, strict=True)]


class Layer(nn.Module):
    """Pre-norm Transformer layer with dropout on each branch."""

    heads: int
    dropout: float

    @nn.compact
    def __call__(
        self, tokens: Float[Array, "b t d"], mask: Bool[Array, "b 1 1 t"], train: bool
    ) -> Float[Array, "b t d"]:
        width = tokens.shape[-1]
        x = nn.LayerNorm(epsilon=1e-5, name="norm_attention")(tokens)
        x = nn.MultiHeadDotProductAttention(self.heads, name="attention")(x, mask=mask)
        tokens = tokens + nn.Dropout(self.dropout, deterministic=not train)(x)
        x = nn.LayerNorm(epsilon=1e-5, name="norm_forward")(tokens)
        x = nn.gelu(nn.Dense(4 * width, name="up")(x), approximate=False)
        x = nn.Dense(width, name="down")(x)
        return tokens + nn.Dropout(self.dropout, deterministic=not train)(x)


class SetTransformer(nn.Module):
    """The tagger in Flax Linen; every layer updates every token."""

    config: Tagger

    @nn.compact
    def __call__(
        self, x: Float[Array, "b p f"], mask: Bool[Array, "b p"], *, train: bool
    ) -> Float[Array, "b k"]:
        config = self.config
        particles = nn.Dense(config.width, name="embed")(x)
        normal = nn.initializers.normal(0.02)
        token = self.param("class_token", normal, (1, 1, config.width))
        token = jnp.broadcast_to(token, (len(x), 1, config.width))
        tokens = jnp.concatenate([token, particles], axis=1)
        mask = jnp.pad(mask, ((0, 0), (1, 0)), constant_values=True)[:, None, None, :]
        for number in range(config.layers):
            layer = Layer(config.heads, config.dropout, name=f"layer_{number}")
            tokens = layer(tokens, mask, train)
        normed = nn.LayerNorm(epsilon=1e-5, name="norm")(tokens[:, 0])
        return nn.Dense(config.classes, name="head")(normed)


@partial(jax.jit, donate_argnums=0)
def train_step(state: TrainState, batch: PaddedJets, key: Key[Array, ""]) -> TrainState:
    """One step of AdamW on the cross-entropy; dropout by `jax.random`'s default."""
    noise = jax.random.fold_in(key, state.step)

    def loss(params: Any) -> Float[Array, ""]:
        rngs = {"dropout": noise}
        logits = state.apply_fn(
            {"params": params}, batch.x, batch.mask, train=True, rngs=rngs
        )
        return optax.softmax_cross_entropy_with_integer_labels(logits, batch.y).mean()

    return state.apply_gradients(grads=jax.grad(loss)(state.params))


def flax_padded(width: int, *, dropout: float = 0.01) -> Baseline:
    """A jitted step with masks on padded jets, called from a Python loop."""
    config = replace(scaling.tagger(width), dropout=dropout)
    model = SetTransformer(config)
    tx = optax.adamw(LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    key = jax.random.key(1)

    def init() -> TrainState:
        x = jnp.zeros((1, 2, config.features))
        make = jax.jit(partial(model.init, train=False))
        params = make(jax.random.key(0), x, jnp.ones((1, 2), bool))["params"]
        sizes = jax.tree.map(jnp.size, params)
        assert sum(jax.tree.leaves(sizes)) == flops.parameters(config).total
        return TrainState.create(apply_fn=model.apply, params=params, tx=tx)

    def step(state: TrainState, batch: PaddedJets) -> TrainState:
        return train_step(state, batch, key)

    return Baseline(jax.device_put, init, step, jax.block_until_ready)
