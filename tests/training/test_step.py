"""The engine trains any model under any loss."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jetlab.training.optimizer import Hyperparams
from jetlab.training.scan import SCAN_LENGTH, MicroBatches, make_scan
from jetlab.training.step import make_engine


@dataclass(frozen=True)
class Line:
    """A model without jets: one linear map."""

    width: int = 3

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        return nnx.Linear(self.width, 1, rngs=rngs)


def squares(line, batch, rngs):
    x, y = batch
    return jnp.mean((line(x)[:, 0] - y) ** 2)


@pytest.fixture(scope="module")
def engine():
    return make_engine(Line(), squares)


@pytest.fixture(scope="module")
def points():
    x = jax.random.normal(jax.random.key(0), (64, 3))
    return x, x @ jnp.array([1.0, -2.0, 0.5]) + 0.25


def take(points, entry):
    return jax.tree.map(lambda a: a[entry.rows], points)


def whole(rows, batches):
    """A schedule of batches of one micro-batch each; entries after these are idle."""
    busy = np.arange(len(rows)) < batches
    return MicroBatches(rows, np.zeros(len(rows), np.int32), busy.astype(np.int32))


@pytest.fixture(scope="module")
def scan(engine):
    return jax.jit(make_scan(engine, take))


def test_training_solves_least_squares(engine, scan, points):
    state = engine.init(jax.random.key(1), Hyperparams(0.05, 0.0))
    rows = np.tile(np.arange(64), (SCAN_LENGTH, 1))
    for _ in range(20):
        state, losses = scan(state, points, whole(rows, SCAN_LENGTH))
    weights = engine.module(state.params)
    np.testing.assert_allclose(weights.kernel[:, 0], [1.0, -2.0, 0.5], atol=1e-3)
    np.testing.assert_allclose(weights.bias, 0.25, atol=1e-3)
    assert losses[-1] < 1e-6


def test_a_step_is_one_of_adamw(engine, points):
    """Against optax's AdamW, with weight decay of all parameters."""
    rates = Hyperparams(learning_rate=3e-3, weight_decay=0.1)
    state = engine.init(jax.random.key(1), rates)
    tx = optax.adamw(3e-3, weight_decay=0.1)
    params, opt_state = state.params, tx.init(state.params)
    gradient = jax.jit(jax.grad(lambda p: squares(engine.module(p), points, None)))
    step = jax.jit(engine.step)
    for _ in range(3):
        updates, opt_state = tx.update(gradient(params), opt_state, params)
        params = optax.apply_updates(params, updates)
        state, _ = step(state, points)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7),
        state.params,
        params,
    )


def test_idle_entries_change_nothing(engine, scan, points):
    rows = np.random.default_rng(3).integers(0, 64, (SCAN_LENGTH, 16))
    begin = engine.init(jax.random.key(1), Hyperparams(0.05))
    by_hand, step = begin, jax.jit(engine.step)
    for row in rows[:7]:
        by_hand, _ = step(by_hand, jax.tree.map(lambda a, r=row: a[r], points))
    state, losses = scan(begin, points, whole(rows, 7))
    assert int(state.step) == 7
    np.testing.assert_array_equal(losses[7:], 0.0)
    np.testing.assert_allclose(
        state.params["kernel"][...], by_hand.params["kernel"][...], rtol=1e-6
    )


