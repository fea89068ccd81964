"""Grain over a store: batches in a seeded order, prefetched and resumable."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import grain
import numpy as np
from jaxtyping import Int

from jetlab.data import ragged
from jetlab.data.permutation import epoch_permutation
from jetlab.data.store import Store
from jetlab.types import Jets

# One thread: reading is NumPy calls, for which threads compete.
_READ = grain.ReadOptions(num_threads=1, prefetch_buffer_size=2)


def batches(
    store: Store,
    particles: int,
    *,
    batch: int,
    pool: int,
    num_train: int,
    epochs: int,
    seed: int,
    start: int = 0,
    batches_per_read: int = 1,
) -> grain.DatasetIterator[Jets]:
    """Iterator over the batches of a run, as stored jets with truncated particles.

    `get_state` and `set_state` of the iterator resume it between two reads.

    Args:
      store: the source of the training jets.
      particles: number of leading particles to keep.
      batch: jets per batch.
      pool: training jets of the store from which the training set is drawn.
      num_train: jets of the training set; see `epoch_permutation`.
      epochs: number of epochs.
      seed: seed of the permutations.
      start: number of the first batch.
      batches_per_read: batches that one item of the iterator concatenates; the last
        item may have fewer. A read costs as much as a batch.

    Raises:
      ValueError: unless `num_train` is a multiple of `batch` and at most `pool`, and
        `pool` at most the number of training jets of the store.
    """
    if num_train % batch:
        raise ValueError(
            f"{num_train} training jets are not a multiple of the batch of {batch}"
        )
    if pool > store.size:
        raise ValueError(f"a pool of {pool} from {store.size} training jets")
    epoch_permutation(pool, num_train, seed, 0)  # raises here, not in Grain's thread

    # Two epochs: prefetching may have begun the next one.
    @lru_cache(2)
    def rows(epoch: int) -> Int[np.ndarray, "n batch"]:
        return epoch_permutation(pool, num_train, seed, epoch).reshape(-1, batch)

    per_epoch = num_train // batch
    numbers = range(start, epochs * per_epoch)
    source = _Batches(store, particles, rows, per_epoch, numbers, batches_per_read)
    return iter(grain.MapDataset.source(source).to_iter_dataset(_READ))


@dataclass(frozen=True)
class _Batches:
    """Random access to the reads of a run: a data source for Grain."""

    store: Store
    particles: int
    rows: Callable[[int], np.ndarray]  # jets of an epoch, one row per batch
    per_epoch: int  # batches
    numbers: range  # of the batches
    batches_per_read: int

    def __len__(self) -> int:
        return -(-len(self.numbers) // self.batches_per_read)

    def __getitem__(self, index: int) -> Jets:
        first = index * self.batches_per_read
        numbers = self.numbers[first : first + self.batches_per_read]
        places = (divmod(number, self.per_epoch) for number in numbers)
        jets = np.concatenate([self.rows(epoch)[place] for epoch, place in places])
        return ragged.truncate(self.store.take(jets), self.particles)
