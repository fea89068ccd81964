import itertools
from pathlib import Path

import numpy as np
import pytest

from jetlab.data import ragged
from jetlab.data.loader import batches
from jetlab.data.permutation import order
from jetlab.data.store import Store
from jetlab.data.store_writer import write
from jetlab.types import Jets

PARTICLES = 40


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


def test_fewer_examples_are_a_prefix_of_more():
    most = order(1000, 1000, 7, 0)
    assert sorted(most) == list(range(1000))
    for num_train in (1, 64, 999):
        np.testing.assert_array_equal(order(1000, num_train, 7, 0), most[:num_train])


def test_later_epochs_take_the_same_jets_in_another_order():
    epochs = [order(1000, 100, 7, epoch) for epoch in range(4)]
    assert all(sorted(later) == sorted(epochs[0]) for later in epochs)
    for one, other in itertools.combinations(epochs, 2):
        assert (one == other).sum() < 10


def test_order_is_that_of_the_seed():
    np.testing.assert_array_equal(order(1000, 50, 7, 2), order(1000, 50, 7, 2))
    assert (order(1000, 50, 7, 0) != order(1000, 50, 8, 0)).any()


@pytest.mark.parametrize("num_train", [0, 1001])
def test_order_stays_in_the_pool(num_train):
    with pytest.raises(ValueError, match="pool of 1000"):
        order(1000, num_train, 7, 0)


def test_batches_are_the_jets_of_order(store):
    stream = batches(
        store, PARTICLES, batch=16, pool=store.size, num_train=64, epochs=3, seed=3
    )
    found = list(stream)
    assert len(found) == 12
    for number, jets in enumerate(found):
        epoch, place = divmod(number, 4)
        indices = order(store.size, 64, 3, epoch)[place * 16 : (place + 1) * 16]
        assert same(jets, ragged.lead(store.take(indices), PARTICLES))


def test_a_stream_resumes_at_any_batch(store):
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


def test_batches_come_together_across_epochs_and_from_anywhere(store):
    choice = {"batch": 16, "pool": 400, "num_train": 64, "epochs": 3, "seed": 3}
    whole = list(batches(store, PARTICLES, **choice))
    found = list(batches(store, PARTICLES, **choice, start=1, together=5))
    assert [len(jets.counts) for jets in found] == [5 * 16, 5 * 16, 16]
    assert same(ragged.concatenate(found), ragged.concatenate(whole[1:]))


def test_a_batch_must_divide_the_examples(store):
    with pytest.raises(ValueError, match="not a multiple of a batch of 16"):
        batches(store, PARTICLES, batch=16, pool=400, num_train=65, epochs=1, seed=0)


def test_examples_must_be_in_the_training_pool(store):
    with pytest.raises(ValueError, match="pool of 400"):
        batches(store, PARTICLES, batch=16, pool=400, num_train=416, epochs=1, seed=0)
