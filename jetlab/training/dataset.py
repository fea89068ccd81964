"""Jets to the device: all at once where they fit, through Grain where they do not.

Both ways give the same batches in the same order, which `jetlab.data.permutation`
decides.
"""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from typing import NamedTuple, Protocol, runtime_checkable

import jax
import numpy as np
from jaxtyping import Int

from jetlab.data import ragged
from jetlab.data.features import Inputs, featurize, on_device
from jetlab.data.permutation import epoch_permutation
from jetlab.data.store import Store
from jetlab.training.batching import (
    DeviceJets,
    Packing,
    choose_packing,
    schedule,
    with_offsets,
)
from jetlab.training.evaluate import (
    ValidationSet,
    ideal_metrics,
    validation_set,
)
from jetlab.training.mesh import make_mesh, put_global, replicated
from jetlab.training.run_config import RunConfig, length_groups
from jetlab.training.scan import SCAN_LENGTH, MicroBatches
from jetlab.types import FlatJets, Jets, KnowsPosterior, Source, Task

READ = 65_536  # jets of which the packing of a stream is chosen
PART = 16_000  # jets read at a time, by `READERS` threads
READERS = 2


class Dataset(NamedTuple):
    """The jets of a study: training jets on the device or in a store, validation jets
    on the device, and how many particles the training jets show the model."""

    train: DeviceJets | Store
    valid: ValidationSet
    counts: Int[np.ndarray, "jets"]  # of all training jets, or of a sample of them
    task: Task
    inputs: Inputs
    classes: tuple[str, ...]

    @property
    def n_p(self) -> float:
        """Mean number of particles of a training jet."""
        return float(np.mean(self.counts))

    def packing(self, run: RunConfig, num_shards: int = 1) -> Packing:
        """The static shape of a run's batches."""
        return choose_packing(
            self.counts,
            run.batch,
            self.inputs.particles,
            grouped=length_groups(run.model),
            num_shards=num_shards,
        )


class ScanInputs(NamedTuple):
    """The operands of one scan, and the batches that it trains on."""

    jets: DeviceJets
    steps: MicroBatches
    batches: int
    cut: int  # batches that overflowed the static shape


@runtime_checkable
class Batches(Protocol):
    """The batches of a run, in the order that its seed decides."""

    def scan(self, start: int, stop: int) -> ScanInputs:
        """A scan that begins with batch `start` and ends at or before batch `stop`."""
        ...


def open_dataset(source: Source, run: RunConfig) -> Dataset:
    """The jets that a run, and every run of its `data_key`, reads.

    Raises:
      ValueError: where the source has too few jets, no validation jet of some class, or
        the jets neither fit the device nor lie in a store.
    """
    inputs, task, pool = run.input_config, run.task, run.pool
    valid = _validation(source, run)
    sample = _read(source, inputs, task, 0, min(pool, READ))
    if _fits(pool, float(np.mean(sample.counts)), inputs):
        jets = sample
        if pool > READ:
            jets = _joined([sample, _read(source, inputs, task, READ, pool)])
        loaded = put_global(with_offsets(*jets), replicated(make_mesh()))
        counts = np.asarray(jets.counts)
        return Dataset(loaded, valid, counts, task, inputs, source.classes)
    if not isinstance(source, Store):
        raise ValueError(
            f"{pool} jets with up to {inputs.particles} particles do not fit this"
            " device: write them once with 'jetlab simulate' and run with --source DIR"
        )
    counts = np.asarray(sample.counts)
    return Dataset(source, valid, counts, task, inputs, source.classes)


def batches_of(dataset: Dataset, packing: Packing, run: RunConfig) -> Batches:
    """The batches of a run."""
    if isinstance(dataset.train, Store):
        return _Streamed(dataset.train, dataset, packing, run)
    return _Resident(dataset.train, dataset.counts, packing, run)


def _examples(jets: Jets, inputs: Inputs, task: Task) -> FlatJets:
    """Jets on the host as a network reads them, with the task's targets."""
    jets = ragged.truncate(jets, inputs.particles)  # as a stream from a store is
    return featurize(jets, inputs)._replace(y=task.targets(jets))


