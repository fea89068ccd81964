"""Jets to the device: all at once where they fit, through Grain where they do not.

Both roads give the same batches in the same order: `order` decides it.
"""

import itertools
import os
from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from jetlab.data.features import INPUTS, Inputs, featurize
from jetlab.data.order import order
from jetlab.data.store import Store
from jetlab.training.chunk import STEPS
from jetlab.types import Jets, Source

READ = 65_536  # jets featurised at a time


class Chunk(NamedTuple):
    """What one call of a chunk trains on: `live` rows of indices into `jets`."""

    jets: Jets
    rows: Int[Array, "s b"]
    live: Int[Array, ""]


class Feed(NamedTuple):
    """The jets of a study: training jets on the device or in a store, validation jets
    on the device, and the mean number of particles that a jet shows the model."""

    train: Jets | Store
    valid: Jets
    n_p: float


def open_feed(source: Source, inputs: str, pool: int, valid: int) -> Feed:
    """Read the first `pool` training jets and `valid` validation jets of a source.

    Raises:
      ValueError: where the source has fewer jets, or the jets neither fit the device
        nor lie in a store.
    """
    chosen = INPUTS[inputs]
    if _fits(pool + valid, chosen):
        train = _read(source, chosen, pool)
        held_out = featurize(source.valid(valid), chosen)
        n_p = _mean_particles(train)
        return Feed(jax.device_put(train), jax.device_put(held_out), n_p)
    if not isinstance(source, Store):
        raise ValueError(
            f"{pool} jets with {chosen.particles} particles do not fit this device: "
            "write them once with 'jetlab simulate' and run with --source DIR"
        )
    sample = _read(source, chosen, min(pool, READ))
    held_out = jax.device_put(featurize(source.valid(valid), chosen))
    return Feed(source, held_out, _mean_particles(sample))


def chunks(
    feed: Feed,
    inputs: str,
    *,
    pool: int,
    examples: int,
    epochs: int,
    batch: int,
    seed: int,
) -> Iterator[Chunk]:
    """The batches of a run, in the order that its seed decides.

    Raises:
      ValueError: unless `examples` is a multiple of `batch`.
    """
    if isinstance(feed.train, Store):
        # here, so that jets in memory are trained on without Grain
        from jetlab.data.pipeline import batches

        stream = batches(
            feed.train,
            INPUTS[inputs],
            batch=batch,
            pool=pool,
            examples=examples,
            epochs=epochs,
            seed=seed,
        )
        return _streamed(stream, batch)
    rows = [order(pool, examples, seed, epoch) for epoch in range(epochs)]
    return _gathered(feed.train, np.concatenate(rows).reshape(-1, batch))


def _gathered(jets: Jets, rows: Int[np.ndarray, "n b"]) -> Iterator[Chunk]:
    for start in range(0, len(rows), STEPS):
        part = rows[start : start + STEPS]
        padded = np.zeros((STEPS, rows.shape[1]), np.int32)
        padded[: len(part)] = part
        yield Chunk(jets, jnp.asarray(padded), jnp.asarray(len(part)))


def _streamed(stream: Iterator[Jets], batch: int) -> Iterator[Chunk]:
    rows = jnp.arange(STEPS * batch).reshape(STEPS, batch)
    while part := list(itertools.islice(stream, STEPS)):
        live = len(part)
        part += part[-1:] * (STEPS - live)  # one shape for every chunk
        jets = Jets(*(jnp.concatenate(column) for column in zip(*part, strict=True)))
        yield Chunk(jets, rows, jnp.asarray(live))


def _read(source: Source, inputs: Inputs, pool: int) -> Jets:
    """The first `pool` training jets of a source, on the host."""
    parts = [
        featurize(source.train(start, min(start + READ, pool)), inputs)
        for start in range(0, pool, READ)
    ]
    return Jets(*map(np.concatenate, zip(*parts, strict=True)))


def _mean_particles(jets: Jets) -> float:
    return float(np.mean(np.asarray(jets.mask).sum(axis=1)))


def _fits(pool: int, inputs: Inputs) -> bool:
    """Whether padded features take at most a quarter of the memory: they are read in
    parts, joined and copied to the device."""
    needed = pool * inputs.particles * (2 * len(inputs.features) + 1)
    stats = jax.devices()[0].memory_stats()
    if stats is None:  # a CPU: the host's memory
        there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    else:
        there = stats["bytes_limit"]
    return needed < there / 4
