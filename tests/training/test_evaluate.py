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
    Predictions,
    make_evaluate,
    stratified_mean,
    validation_loss,
    validation_set,
)
from jetlab.training.step import make_engine
from jetlab.types import FlatJets, Posterior


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


def judged(losses, outputs, probability, labels, *, exact=True):
    """The loss of a tagger with these losses and logits."""
    reached = Predictions(jnp.asarray(losses), jnp.asarray(outputs))
    return validation_loss(Tagging(), reached, labels, Posterior(probability, exact))


def test_a_known_posterior_takes_the_draw_of_the_labels_out_of_the_loss():
    """Two classes, p = 0.8 and 0.4 of the second: a network that says one half of all
    jets has the loss ln 2, of which the entropies are the floor."""
    p = np.repeat([0.8, 0.4], 500)
    probability = np.stack([1 - p, p], axis=1)
    labels = np.random.default_rng(0).binomial(1, p).astype(np.int32)
    halves = np.full(1000, np.log(2)), np.zeros((1000, 2), np.float32)
    loss = judged(*halves, probability, labels)
    entropy = (
        -(0.8 * np.log(0.8) + 0.2 * np.log(0.2)),
        -(0.4 * np.log(0.4) + 0.6 * np.log(0.6)),
    )
    assert loss.mean == pytest.approx(np.log(2), rel=1e-12)
    assert loss.details["floor"] == pytest.approx(np.mean(entropy), rel=1e-12)
    assert loss.details["excess"] == pytest.approx(np.log(2) - np.mean(entropy))
    spread = np.abs(np.subtract(*entropy)) / 2 / np.sqrt(999)
    assert loss.details["floor_error"] == pytest.approx(spread)
    assert loss.details["excess_error"] == pytest.approx(spread)
    assert loss.error == pytest.approx(0, abs=1e-9)
    assert loss.details["label_loss"] == pytest.approx(np.log(2))


def test_the_posterior_itself_has_no_excess():
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(400, 5)).astype(np.float32)
    probability = np.asarray(jax.nn.softmax(logits.astype(np.float64)))
    labels = np.array([rng.choice(5, p=p / p.sum()) for p in probability], np.int32)
    each = -np.log(probability[np.arange(400), labels])
    loss = judged(each, logits, probability, labels)
    assert loss.details["excess"] == pytest.approx(0, abs=1e-7)
    assert loss.mean == pytest.approx(loss.details["floor"])
    miss = loss.details["label_loss"] - loss.mean
    assert 0 < abs(miss) < 4 * loss.details["label_loss_error"]
    assert loss.error < 0.7 * loss.details["label_loss_error"]


def test_a_posterior_of_more_than_the_inputs_gives_no_floor():
    probability, labels = np.full((100, 2), 0.5), np.zeros(100, np.int32)
    halves = np.full(100, np.log(2)), np.zeros((100, 2), np.float32)
    loss = judged(*halves, probability, labels, exact=False)
    assert loss.mean == pytest.approx(np.log(2))
    assert loss.details.keys() == {"label_loss", "label_loss_error"}
