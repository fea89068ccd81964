"""Jets to the device: all at once where they fit, through Grain where they do not.

Both roads give the same batches in the same order: `epoch_permutation` decides it.
"""

import os
from collections.abc import Iterator, Sequence
from functools import lru_cache, partial
from typing import NamedTuple, Protocol, runtime_checkable

import jax
import numpy as np
from jaxtyping import Int

from jetlab.data import ragged
from jetlab.data.features import INPUTS, Inputs, featurize, on_device
from jetlab.data.permutation import epoch_permutation
from jetlab.data.store import Store
from jetlab.training.batching import Packing, Particles, flatten, measure, plan
from jetlab.training.evaluate import HeldOut, hold_out
from jetlab.training.mesh import everywhere, make_mesh, place
from jetlab.training.scan import STEPS, Steps
from jetlab.types import FlatJets, Jets, Source

READ = 65_536  # jets featurised at a time


class Feed(NamedTuple):
    """The jets of a study: training jets on the device or in a store, validation jets
    on the device, and how many particles the training jets show the model."""

    train: Particles | Store
    valid: HeldOut
    counts: Int[np.ndarray, "jets"]  # of all training jets, or of a sample of them
    inputs: str
    classes: tuple[str, ...]

    @property
    def n_p(self) -> float:
        """Mean number of particles of a training jet."""
        return float(np.mean(self.counts))

    def packing(self, batch: int, shares: int = 1) -> Packing:
        particles = INPUTS[self.inputs].particles
        return measure(self.counts, batch, particles, shares=shares)


class Chunked(NamedTuple):
    """Work of one call: steps over jets on the device."""

    jets: Particles
    steps: Steps
    batches: int
    cut: int  # batches that did not fit the static shape


@runtime_checkable
class Batches(Protocol):
    """The batches of a run, in the order that its seed decides."""

    def chunk(self, start: int, stop: int) -> Chunked:
        """Work that begins with batch `start` and ends at or before batch `stop`."""
        ...


def open_feed(source: Source, inputs: str, pool: int, valid: int) -> Feed:
    """Read the first `pool` training jets and `valid` validation jets of a source.

    Raises:
      ValueError: where the source has fewer jets, no validation jet of some class, or
        the jets neither fit the device nor lie in a store.
    """
    chosen = INPUTS[inputs]
    held_out = hold_out(featurize(source.valid(valid), chosen))
    if len(np.unique(held_out.labels)) < len(source.classes):
        raise ValueError(
            f"{valid} validation jets do not hold one of each of the"
            f" {len(source.classes)} classes: take more"
        )
    sample = _read(source, chosen, 0, min(pool, READ))
    if _fits(pool, float(np.mean(sample.counts)), chosen):
        jets = sample
        if pool > READ:
            jets = _joined([sample, _read(source, chosen, READ, pool)])
        loaded = place(flatten(*jets), everywhere(make_mesh()))
        return Feed(loaded, held_out, np.asarray(jets.counts), inputs, source.classes)
    if not isinstance(source, Store):
        raise ValueError(
            f"{pool} jets with up to {chosen.particles} particles do not fit this "
            "device: write them once with 'jetlab simulate' and run with --source DIR"
        )
    return Feed(source, held_out, np.asarray(sample.counts), inputs, source.classes)


def batches_of(
    feed: Feed,
    packing: Packing,
    *,
    pool: int,
    num_train: int,
    epochs: int,
    seed: int,
) -> Batches:
    """The batches of a run.

    Raises:
      ValueError: unless `examples` is a multiple of the batch.
    """
    if isinstance(feed.train, Store):
        return _Streamed(
            feed.train, feed.inputs, packing, pool, num_train, epochs, seed
        )
    return _Resident(feed.train, feed.counts, packing, pool, num_train, seed)


