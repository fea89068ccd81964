"""Scores of held-out jets against hand-made losses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jetlab.data import ragged
from jetlab.models.tagger import Tagger
from jetlab.tasks.tagging import Tagging
from jetlab.training.batching import with_offsets
from jetlab.training.evaluate import (
    make_evaluate,
    stratified_mean,
    validation_set,
)
from jetlab.training.step import make_engine
from jetlab.types import FlatJets


def test_blocks_cover_every_jet_once():
    """More jets than a block and no multiple of it: the same losses as padded."""
    count = 700
    config = Tagger(width=4, features=3, layers=1)
    engine = make_engine(config, Tagging().loss)
    model = config.build(nnx.Rngs(0))
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 6, count).astype(np.int32)
    x = rng.normal(size=(int(counts.sum()), 3)).astype(np.float16)
    labels = rng.integers(0, 10, count).astype(np.int32)
    jets = FlatJets(x, counts, labels)
    valid = validation_set(with_offsets(*jets), labels, grouped=config.length_groups)
    evaluate = make_evaluate(Tagging(), engine, valid)
    per_jet = evaluate(nnx.state(model, nnx.Param))
    logits = model(ragged.pad(x, counts, 5), np.arange(5) < counts[:, None])
    whole = jax.nn.log_softmax(logits)
    np.testing.assert_allclose(
        per_jet.loss, -whole[jnp.arange(count), jets.y], rtol=1e-5, atol=1e-5
    )
    np.testing.assert_allclose(per_jet.outputs, logits, rtol=1e-4, atol=1e-5)


def test_hardly_any_place_of_a_block_is_empty():
    """Blocks of like lengths: 5000 jets of very different ones fill 98 of 100 rows."""
    rng = np.random.default_rng(0)
    counts = rng.integers(1, 128, 5000).astype(np.int32)
    x = np.zeros((int(counts.sum()), 1), np.float16)
    labels = np.zeros(5000, np.int32)
    jets = with_offsets(x, counts, labels)
    packing = validation_set(jets, labels, grouped=False).packing
    assert packing.rows * -(-5000 // packing.batch) < counts.sum() / 0.98


def test_mean_and_error():
    labels = np.array([0, 0, 1, 1])
    loss, error = stratified_mean(jnp.array([1.0, 3.0, 10.0, 14.0]), labels)
    assert loss == pytest.approx(7.0)
    # variances 2 and 8 with two jets each: sqrt((2 * 2 + 8 * 2) / 4^2)
    assert error == pytest.approx(np.sqrt(20) / 4)


def test_error_is_the_scatter_of_repeated_balanced_samples():
    """Classes of very different loss: only the spread inside them counts."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(10), 40)
    means, errors = [], []
    for _ in range(400):
        losses = labels + rng.exponential(1 + 0.1 * labels)
        loss, error = stratified_mean(jnp.asarray(losses), labels)
        means.append(loss)
        errors.append(error)
    assert np.std(means) == pytest.approx(np.mean(errors), rel=0.1)
