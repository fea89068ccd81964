"""Averaged weights: the average that the formula says, and runs that keep it."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jetlab.training.optimizer import (
    WIDEST_AVERAGE,
    averaged,
    power_of_average,
)
from jetlab.training.trainer import Trainer
from jetlab.training.weights import load_weights


def test_powers_of_published_widths():
    """arXiv:2312.02696, Section 3: widths 0.05 and 0.10 are powers 16.97 and 6.94."""
    assert power_of_average(0.05) == pytest.approx(16.97, abs=0.005)
    assert power_of_average(0.10) == pytest.approx(6.94, abs=0.005)
    assert power_of_average(WIDEST_AVERAGE) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("width", [0.05, 0.1, WIDEST_AVERAGE])
def test_weights_that_fall_steadily(width):
    """Weights -t at step t: a density (p + 1) t^p on (0, T) has the mean
    T (p + 1) / (p + 2) and a standard deviation of `width` T."""
    steps, power = 2000, power_of_average(width)
    average, square = (averaged(optax.sgd(1.0), width) for _ in range(2))

    def mean(optimizer, gradients):
        def step(carry, gradient):
            params, state = carry
            updates, state = optimizer.update(gradient, state, params)
            return (optax.apply_updates(params, updates), state), None

        begin = jnp.zeros(()), optimizer.init(jnp.zeros(()))
        (_, state), _ = jax.lax.scan(step, begin, gradients)
        return float(state.average)

    t = np.arange(1, steps + 1)
    first = mean(average, jnp.ones(steps))
    second = mean(square, jnp.asarray(1.0 - 2 * t))  # weights t^2
    assert first == pytest.approx(-steps * (power + 1) / (power + 2), rel=1e-3)
    spread = np.sqrt(second - first**2) / steps
    assert spread == pytest.approx(width, rel=0.01)


def test_a_run_keeps_both_weights(dataset, spec, tmp_path):
    """The last weights are those of the run without averaging, to the bit; the loss of
    the record is that of the averaged ones, for every D of a trajectory."""
    runs = [spec(num_train=D, averaging=0.1) for D in (256, 512)]
    short, long = (
        found[run.id]
        for found in [{r.id: r for r in Trainer(runs, dataset, "", weights=tmp_path)}]
        for run in runs
    )
    (plain,) = Trainer([spec()], dataset, "", weights=tmp_path)
    assert long.metrics["last_loss"] == plain.loss != long.loss
    assert (short.trajectory, short.averaging) == (long.id, 0.1)
    name = "['embed']['kernel']"
    average, last, alone = (
        load_weights(tmp_path / file).arrays[name]
        for file in (
            long.weights["averaged"], long.weights["final"], plain.weights["final"],
        )
    )  # fmt: skip
    np.testing.assert_array_equal(last, alone)
    assert (average != last).all()


def test_averaging_that_cannot_be(spec):
    with pytest.raises(ValueError, match=r"averaging 0\.5: choose a relative width"):
        spec(averaging=0.5)


def test_identities_and_groups_without_averaging_stay(spec):
    assert spec(averaging=0.0).id == spec().id != spec(averaging=0.1).id
    assert spec().compile_key == spec(averaging=0.0).compile_key
    assert spec().group != spec(averaging=0.1).group
