"""Grain over a store: batches in a seeded order, read ahead, resumable to the batch."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import grain
import numpy as np
from jaxtyping import Int

from jetlab.data import ragged
from jetlab.data.permutation import order
from jetlab.data.store import Store
from jetlab.types import Jets

# One thread: the work is numpy calls, in which a second one only contends.
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
    together: int = 1,
) -> grain.DatasetIterator[Jets]:
    """Iterator over the batches of a run: `examples` of the first `pool` training jets,
    `epochs` times, from batch `start` on. The jets come as they are stored, with their
    leading `particles`.

    So many batches come `together`, the last time fewer: a call costs as much as
    reading a batch. `get_state` and `set_state` of the iterator continue a stream at
    any call. Raises ValueError where `examples` is not a multiple of `batch` or more
    than the pool, or the pool more than the training jets of the store.
    """
    if num_train % batch:
        raise ValueError(
            f"{num_train} examples are not a multiple of a batch of {batch}"
        )
    if pool > store.size:
        raise ValueError(f"a pool of {pool} of the {store.size} training jets")
    order(pool, num_train, seed, 0)  # raises what it would raise in a reading thread

    # Two epochs: reading ahead may have begun the next one.
    @lru_cache(2)
    def rows(epoch: int) -> Int[np.ndarray, "n batch"]:
        return order(pool, num_train, seed, epoch).reshape(-1, batch)

    per_epoch = num_train // batch
    numbers = range(start, epochs * per_epoch)
    source = _Batches(store, particles, rows, per_epoch, numbers, together)
    return iter(grain.MapDataset.source(source).to_iter_dataset(_READ))


@dataclass(frozen=True)
class _Batches:
    """Random access to the batches of a run: Grain's source of records."""

    store: Store
    particles: int
    rows: Callable[[int], np.ndarray]  # of an epoch
    per_epoch: int
    numbers: range  # of the batches
    together: int

    def __len__(self) -> int:
        return -(-len(self.numbers) // self.together)

    def __getitem__(self, index: int) -> Jets:
        first = index * self.together
        numbers = self.numbers[first : first + self.together]
        places = (divmod(number, self.per_epoch) for number in numbers)
        jets = np.concatenate([self.rows(epoch)[place] for epoch, place in places])
        return ragged.lead(self.store.take(jets), self.particles)