def _validation(source: Source, run: RunConfig) -> ValidationSet:
    jets = source.valid(run.num_valid)
    if len(np.unique(jets.label)) < len(source.classes):
        raise ValueError(
            f"{run.num_valid} validation jets do not hold one of each of the"
            f" {len(source.classes)} classes: take more"
        )
    posterior = None
    if isinstance(source, KnowsPosterior):
        posterior = source.posterior(run.num_valid, run.input_config)
    return validation_set(
        with_offsets(*_examples(jets, run.input_config, run.task)),
        jets.label.astype(np.int32),
        grouped=length_groups(run.model),
        posterior=posterior,
        ideal=ideal_metrics(run.task, posterior, source.classes),
    )


class _Resident:
    """Rows of jets that lie on the device."""

    def __init__(
        self,
        jets: DeviceJets,
        counts: Int[np.ndarray, "jets"],
        packing: Packing,
        run: RunConfig,
    ):
        self.jets, self.counts, self.packing = jets, counts, packing
        self.per_epoch = run.num_train // packing.batch
        # two epochs: a scan may end one and begin the next
        self._epoch = lru_cache(2)(
            partial(epoch_permutation, run.pool, run.num_train, run.seed)
        )

    def scan(self, start: int, stop: int) -> ScanInputs:
        wanted = np.arange(start, min(stop, start + SCAN_LENGTH))
        epochs, places = np.divmod(wanted, self.per_epoch)
        parts = [
            self._batches(epoch)[places[epochs == epoch]]
            for epoch in np.unique(epochs).tolist()
        ]
        rows = np.concatenate(parts)
        planned = schedule(rows, self.counts, self.packing, SCAN_LENGTH)
        return ScanInputs(self.jets, *planned)

    def _batches(self, epoch: int) -> Int[np.ndarray, "n b"]:
        return self._epoch(epoch).reshape(-1, self.packing.batch)


class _Streamed:
    """Batches that Grain reads from a store."""

    def __init__(
        self, store: Store, dataset: Dataset, packing: Packing, run: RunConfig
    ):
        # here, so that jets in memory are trained on without Grain
        from jetlab.data.loader import batches

        self.inputs, self.task, self.packing = dataset.inputs, dataset.task, packing
        self.open = partial(
            batches,
            store,
            self.inputs.particles,
            batch=packing.batch,
            pool=run.pool,
            num_train=run.num_train,
            epochs=run.epochs,
            seed=run.seed,
            batches_per_read=SCAN_LENGTH,
        )
        self.next = -1  # batch with which `waiting` begins
        self.waiting: list[Jets] = []
        self.stream: Iterator[Jets] = iter(())

    def scan(self, start: int, stop: int) -> ScanInputs:
        if start != self.next:
            self.stream, self.waiting = self.open(start=start), []
        wanted = min(SCAN_LENGTH, stop - start) * self.packing.batch
        while sum(len(jets.counts) for jets in self.waiting) < wanted:
            self.waiting.append(next(self.stream))
        there = ragged.concatenate(self.waiting)
        part = partial(ragged.slice_jets, there, ragged.first_rows(there))
        jets = part(0, wanted)
        rows = np.arange(wanted).reshape(-1, self.packing.batch)
        planned = schedule(rows, jets.counts, self.packing, SCAN_LENGTH)
        self.next = start + planned.batches
        used = planned.batches * self.packing.batch
        self.waiting = [part(used, len(there.counts))]
        return ScanInputs(self._one_shape(jets), *planned)

    def _one_shape(self, jets: Jets) -> DeviceJets:
        """Jets on the device, padded to the rows of the largest scan: one program."""
        most = SCAN_LENGTH * self.packing.rows * self.packing.num_shards
        short = SCAN_LENGTH * self.packing.batch - len(jets.counts)

        def padded(column: np.ndarray) -> np.ndarray:
            return np.pad(column, [(0, short)] + [(0, 0)] * (column.ndim - 1))

        columns = ragged.first_rows(jets), jets.counts, self.task.targets(jets)
        placed = jax.device_put(jax.tree.map(padded, columns))
        return DeviceJets(on_device(jets, self.inputs, most), *placed)


def _read(
    source: Source, inputs: Inputs, task: Task, start: int, stop: int
) -> FlatJets:
    """Training jets start to stop of a source, on the host."""

    def part(first: int) -> FlatJets:
        jets = source.train(first, min(first + PART, stop))
        return _examples(jets, inputs, task)

    with ThreadPoolExecutor(READERS) as pool:
        return _joined(list(pool.map(part, range(start, stop, PART))))


def _joined(parts: Sequence[FlatJets]) -> FlatJets:
    return jax.tree.map(lambda *columns: np.concatenate(columns), *parts)


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
