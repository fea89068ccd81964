"""A packed batch has the jets, the loss and the gradient of the padded batch."""

from dataclasses import replace
from functools import partial
from itertools import combinations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jetlab.data.shower.source import Shower
from jetlab.models import cpu_attention
from jetlab.models.tagger import Tagger
from jetlab.tasks.tagging import Tagging
from jetlab.training.batching import (
    Packing,
    choose_packing,
    exact_packing,
    gather_batch,
    schedule,
    token_utilisation,
    with_offsets,
)
from jetlab.training.optimizer import Hyperparams
from jetlab.training.scan import MicroBatches
from jetlab.training.step import make_engine

BATCH = 128
kinds = pytest.mark.parametrize("grouped", [False, True], ids=["kernel", "groups"])


@pytest.fixture(scope="module")
def counts():
    """Particles of simulated jets: 6 to 118, 39 on average."""
    return Shower().train(0, 8000).counts


@pytest.fixture(scope="module")
def packings(counts):
    made = [
        choose_packing(counts, BATCH, 128, grouped=grouped) for grouped in (False, True)
    ]
    return dict(zip((False, True), made, strict=True))


def drawn(counts, batches, seed=1):
    """Rows of random batches, each jet at most once in a batch."""
    rng = np.random.default_rng(seed)
    return np.stack([rng.permutation(len(counts))[:BATCH] for _ in range(batches)])


def narrow(grouped, rows=24, batch=8, longest=12):
    """A packing that most batches overflow."""
    groups = ((2, longest), (batch - 2, 4)) if grouped else ()
    allowed = (longest,) * 2 + (4 if grouped else longest,) * (batch - 2)
    return Packing(batch=batch, rows=rows, longest=allowed, groups=groups)


@kinds
def test_at_least_90_percent_of_tokens_are_real(counts, packings, grouped):
    assert 0.90 <= token_utilisation(packings[grouped], counts) <= 1


@kinds
def test_at_most_one_percent_of_new_batches_overflow(packings, grouped):
    fresh = Shower().train(8000, 16000).counts
    rows = drawn(fresh, 2000)
    planned = schedule(rows, fresh, packings[grouped], 2 * len(rows))
    assert planned.batches == 2000
    assert planned.cut <= 20


@kinds
def test_each_jet_of_each_batch_is_scheduled_once(counts, packings, grouped):
    # two batches of the longest jets alone need many micro-batches
    rows = drawn(counts, 30)
    rows[[3, 17]] = np.argsort(-counts)[: 2 * BATCH].reshape(2, BATCH)
    packing = packings[grouped]
    steps, batches, cut = schedule(rows, counts, packing, 60)
    assert (batches, cut) == (30, 2)
    finished = steps.count > 0
    ends = np.flatnonzero(finished & (steps.index + 1 == steps.count)) + 1
    assert len(ends) == 30
    for row, entries in zip(rows, np.split(steps.rows, ends)[:-1], strict=True):
        np.testing.assert_array_equal(np.sort(row), np.sort(entries[entries >= 0]))
    assert (steps.rows[~finished] == -1).all()
    for entry in steps.rows[finished]:
        assert packing.fits(np.where(entry >= 0, counts[entry], 0))


@pytest.mark.parametrize("num_shards", [2, 4])
def test_shards_of_devices_make_up_the_batch(counts, num_shards):
    packing = choose_packing(counts, BATCH, 128, grouped=False, num_shards=num_shards)
    rows = drawn(counts, 20)
    rows[5] = np.argsort(-counts)[:BATCH]
    steps, batches, cut = schedule(rows, counts, packing, 30)
    assert (batches, cut) == (20, 1)
    dealt = steps.rows.reshape(30, num_shards, -1)
    assert (np.where(dealt >= 0, counts[dealt], 0).sum(-1) <= packing.rows).all()
    np.testing.assert_array_equal(np.sort(dealt[0].ravel()), np.sort(rows[0]))


@pytest.mark.parametrize("length", [4, 5, 8, 13])
def test_no_batch_is_divided_between_two_scans(length):
    """Consecutive scans as in training; a batch has up to four micro-batches."""
    rng = np.random.default_rng(2)
    counts = rng.integers(0, 7, 400)
    counts[::20] = 12
    packing = narrow(False)
    rows = rng.permutation(400).reshape(-1, 8)
    seen, start, cut = [], 0, 0
    while start < len(rows):
        planned = schedule(rows[start:], counts, packing, length)
        steps = planned.steps
        assert planned.batches > 0
        assert len(steps.count) == length
        ends = (steps.index + 1 == steps.count) & (steps.count > 0)
        assert ends.sum() == planned.batches
        assert ends[steps.count > 0][-1]
        seen.append(steps.rows[steps.rows >= 0])
        start, cut = start + planned.batches, cut + planned.cut
    assert start == len(rows)
    assert 0 < cut < len(rows)
    np.testing.assert_array_equal(np.sort(np.concatenate(seen)), np.arange(400))


@kinds
def test_a_single_longest_jet_always_fits(grouped):
    counts = np.ones(1000, np.int32)
    packing = choose_packing(counts, 4, 128, grouped=grouped)
    counts[:8] = 128
    planned = schedule(np.arange(8).reshape(2, 4), counts, packing, 8)
    assert (planned.batches, planned.cut) == (2, 2)
    np.testing.assert_array_equal(planned.steps.count, 4)


def test_a_jet_longer_than_the_packing_is_refused():
    packing = choose_packing(np.full(100, 20), 4, 30, grouped=False)
    with pytest.raises(ValueError, match="31 particles in a packing for at most 30"):
        schedule(np.arange(4)[None], np.full(4, 31), packing, 8)


