"""Scores of held-out jets against hand-made losses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jetlab.models.tagger import Tagger
from jetlab.training.evaluate import PerJet, make_evaluate, summarise
from jetlab.training.losses import cross_entropy
from jetlab.training.step import make_engine
from jetlab.types import Jets


def test_blocks_cover_every_jet_once():
    """More jets than a block and no multiple of it: the same losses as jet by jet."""
    count = 700
    engine = make_engine(Tagger(width=4, features=3, layers=1), cross_entropy)
    model = Tagger(width=4, features=3, layers=1).build(nnx.Rngs(0))
    keys = jax.random.split(jax.random.key(0), 2)
    x = jax.random.normal(keys[0], (count, 5, 3)).astype(jnp.float16)
    y = jax.random.randint(keys[1], (count,), 0, 10)
    mask = jnp.arange(5) < 1 + (jnp.arange(count) % 5)[:, None]
    jets = Jets(x, mask, y)
    per_jet = make_evaluate(engine)(nnx.state(model, nnx.Param), jets)
    whole = jax.nn.log_softmax(model(x, mask))
    np.testing.assert_allclose(
        per_jet.loss, -whole[jnp.arange(count), y], rtol=1e-5, atol=1e-5
    )
    np.testing.assert_array_equal(per_jet.correct, whole.argmax(axis=1) == y)


def test_mean_error_and_accuracy():
    labels = np.array([0, 0, 1, 1])
    per_jet = PerJet(jnp.array([1.0, 3.0, 10.0, 14.0]), jnp.array([1, 0, 1, 1], bool))
    scores = summarise(per_jet, labels)
    assert scores.loss == pytest.approx(7.0)
    assert scores.accuracy == pytest.approx(0.75)
    # variances 2 and 8 with two jets each: sqrt((2 * 2 + 8 * 2) / 4^2)
    assert scores.error == pytest.approx(np.sqrt(20) / 4)


def test_error_is_the_scatter_of_repeated_balanced_samples():
    """Classes of very different loss: only the spread inside them counts."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(10), 40)
    means, errors = [], []
    for _ in range(400):
        losses = labels + rng.exponential(1 + 0.1 * labels)
        correct = jnp.zeros(len(labels), bool)
        scores = summarise(PerJet(jnp.asarray(losses), correct), labels)
        means.append(scores.loss)
        errors.append(scores.error)
    assert np.std(means) == pytest.approx(np.mean(errors), rel=0.1)
