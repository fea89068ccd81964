"""Grain over a store: batches in a seeded order, read ahead, resumable to the batch."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import grain
import numpy as np
from jaxtyping import Int

from jetlab.data.features import Inputs, featurize
from jetlab.data.order import order
from jetlab.data.store import Store
from jetlab.types import FlatJets

# One thread: the work is short numpy calls, in which a second one only contends.
_READ = grain.ReadOptions(num_threads=1, prefetch_buffer_size=16)


def batches(
    store: Store,
    inputs: Inputs,
    *,
    batch: int,
    pool: int,
    examples: int,
    epochs: int,
    seed: int,
    start: int = 0,
) -> grain.DatasetIterator[FlatJets]:
    """Iterator over the batches of a run: `examples` of the first `pool` training jets,
    `epochs` times, from batch `start` on.

    `get_state` and `set_state` of the iterator continue a stream at any batch. Raises
    ValueError where `examples` is not a multiple of `batch` or more than the pool, or
    the pool more than the training jets of the store.
    """
    if examples % batch:
        raise ValueError(
            f"{examples} examples are not a multiple of a batch of {batch}"
        )
    if pool > store.size:
        raise ValueError(f"a pool of {pool} of the {store.size} training jets")
    order(pool, examples, seed, 0)  # raises what it would raise in a reading thread

    # Two epochs: reading ahead may have begun the next one.
    @lru_cache(2)
    def rows(epoch: int) -> Int[np.ndarray, "n batch"]:
        return order(pool, examples, seed, epoch).reshape(-1, batch)

    source = _Batches(store, inputs, rows, examples // batch, epochs)
    return iter(grain.MapDataset.source(source)[start:].to_iter_dataset(_READ))


@dataclass(frozen=True)
class _Batches:
    """Random access to the batches of a run: Grain's source of records."""

    store: Store
    inputs: Inputs
    rows: Callable[[int], np.ndarray]  # of an epoch
    per_epoch: int
    epochs: int

    def __len__(self) -> int:
        return self.epochs * self.per_epoch

    def __getitem__(self, index: int) -> FlatJets:
        epoch, place = divmod(index, self.per_epoch)
        return featurize(self.store.take(self.rows(epoch)[place]), self.inputs)
