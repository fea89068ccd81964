"""What a tagger reaches on held-out jets, with its sampling error."""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import PartitionSpec
from jaxtyping import Array, Float, Int

from jetlab.training.batching import Packing, Particles, flatten, take, tight
from jetlab.training.mesh import LANE, by_lane, everywhere, make_mesh, place
from jetlab.training.scan import Steps, compiler_options
from jetlab.training.step import Engine
from jetlab.types import FlatJets

BLOCK = 512  # jets at a time: bounds the memory of attention


class PerJet(NamedTuple):
    """-ln p(true class) of each jet, and its logits."""

    loss: Float[Array, "*b"]
    logits: Float[Array, "*b k"]


class HeldOut(NamedTuple):
    """Validation jets on the devices, cut in blocks of one static shape.

    Every block takes each so manieth jet in order of length, so that all have nearly
    the same lengths: almost nothing is padded, and no block can be too large.
    """

    jets: Particles
    blocks: Steps
    packing: Packing
    labels: Int[np.ndarray, "b"]


def hold_out(jets: FlatJets) -> HeldOut:
    """Validation jets, cut in blocks and put on the devices, which share the blocks."""
    counts, devices = np.asarray(jets.counts), jax.device_count()
    order = np.argsort(-counts, kind="stable").astype(np.int32)
    number = -(-len(order) // (BLOCK * devices)) * devices
    size = -(-len(order) // number)
    rows = np.full((number, size), -1, np.int32)
    for block in range(number):
        share = order[block::number]
        rows[block, : len(share)] = share
    lengths = np.where(rows >= 0, counts[rows], 0)
    packing = tight(lengths)
    ones = np.ones(number, np.int32)
    mesh = make_mesh(devices)
    steps = place(Steps(rows, 0 * ones, ones), by_lane(mesh))
    loaded = place(flatten(*jets), everywhere(mesh))
    return HeldOut(loaded, steps, packing, np.asarray(jets.y))


def make_evaluate(engine: Engine, held_out: HeldOut) -> Callable[[Any], PerJet]:
    """`evaluate(params)`: every held-out jet, without dropout, block by block."""
    evaluate = _program(engine, held_out.packing)
    return lambda params: evaluate(params, held_out.jets, held_out.blocks)


@lru_cache(64)
def _program(engine: Engine, packing: Packing) -> Callable[..., PerJet]:
    """Traced once for each shape."""

    mesh = make_mesh(jax.device_count())
    share, every = PartitionSpec(LANE), PartitionSpec()

    def of_device(params: Any, jets: Particles, blocks: Steps) -> PerJet:
        tagger = engine.module(params)

        def block(entry: Steps) -> PerJet:
            batch = take(packing, jets, entry)
            logits = tagger.read(batch.x, batch.layout).astype(jnp.float32)
            nll = optax.softmax_cross_entropy_with_integer_labels(logits, batch.y)
            return PerJet(nll, logits)

        return jax.lax.map(block, blocks)

    @partial(
        jax.jit, out_shardings=everywhere(mesh), compiler_options=compiler_options()
    )
    def evaluate(params: Any, jets: Particles, blocks: Steps) -> PerJet:
        results = jax.shard_map(
            of_device,
            mesh=mesh,
            in_specs=(every, every, share),
            out_specs=share,
            check_vma=False,  # as in `shard_chunk`
        )(params, jets, blocks)
        # empty places go to a row past the end, which is cut off
        count = len(jets.y)
        to = jnp.where(blocks.rows >= 0, blocks.rows, count).reshape(-1)

        def in_order(a: Array) -> Array:
            rows = a.reshape(len(to), *a.shape[2:])
            return jnp.zeros((count + 1, *rows.shape[1:])).at[to].set(rows)[:-1]

        return jax.tree.map(in_order, results)

    return evaluate


def mean(
    per_jet: Float[Array, "b"], labels: Int[np.ndarray, "b"]
) -> tuple[float, float]:
    """Mean loss with the error of a sample that is balanced by class.

    As each class has a fixed share, only the spread inside the classes counts:
    error^2 = sum_k (n_k / n)^2 s_k^2 / n_k.
    """
    losses = np.asarray(per_jet, dtype=np.float64)
    variance = 0.0
    for label in np.unique(labels):
        of_class = losses[labels == label]
        spread = of_class.var(ddof=1) if len(of_class) > 1 else np.nan
        variance += spread * len(of_class) / len(losses) ** 2
    return float(losses.mean()), float(np.sqrt(variance))
