"""The task of tagging: loss, metrics, chance loss and floor."""

import json
import math

import jax.numpy as jnp
import numpy as np
import pytest

from jetlab.data.features import INPUTS, resolve_inputs
from jetlab.data.shower.source import Shower
from jetlab.records import Rejection
from jetlab.tasks.tagging import Tagging
from jetlab.types import Batch, Task


class Fixed:
    """A model of given logits; with dropout they are zero."""

    def __init__(self, logits):
        self.logits = jnp.asarray(logits, jnp.bfloat16)

    def call_flat(self, particles, layout, *, rngs=None):
        return self.logits if rngs is None else 0 * self.logits


def batch(targets, weight) -> Batch:
    jets = len(targets)
    return Batch(
        x=jnp.zeros((jets, 1)),
        counts=jnp.ones(jets, int),
        ids=jnp.arange(jets),
        targets=jnp.asarray(targets),
        weight=jnp.asarray(weight),
        groups=(),
    )


def test_the_loss_is_the_weighted_cross_entropy():
    logits, half = [[0.0, 0.0], [math.log(3), 0.0], [9.0, 0.0]], [0.5, 0.25, 0.0]
    jets = batch([1, 0, 1], half)
    found = Tagging().loss(Fixed(logits), jets)
    # bfloat16 rounds the logit ln 3
    rounded = float(jnp.bfloat16(math.log(3)))
    expected = 0.5 * math.log(2) + 0.25 * math.log1p(math.exp(-rounded))
    assert float(found) == pytest.approx(expected, rel=1e-6)
    assert found.dtype == jnp.float32
    outputs = Tagging().predict(Fixed(logits), jets)
    assert outputs.dtype == jnp.float32
    losses = Tagging().losses(outputs, jets.targets)
    assert losses[2] == pytest.approx(9 + math.log1p(math.exp(-9)), rel=1e-5)


def test_rejections_without_background_jets_are_limits_without_upper_end():
    labels = np.repeat([0, 1], 50)
    logits = np.stack([np.zeros(100), np.linspace(-1, 1, 100)], axis=1)
    found = Tagging().metrics(logits, labels, ("QCD", "Hbb"))
    assert (found["accuracy"], found["auc"]) == (1.0, 1.0)
    assert len(found["rejections"]) == 12
    limit = found["rejections"][4]
    assert isinstance(limit, Rejection)
    assert (limit.signal, limit.efficiency, limit.high) == ("Hbb", 0.5, None)
    assert limit.value == limit.low == pytest.approx(1 / (1 - 0.32 ** (1 / 50)))
    json.dumps(found, allow_nan=False)


def test_a_rejection_with_background_jets_has_an_interval():
    labels = np.repeat([0, 1], 50)
    logits = np.stack([np.zeros(100), np.tile(np.arange(50.0), 2)], axis=1)
    found = Tagging().metrics(logits, labels, ("QCD", "Hbb"))
    half = found["rejections"][4]
    assert half.value == 2
    assert half.low < 2 < half.high < 3
    assert found["auc"] == pytest.approx(0.5, abs=1e-12)


def test_chance_and_floor_of_the_shower():
    source = Shower()
    assert isinstance(Tagging(), Task)
    chance = Tagging().chance_loss(np.arange(10), source.classes)
    assert chance == math.log(10)
    assert Tagging().chance_loss(np.arange(3), source.classes[:3]) == math.log(3)
    entropy = math.log(4) - 0.75 * math.log(3)  # of the shares 3/4 and 1/4
    found = Tagging().chance_loss(np.array([0, 0, 0, 1]), ("a", "b"))
    assert found == pytest.approx(entropy, rel=1e-12)
    loss, error = Tagging().floor(source.identity, INPUTS["full-40"]) or (0, 0)
    assert 0 < error < loss < chance
    assert Tagging().floor("my jets", INPUTS["full-40"]) is None


def test_the_default_model_has_the_sizes_of_inputs_and_source():
    model = Tagging().model(16, resolve_inputs("kinematics-40"), Shower())
    assert (model.width, model.features, model.classes) == (16, 3, 10)
    jets = Shower().valid(10)
    targets = Tagging().targets(jets)
    assert targets.dtype == np.int32
    np.testing.assert_array_equal(targets, jets.label)