@pytest.mark.parametrize("backend", ["cpu", "gpu"])
def test_micro_batches_of_a_batch_are_one_step(points, monkeypatch, backend):
    """Between two batches of one micro-batch, with an idle entry, for the branch of a
    CPU and the select of an accelerator."""

    def sum_of_squares(line, batch, rngs):
        x, y, weight = batch
        return jnp.sum(weight * (line(x)[:, 0] - y) ** 2) / 16

    def take_there(points, entry):
        x, y = points
        return x[entry.rows], y[entry.rows], entry.rows >= 0

    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    engine = make_engine(Line(), sum_of_squares)
    rows = np.random.default_rng(4).integers(0, 64, (3, 16))
    cut = np.full((3, 16), -1)
    for part in range(3):
        share = rows[1, part::3]
        cut[part, : len(share)] = share
    all_rows = np.concatenate([rows[:1], cut, rows[2:], rows[:1]])
    steps = MicroBatches(
        all_rows, np.array([0, 0, 1, 2, 0, 0]), np.array([1, 3, 3, 3, 1, 0])
    )
    begin = engine.init(jax.random.key(1), Hyperparams(0.05, 0.1))
    state, losses = jax.jit(make_scan(engine, take_there))(begin, points, steps)
    wanted, found = begin, []
    for row in rows:
        wanted, loss = jax.jit(engine.step)(
            wanted, (points[0][row], points[1][row], np.ones(16))
        )
        found.append(loss)
    by_batch = [losses[0], losses[1:4].sum(), losses[4]]
    np.testing.assert_allclose(by_batch, found, rtol=1e-5)
    assert losses[5] == 0
    assert int(state.step) == 3
    np.testing.assert_allclose(
        state.params["kernel"][...], wanted.params["kernel"][...], rtol=1e-5
    )


def test_hyperparameters_do_not_change_the_program(engine, points):
    traced = []

    def counting(state, batch):
        traced.append(1)
        return engine.step(state, batch)

    step = jax.jit(counting)
    init = jax.jit(engine.init)
    for seed, rate in ((0, 1e-4), (1, 3e-3), (2, 0.1)):
        step(init(jax.random.key(seed), Hyperparams(rate, rate)), points)
    assert len(traced) == 1


def test_vmapped_runs_equal_runs_alone(engine, points):
    keys = jax.random.split(jax.random.key(5), 3)
    rates, decays = jnp.array([1e-3, 1e-2, 1e-1]), jnp.array([0.0, 0.1, 0.2])
    states = jax.vmap(lambda key, *at: engine.init(key, Hyperparams(*at)))(
        keys, rates, decays
    )
    step = jax.jit(engine.step)
    together, losses = jax.jit(jax.vmap(engine.step, (0, None)))(states, points)
    for replica in range(3):
        alone = engine.init(keys[replica], Hyperparams(rates[replica], decays[replica]))
        after, loss = step(alone, points)
        np.testing.assert_allclose(loss, losses[replica], rtol=1e-6)
        np.testing.assert_allclose(
            after.params["kernel"][...], together.params["kernel"][replica], rtol=1e-6
        )


def test_parameters_and_gradients_stay_in_float32(points):
    engine = make_engine(Line(), squares, compute=jnp.bfloat16)
    state = engine.init(jax.random.key(1), Hyperparams(0.05, 0.1))
    rounded = engine.module(state.params)
    assert rounded.kernel.dtype == jnp.bfloat16
    _, grads = engine.gradient(state, points)
    after = engine.update(state, grads)
    for leaf in jax.tree.leaves([grads, after.params]):
        assert leaf.dtype == jnp.float32


def noise(line, batch, rngs):
    """A loss whose gradient by the kernel is the noise of the step."""
    shape = line.kernel.shape
    return jnp.sum(line.kernel[...] * jax.random.normal(rngs.dropout(), shape))


def test_dropout_is_independent_in_every_step_and_run(points):
    """By the engine's own keys; |z| < 4.5 of 28 correlations of 10,000 numbers."""
    engine = make_engine(Line(width=10_000), noise)
    init, gradient = jax.jit(engine.init), jax.jit(engine.gradient)
    drawn = []
    for seed in range(2):
        state = init(jax.random.key(seed), Hyperparams(0.0, 0.0))
        for _ in range(4):
            _, grads = gradient(state, points)
            drawn.append(np.ravel(grads["kernel"][...]))
            state = jax.jit(engine.update)(state, grads)
    again = gradient(init(jax.random.key(0), Hyperparams()), points)[1]
    np.testing.assert_array_equal(np.ravel(again["kernel"][...]), drawn[0])
    found = np.array(drawn)
    z = (found @ found.T / 100)[np.triu_indices(len(found), 1)]
    assert np.abs(z).max() < 4.5
