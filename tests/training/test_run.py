"""A run is decided by its spec: same numbers from memory, from disk, in any company."""

import dataclasses
import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from jetlab.data.features import INPUTS, featurize
from jetlab.data.shower import Shower
from jetlab.data.store import Store
from jetlab.data.writer import write
from jetlab.models.tagger import Tagger
from jetlab.training.feed import Feed, chunks, open_feed
from jetlab.training.run import Run, cost, execute

POOL, VALID = 768, 100


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    path = tmp_path_factory.mktemp("run") / "store"
    write([Shower().train(0, 1000)], path, expected=1000, origin={})
    return Store(path)


@pytest.fixture(scope="module")
def feed(store) -> Feed:
    return open_feed(store, "full-10", POOL, VALID)


def spec(**fields) -> Run:
    defaults = dict(
        source="test",
        inputs="full-10",
        model=Tagger(width=4),
        pool=POOL,
        examples=512,
        valid=VALID,
        learning_rate=3e-3,
    )
    return Run(**{**defaults, **fields})


def stripped(record):
    return dataclasses.replace(record, seconds=0.0)


def test_same_seed_same_numbers_and_another_seed_others(feed):
    first, again, other = execute([spec(), spec(), spec(seed=1)], feed, "test")
    assert stripped(first) == stripped(again)
    assert first.loss != other.loss
    assert first.status == "done"
    assert first.N == 1126
    assert first.D == 512
    assert first.C == pytest.approx(6 * 1126 * 512 * feed.n_p)


def test_company_changes_nothing(feed):
    """Runs side by side in threads give the bits that they give alone."""
    runs = [spec(seed=seed) for seed in range(2)]
    alone = list(execute(runs, feed, "test"))
    with ThreadPoolExecutor(2) as pool:
        lists = pool.map(lambda run: list(execute([run], feed, "test")), runs)
    together = list(itertools.chain(*lists))
    assert list(map(stripped, alone)) == list(map(stripped, together))


def test_batches_from_disk_are_those_from_memory(store, feed):
    """Grain over the store against rows of jets on the device: every batch."""
    on_disk = feed._replace(train=store)
    fields = dict(pool=POOL, examples=384, epochs=2, batch=128, seed=3)
    here = chunks(feed, "full-10", **fields)
    there = chunks(on_disk, "full-10", **fields)
    count = 0
    for one, other in zip(here, there, strict=True):
        assert int(one.live) == int(other.live)
        for row in range(int(one.live)):
            for a, b in zip(one.jets, other.jets, strict=True):
                np.testing.assert_array_equal(a[one.rows[row]], b[other.rows[row]])
            count += 1
    assert count == 6


def test_training_from_disk_gives_the_loss_from_memory(store, feed):
    run = spec(examples=384)
    (here,) = execute([run], feed, "test")
    (there,) = execute([run], feed._replace(train=store), "test")
    assert stripped(here) == stripped(there)


def test_every_example_is_seen_once_an_epoch(feed):
    fields = dict(pool=POOL, examples=512, epochs=2, batch=128, seed=0)
    rows = np.concatenate(
        [c.rows[: int(c.live)] for c in chunks(feed, "full-10", **fields)]
    )
    seen, times = np.unique(rows, return_counts=True)
    assert len(seen) == 512
    assert set(times) == {2}


def test_training_lowers_the_loss(feed):
    (record,) = execute([spec(epochs=100, learning_rate=1e-2)], feed, "test")
    losses = [loss for _, loss in record.curve]
    assert losses[0] > 2.2
    assert losses[-1] < 1.9


def test_a_diverged_run_is_recorded_as_such(feed):
    wild, calm = execute([spec(learning_rate=1e30), spec()], feed, "test")
    assert wild.status == "diverged"
    assert wild.loss is None
    assert "not finite" in wild.message
    assert calm.status == "done"


def test_validation_jets_are_balanced_and_apart(store, feed):
    assert np.bincount(np.asarray(feed.valid.y)).tolist() == [VALID // 10] * 10
    train = featurize(store.train(0, store.size), INPUTS["full-10"])
    seen = {row.tobytes() for row in train.x}
    assert not any(row.tobytes() in seen for row in np.asarray(feed.valid.x))


def test_steps_are_reported_as_they_are_taken(feed):
    heard = []
    run = spec(epochs=30)
    list(execute([run], feed, "test", lambda run, steps: heard.append(steps)))
    assert heard == [50, 50, 20]
    assert sum(heard) == run.steps


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"examples": 500}, "multiple of the batch"),
        ({"examples": 1024}, "up to the pool"),
        ({"inputs": "everything"}, "choose from"),
    ],
)
def test_a_run_that_cannot_be_is_refused(fields, words):
    with pytest.raises(ValueError, match=words):
        spec(**fields)


def test_runs_of_two_shapes_are_refused(feed):
    runs = [spec(), spec(model=Tagger(width=8))]
    with pytest.raises(ValueError, match=r"Run\.shape"):
        next(execute(runs, feed, "test"))


def test_cost_is_the_paper_formula():
    run = spec(model=Tagger(width=64), examples=256, epochs=3)
    assert cost(run, 40.0) == 6 * 40 * 202_186 * 256 * 3


def test_identities_are_pinned():
    """A changed default or canonical form would orphan finished runs."""
    assert spec().id == spec(epochs=1).id
    assert spec().id != spec(epochs=2).id
    assert spec().id == "25d67cdeec6c"
