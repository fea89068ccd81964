"""Annealed rates: the steps that the formula says, and runs that end so."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jetlab.training.optimizer import Hyperparams, adamw, annealed, set_hyperparams
from jetlab.training.trainer import Trainer
from jetlab.training.trajectory import trajectories_of


def steps_of(optimizer, hyperparams, count):
    """The lengths of the steps under a constant gradient, which are AdamW's rate."""
    params = jnp.zeros(())
    state = set_hyperparams(optimizer.init(params), hyperparams)
    found = []
    for _ in range(count):
        updates, state = optimizer.update(jnp.ones(()), state, params)
        params = optax.apply_updates(params, updates)
        found.append(-float(updates))
    return np.array(found)


def test_the_rate_falls_linearly_over_the_last_steps():
    """Seven of ten steps at the whole rate; after the last it would be zero."""
    found = steps_of(annealed(adamw()), Hyperparams(0.5, 0.0, 10, 0.4), 10)
    expected = 0.5 * np.array([1, 1, 1, 1, 1, 1, 1, 3 / 4, 2 / 4, 1 / 4])
    np.testing.assert_allclose(found, expected, rtol=5e-5)  # float32


def test_the_weight_decay_falls_with_the_rate():
    """AdamW's decay is in proportion to the rate: with no gradient, weights shrink by
    1 - rate x decay x share."""
    optimizer = annealed(adamw())
    params: Any = jnp.ones(())
    state = set_hyperparams(optimizer.init(params), Hyperparams(0.1, 0.5, 2, 1.0))
    for left in (1.0, 0.5):
        updates: Any
        updates, state = optimizer.update(jnp.zeros(()), state, params)
        np.testing.assert_allclose(updates, -0.1 * 0.5 * left * params, rtol=1e-6)
        params = optax.apply_updates(params, updates)


def test_an_annealed_run_ends_elsewhere(dataset, spec):
    plain, fallen = (spec(num_train=512, annealing=share) for share in (0.0, 0.25))
    (constant,) = Trainer([plain], dataset, "")
    (found,) = Trainer([fallen], dataset, "")
    assert found.annealing == 0.25
    assert found.loss != constant.loss
    assert found.id != constant.id


def test_annealed_runs_are_no_prefixes(spec):
    runs = [spec(num_train=D, annealing=0.2) for D in (256, 512)]
    assert len(trajectories_of(runs, one_trajectory=True)) == 2
    assert spec().id == spec(annealing=0.0).id
    assert spec().group != spec(annealing=0.2).group


@pytest.mark.parametrize("fields", [{"annealing": 1.5}, {"annealing": -0.1}])
def test_annealing_that_cannot_be(spec, fields):
    with pytest.raises(ValueError, match=r"annealing .*: choose the share"):
        spec(**fields)


def test_early_stopping_has_no_end_to_anneal_to(spec):
    with pytest.raises(ValueError, match="whose end is not known"):
        spec(annealing=0.2, patience=3, epochs=2)