@kinds
@pytest.mark.parametrize("count", [1, 40, 128])
def test_jets_of_equal_length_have_no_padding(count, grouped):
    counts = np.full(1000, count)
    packing = choose_packing(counts, BATCH, count, grouped=grouped)
    assert token_utilisation(packing, counts) == 1
    if grouped:
        assert packing.groups == ((BATCH, count),)


@kinds
def test_the_exact_packing_is_the_smallest(counts, grouped):
    lengths = -np.sort(-counts[drawn(counts, 20)], axis=1)
    packing = exact_packing(lengths, grouped=grouped)
    assert packing.fits(lengths).all()
    less = replace(packing, rows=packing.rows - 8)
    assert not less.fits(lengths).all()


def test_no_other_eight_groups_cost_less():
    """The sum of n (longest + 1)^2, against all partitions of ten jets."""
    longest = np.array([25, 24, 19, 18, 17, 9, 8, 4, 3, 1])
    groups = exact_packing(longest[None], grouped=True).groups

    def cost(cuts):
        starts, ends = (0, *cuts), (*cuts, 10)
        return ((np.subtract(ends, starts)) * (longest[list(starts)] + 1) ** 2).sum()

    every = [cost(cuts) for n in range(8) for cuts in combinations(range(1, 10), n)]
    assert sum(jets for jets, _ in groups) == 10
    assert sum(jets * (p + 1) ** 2 for jets, p in groups) == min(every)


def test_a_micro_batch_gathers_its_own_jets(counts):
    """All other jets are NaN."""
    few = counts[:40].astype(np.int32)
    packing = narrow(False, rows=400, longest=128)
    steps, *_ = schedule(np.array([[3, 7, 8, 21, 39, 0, 2, 11]]), few, packing, 2)
    x = np.full((few.sum(), 2), np.nan, np.float32)
    jets = with_offsets(x, few, np.arange(40))
    for jet in steps.rows[steps.rows >= 0]:
        x[jets.first[jet] : jets.first[jet] + few[jet]] = [jet, few[jet]]
    for entry in zip(*steps, strict=True):
        batch = jax.jit(partial(gather_batch, packing))(
            jax.device_put(jets), MicroBatches(*entry)
        )
        owners = np.repeat(entry[0], np.where(entry[0] >= 0, few[entry[0]], 0))
        used = len(owners)
        np.testing.assert_array_equal(batch.x[:used, 0], owners)
        np.testing.assert_array_equal(batch.x[used:], 0)
        np.testing.assert_array_equal(batch.weight, (entry[0] >= 0) / 8)
        # row by row the jet within the micro-batch; 8, which is none, for padding
        jet = np.repeat(np.arange(8), np.where(entry[0] >= 0, few[entry[0]], 0))
        np.testing.assert_array_equal(batch.segment_ids[:used], jet)
        np.testing.assert_array_equal(batch.segment_ids[used:], 8)
        there = entry[0] >= 0
        np.testing.assert_array_equal(np.asarray(batch.targets)[there], entry[0][there])


# A batch of eight jets that overflows the narrow packing, and one that fits
LENGTHS = np.array([[12, 12, 11, 9, 6, 4, 1, 0], [8, 4, 3, 3, 2, 1, 1, 0]])
MODEL = Tagger(width=8, layers=2, dropout=0.3)


@pytest.fixture(scope="module")
def jets():
    counts = LENGTHS.ravel()
    x = np.random.default_rng(3).normal(size=(counts.sum(), 21)).astype(np.float32)
    return with_offsets(x, counts, np.arange(len(counts)) % 10)


def padded_loss(tagger, batch, rngs):
    x, mask, y = batch
    logits = tagger(x, mask, rngs=rngs)
    return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()


@pytest.fixture(scope="module")
def begin():
    return jax.jit(make_engine(MODEL, Tagging().loss).init)(
        jax.random.key(0), Hyperparams()
    )


@pytest.fixture(scope="module")
def by_padding(jets, begin):
    """Loss and gradient of each batch."""
    mask = np.arange(12) < LENGTHS[..., None]
    x = np.zeros((*mask.shape, 21), np.float32)
    x[mask] = jets.x
    gradient = jax.jit(make_engine(MODEL, padded_loss).gradient)
    batches = zip(x, mask, jets.targets.reshape(2, 8), strict=True)
    return [gradient(begin, batch) for batch in batches]


def relative(found, wanted):
    """Norm of the difference of two gradients over that of the second."""
    difference = jax.tree.map(jnp.subtract, found, wanted)
    return optax.tree.norm(difference) / optax.tree.norm(wanted)


@kinds
def test_the_gradient_is_that_of_the_padded_batch(jets, begin, by_padding, grouped):
    """Summed over the micro-batches of a batch that overflows, with dropout."""
    if not grouped and not cpu_attention.available():
        pytest.skip("no C++ compiler")
    packing, engine = narrow(grouped), make_engine(MODEL, Tagging().loss)
    rows = np.arange(16).reshape(2, 8)
    steps, batches, cut = schedule(rows, jets.counts, packing, 8)
    assert (batches, cut) == (2, 1)

    @jax.jit
    def gradient(entry):
        return engine.gradient(
            begin, gather_batch(packing, jax.device_put(jets), entry)
        )

    entries = [MicroBatches(*entry) for entry in zip(*steps, strict=True)]
    for wanted in by_padding:
        parts = [gradient(entries.pop(0)) for _ in range(entries[0].count)]
        found = jax.tree.map(lambda *terms: sum(terms), *parts)
        np.testing.assert_allclose(found[0], wanted[0], rtol=1e-6)
        assert relative(found[1], wanted[1]) < 1e-5
    assert not any(entry.count for entry in entries)