class _Resident:
    """Rows of jets that lie on the device."""

    def __init__(
        self,
        jets: Particles,
        counts: Int[np.ndarray, "jets"],
        packing: Packing,
        pool: int,
        num_train: int,
        seed: int,
    ):
        self.jets, self.counts, self.packing = jets, counts, packing
        self.per_epoch = num_train // packing.batch
        # two epochs: a chunk may end one and begin the next
        self._epoch = lru_cache(2)(partial(epoch_permutation, pool, num_train, seed))

    def chunk(self, start: int, stop: int) -> Chunked:
        wanted = np.arange(start, min(stop, start + STEPS))
        epochs, places = np.divmod(wanted, self.per_epoch)
        parts = [
            self._batches(epoch)[places[epochs == epoch]]
            for epoch in np.unique(epochs).tolist()
        ]
        rows = np.concatenate(parts)
        return Chunked(self.jets, *plan(rows, self.counts, self.packing, STEPS))

    def _batches(self, epoch: int) -> Int[np.ndarray, "n b"]:
        return self._epoch(epoch).reshape(-1, self.packing.batch)


class _Streamed:
    """Batches that Grain reads from a store."""

    def __init__(
        self,
        store: Store,
        inputs: str,
        packing: Packing,
        pool: int,
        num_train: int,
        epochs: int,
        seed: int,
    ):
        # here, so that jets in memory are trained on without Grain
        from jetlab.data.loader import batches

        self.inputs, self.packing = INPUTS[inputs], packing
        self.open = partial(
            batches,
            store,
            self.inputs.particles,
            batch=packing.batch,
            pool=pool,
            num_train=num_train,
            epochs=epochs,
            seed=seed,
            batches_per_read=STEPS,
        )
        self.next = -1  # batch with which `waiting` begins
        self.waiting: list[Jets] = []
        self.stream: Iterator[Jets] = iter(())

    def chunk(self, start: int, stop: int) -> Chunked:
        if start != self.next:
            self.stream, self.waiting = self.open(start=start), []
        wanted = min(STEPS, stop - start) * self.packing.batch
        while sum(len(jets.counts) for jets in self.waiting) < wanted:
            self.waiting.append(next(self.stream))
        there = ragged.concatenate(self.waiting)
        cut = partial(ragged.slice_jets, there, ragged.first_rows(there))
        jets = cut(0, wanted)
        rows = np.arange(wanted).reshape(-1, self.packing.batch)
        planned = plan(rows, jets.counts, self.packing, STEPS)
        self.next = start + planned.batches
        self.waiting = [cut(planned.batches * self.packing.batch, len(there.counts))]
        return Chunked(self._one_shape(jets), *planned)

    def _one_shape(self, jets: Jets) -> Particles:
        """Jets on the device, in rows enough for any chunk: one program serves all."""
        most = STEPS * self.packing.rows * self.packing.shares
        short = STEPS * self.packing.batch - len(jets.counts)
        columns = ragged.first_rows(jets), jets.counts, jets.label.astype(np.int32)
        padded = [np.pad(column, (0, short)) for column in columns]
        return Particles(on_device(jets, self.inputs, most), *jax.device_put(padded))


def _read(source: Source, inputs: Inputs, start: int, stop: int) -> FlatJets:
    """Training jets start to stop of a source, on the host."""
    return _joined(
        [
            featurize(source.train(first, min(first + READ, stop)), inputs)
            for first in range(start, stop, READ)
        ]
    )


def _joined(parts: Sequence[FlatJets]) -> FlatJets:
    return FlatJets(*map(np.concatenate, zip(*parts, strict=True)))


def _fits(pool: int, particles: float, inputs: Inputs) -> bool:
    """Whether the features take at most a quarter of the memory: they are read in
    parts, joined and copied to the device."""
    needed = pool * (particles * 2 * len(inputs.features) + 12)
    stats = jax.devices()[0].memory_stats()
    if stats is None:  # a CPU: the host's memory
        there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    else:
        there = stats["bytes_limit"]
    return needed < there / 4
