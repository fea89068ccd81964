import itertools
from pathlib import Path

import numpy as np
import pytest

from jetlab.data import ragged
from jetlab.data.loader import batches
from jetlab.data.permutation import epoch_permutation
from jetlab.data.store import Store
from jetlab.data.store_writer import write
from jetlab.types import Jets

PARTICLES = 40
PINNED = [4, 6, 10, 0, 1, 3], [0, 4, 10, 6, 1, 3], [11, 7, 9, 2, 5, 4]


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    rng = np.random.default_rng(0)
    counts = rng.integers(1, 60, 500).astype(np.int32)
    total = int(counts.sum())
    jets = Jets(
        label=(np.arange(500) % 10).astype(np.int16),
        counts=counts,
        jet=rng.uniform(1, 2, (500, 4)).astype(np.float32),
        measured=rng.uniform(0.1, 2, (total, 8)).astype(np.float16),
        charge=np.zeros(total, np.int8),
        species=np.zeros(total, np.int8),
    )
    path: Path = tmp_path_factory.mktemp("pipeline") / "store"
    write([jets], path, expected=500, origin={})
    return Store(path)


def same(one: Jets, other: Jets) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_smaller_training_sets_are_prefixes_of_larger_ones():
    most = epoch_permutation(1000, 1000, 7, 0)
    assert sorted(most) == list(range(1000))
    for num_train in (1, 64, 999):
        np.testing.assert_array_equal(
            epoch_permutation(1000, num_train, 7, 0), most[:num_train]
        )


def test_later_epochs_permute_the_same_jets():
    epochs = [epoch_permutation(1000, 100, 7, epoch) for epoch in range(4)]
    assert all(sorted(later) == sorted(epochs[0]) for later in epochs)
    for one, other in itertools.combinations(epochs, 2):
        assert (one == other).sum() < 10


def test_permutations_are_those_of_earlier_versions():
    """Changed orders would change the results of every run."""
    assert epoch_permutation(12, 6, 7, 0).tolist() == PINNED[0]
    assert epoch_permutation(12, 6, 7, 1).tolist() == PINNED[1]
    assert epoch_permutation(12, 6, 0, 2).tolist() == PINNED[2]


def test_permutations_depend_on_the_seed():
    np.testing.assert_array_equal(
        epoch_permutation(1000, 50, 7, 2), epoch_permutation(1000, 50, 7, 2)
    )
    assert (
        epoch_permutation(1000, 50, 7, 0) != epoch_permutation(1000, 50, 8, 0)
    ).any()


@pytest.mark.parametrize("num_train", [0, 1001])
def test_training_sets_larger_than_the_pool_are_refused(num_train):
    with pytest.raises(ValueError, match="pool of 1000"):
        epoch_permutation(1000, num_train, 7, 0)


def test_batches_follow_the_permutations(store):
    stream = batches(
        store, PARTICLES, batch=16, pool=store.size, num_train=64, epochs=3, seed=3
    )
    found = list(stream)
    assert len(found) == 12
    for number, jets in enumerate(found):
        epoch, place = divmod(number, 4)
        indices = epoch_permutation(store.size, 64, 3, epoch)[
            place * 16 : (place + 1) * 16
        ]
        assert same(jets, ragged.truncate(store.take(indices), PARTICLES))


def test_iterators_resume_at_any_batch(store):
    choice = {"batch": 16, "pool": 400, "num_train": 64, "epochs": 2, "seed": 3}
    whole = list(batches(store, PARTICLES, **choice))
    stream = batches(store, PARTICLES, **choice)
    for number in range(8):
        state = stream.get_state()
        resumed = batches(store, PARTICLES, **choice)
        resumed.set_state(state)
        rest = list(resumed)
        assert len(rest) == 8 - number
        assert all(map(same, rest, whole[number:]))
        begun = list(batches(store, PARTICLES, **choice, start=number))
        assert all(map(same, begun, rest))
        next(stream)


def test_reads_of_several_batches_cross_epochs(store):
    choice = {"batch": 16, "pool": 400, "num_train": 64, "epochs": 3, "seed": 3}
    whole = list(batches(store, PARTICLES, **choice))
    found = list(batches(store, PARTICLES, **choice, start=1, batches_per_read=5))
    assert [len(jets.counts) for jets in found] == [5 * 16, 5 * 16, 16]
    assert same(ragged.concatenate(found), ragged.concatenate(whole[1:]))


def test_the_batch_must_divide_the_training_set(store):
    with pytest.raises(ValueError, match="not a multiple of the batch of 16"):
        batches(store, PARTICLES, batch=16, pool=400, num_train=65, epochs=1, seed=0)


def test_the_pool_must_hold_the_training_set(store):
    with pytest.raises(ValueError, match="pool of 400"):
        batches(store, PARTICLES, batch=16, pool=400, num_train=416, epochs=1, seed=0)


def test_the_pool_must_lie_in_the_training_jets(store):
    with pytest.raises(ValueError, match="a pool of 401 from 400 training jets"):
        batches(store, PARTICLES, batch=16, pool=401, num_train=64, epochs=1, seed=0)
