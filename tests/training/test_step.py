"""The engine trains any model under any loss, and is a pair of pure functions."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jetlab.training.chunk import STEPS, make_chunk
from jetlab.training.optimizer import Rates
from jetlab.training.step import make_engine


@dataclass(frozen=True)
class Line:
    """A model that knows nothing of jets: one linear map."""

    inputs: int = 3

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        return nnx.Linear(self.inputs, 1, rngs=rngs)


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


def test_it_solves_least_squares(engine, points):
    state = engine.init(jax.random.key(1), Rates(0.05, 0.0))
    chunk = make_chunk(engine)
    rows = jnp.tile(jnp.arange(64), (STEPS, 1))
    for _ in range(20):
        state, info = chunk(state, points, rows, jnp.asarray(STEPS))
    weights = engine.module(state.params)
    np.testing.assert_allclose(weights.kernel[:, 0], [1.0, -2.0, 0.5], atol=1e-3)
    np.testing.assert_allclose(weights.bias, 0.25, atol=1e-3)
    assert info.loss[-1] < 1e-6


def test_a_step_is_torch_style_adamw(engine, points):
    """Against optax's own AdamW with the same rates, decay on every parameter."""
    rates = Rates(learning_rate=3e-3, weight_decay=0.1)
    state = engine.init(jax.random.key(1), rates)
    tx = optax.adamw(3e-3, weight_decay=0.1)
    params, opt_state = state.params, tx.init(state.params)
    for _ in range(3):
        grads = jax.grad(lambda p: squares(engine.module(p), points, None))(params)
        updates, opt_state = tx.update(grads, opt_state, params)
        params = optax.apply_updates(params, updates)
        state, _ = engine.step(state, points)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7),
        state.params,
        params,
    )


def test_rows_past_the_end_change_nothing(engine, points):
    chunk = make_chunk(engine)
    rows = jax.random.randint(jax.random.key(3), (STEPS, 16), 0, 64)
    begin = engine.init(jax.random.key(1), Rates(0.05))
    by_hand = begin
    for row in rows[:7]:
        by_hand, _ = engine.step(by_hand, jax.tree.map(lambda a, r=row: a[r], points))
    state, info = chunk(begin, points, rows, jnp.asarray(7))
    assert int(state.step) == 7
    assert np.all(np.asarray(info.loss[7:]) == 0)
    np.testing.assert_allclose(
        state.params["kernel"][...], by_hand.params["kernel"][...], rtol=1e-6
    )


def test_runs_of_different_rates_share_one_program(engine, points):
    traced = []

    def counting(state, batch):
        traced.append(1)
        return engine.step(state, batch)

    step = jax.jit(counting)
    init = jax.jit(engine.init)
    for seed, rate in ((0, 1e-4), (1, 3e-3), (2, 0.1)):
        step(init(jax.random.key(seed), Rates(rate, rate)), points)
    assert len(traced) == 1


def test_vmapped_runs_equal_runs_alone(engine, points):
    keys = jax.random.split(jax.random.key(5), 3)
    rates, decays = jnp.array([1e-3, 1e-2, 1e-1]), jnp.array([0.0, 0.1, 0.2])
    states = jax.vmap(engine.init)(keys, Rates(rates, decays))
    together, infos = jax.vmap(engine.step, in_axes=(0, None))(states, points)
    for lane in range(3):
        alone = engine.init(keys[lane], Rates(rates[lane], decays[lane]))
        after, info = engine.step(alone, points)
        np.testing.assert_allclose(info.loss, infos.loss[lane], rtol=1e-6)
        np.testing.assert_allclose(
            after.params["kernel"][...], together.params["kernel"][lane], rtol=1e-6
        )
