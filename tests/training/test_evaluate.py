"""Evaluation of validation jets against losses computed by hand."""

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


def test_blocks_cover_each_jet_once():
    """Two blocks with an empty place: the losses and outputs of padded jets."""
    count = 701
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
    mask = np.arange(5) < counts[:, None]
    logits = jax.jit(model)(ragged.pad(x, counts, 5), mask)
    whole = jax.nn.log_softmax(logits)
    np.testing.assert_allclose(
        per_jet.loss, -whole[jnp.arange(count), jets.y], rtol=1e-5, atol=1e-5
    )
    np.testing.assert_allclose(per_jet.outputs, logits, rtol=1e-4, atol=1e-5)


def test_blocks_are_98_percent_full():
    """For 5000 jets of 1 to 127 particles, as blocks have similar lengths."""
    rng = np.random.default_rng(0)
    counts = rng.integers(1, 128, 5000).astype(np.int32)
    x = np.zeros((int(counts.sum()), 1), np.float16)
    labels = np.zeros(5000, np.int32)
    jets = with_offsets(x, counts, labels)
    packing = validation_set(jets, labels, grouped=False).packing
    assert packing.rows * -(-5000 // packing.batch) < counts.sum() / 0.98


def test_stratified_mean_by_hand():
    labels = np.array([0, 0, 1, 1])
    loss, error = stratified_mean(jnp.array([1.0, 3.0, 10.0, 14.0]), labels)
    assert loss == pytest.approx(7.0)
    # variances 2 and 8 with two jets each: sqrt((2 * 2 + 8 * 2) / 4^2)
    assert error == pytest.approx(np.sqrt(20) / 4)


def test_classes_of_unequal_size_are_weighted_by_their_jets():
    labels = np.array([0, 0, 0, 1, 1])
    losses = np.array([1.0, 2.0, 6.0, 10.0, 14.0])
    loss, error = stratified_mean(losses, labels)
    assert loss == pytest.approx(33 / 5)
    # sample variances 7 and 8: (3/5)^2 7/3 + (2/5)^2 8/2
    assert error == pytest.approx(np.sqrt(0.36 * 7 / 3 + 0.16 * 8 / 2))
    assert np.isnan(stratified_mean(losses[2:4], labels[2:4])[1])


def test_error_is_the_standard_deviation_of_repeated_samples():
    """Class means differ widely: only the variance within classes counts."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(10), 40)
    means, errors = [], []
    for _ in range(400):
        losses = labels + rng.exponential(1 + 0.1 * labels)
        loss, error = stratified_mean(jnp.asarray(losses), labels)
        means.append(loss)
        errors.append(error)
    assert np.std(means) == pytest.approx(np.mean(errors), rel=0.1)
