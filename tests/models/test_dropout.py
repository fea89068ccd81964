"""The hashed bits of dropout are independent over tokens, columns, layers and steps.

All seeds are fixed, so a test passes always or never: each asserts |z| < 4.5 of a
normal statistic, which has a probability of 1 - 7e-6.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jetlab.models import layers
from jetlab.models.layers import Layer, dropout
from jetlab.models.tagger import Tagger
from jetlab.models.token_layout import PaddedLayout

TOKENS = 128 * 129  # of the largest batch
LIMIT = 4.5  # standard deviations
RATES = (0.01, 0.1, 0.5)

rates = pytest.mark.parametrize("rate", RATES)
widths = pytest.mark.parametrize("width", [4, 64])


@partial(jax.jit, static_argnums=(0, 1))
def dropped(width, rate, seeds):
    """Masks of dropped entries for each seed."""
    ids, ones = jnp.arange(TOKENS, dtype=jnp.uint32), jnp.ones((TOKENS, width))
    return jax.vmap(lambda seed: dropout(ones, ids, seed, rate) == 0)(seeds)


def masks(width, rate, count=8):
    """Dropped entries as 0 and 1, standardised to mean 0 and variance 1."""
    seeds = jax.random.bits(jax.random.key(0), (count, 2))
    found = np.asarray(dropped(width, rate, seeds), np.float64)
    return (found - rate) / (rate * (1 - rate)) ** 0.5


def z_of_spread(sums, terms):
    """z of the mean square of standardised sums against 1, for many `terms` in each
    sum, so that the excess of the binomial, 1 / (terms rate), is small."""
    squares = sums**2 / terms
    return (squares.mean() - 1) / squares.std() * len(squares) ** 0.5


def correlations(a, b):
    """z of the mean product of two independent standardised arrays."""
    product = a * b
    return product.sum() / np.sqrt(product.size)


@rates
@widths
def test_the_rate_is_kept(width, rate):
    bits = masks(width, rate)
    z = bits.sum((1, 2)) / np.sqrt(bits[0].size)
    assert np.abs(z).max() < LIMIT
    assert abs(bits.sum() / np.sqrt(bits.size)) < LIMIT


@rates
@widths
def test_every_token_and_column_is_dropped_equally_often(width, rate):
    bits = masks(width, rate, count=64 // width * 8)
    by_column = bits.sum(1).ravel()
    by_token = bits.sum((0, 2))
    assert abs(z_of_spread(by_column, TOKENS)) < LIMIT
    assert abs(z_of_spread(by_token, len(bits) * width)) < LIMIT


@rates
@widths
@pytest.mark.parametrize("lag", [1, 2, 3, 4, 16, 128, 129, 130, 4096, 8192])
def test_tokens_are_independent(width, rate, lag):
    bits = masks(width, rate, count=4)
    assert abs(correlations(bits[:, lag:], bits[:, :-lag])) < LIMIT


@rates
@widths
def test_columns_are_independent(width, rate):
    bits = masks(width, rate, count=4)
    z = [
        correlations(bits[..., lag:], bits[..., :-lag])
        for lag in {1, 2, 3, width // 2, width - 1}
    ]
    assert np.abs(z).max() < LIMIT
    # also the number of dropped columns of a token
    assert abs(z_of_spread(bits.sum(2).ravel(), width)) < LIMIT


@rates
def test_layers_branches_and_steps_are_independent(rate):
    """Every pair of seeds of 3 steps, 4 layers and 2 branches."""
    seeds = [
        jax.random.bits(jax.random.fold_in(jax.random.key(1), step), (4, 2, 2))
        for step in range(3)
    ]
    found = dropped(4, rate, jnp.concatenate(seeds).reshape(-1, 2))
    bits = (np.asarray(found) - rate) / (rate * (1 - rate)) ** 0.5
    flat = bits.reshape(len(bits), -1)
    z = (flat @ flat.T / np.sqrt(flat.shape[1]))[np.triu_indices(len(flat), 1)]
    assert np.abs(z).max() < LIMIT
    # also with a lag, as a seed that is added to a counter would show
    for lag in (1, 2, 4, 8):
        z = flat[:, lag:] @ flat[:, :-lag].T / np.sqrt(flat.shape[1])
        assert np.abs(z).max() < LIMIT


@pytest.mark.parametrize("half", [0, 1])
@pytest.mark.parametrize("bit", [0, 1, 7, 16, 31])
def test_seeds_that_differ_in_one_bit_are_independent(half, bit):
    seed = jax.random.bits(jax.random.key(2), (2,))
    other = seed.at[half].set(seed[half] ^ jnp.uint32(1 << bit))
    a, b = (np.asarray(m) - 0.5 for m in dropped(64, 0.5, jnp.stack([seed, other])))
    assert abs(correlations(2 * a, 2 * b)) < LIMIT


@rates
def test_kept_entries_are_scaled_to_preserve_the_mean(rate):
    x = jax.random.normal(jax.random.key(3), (TOKENS, 64))
    ids = jnp.arange(TOKENS, dtype=jnp.uint32)
    noisy = np.asarray(dropout(x, ids, jnp.array([1, 2], jnp.uint32), rate))
    kept = noisy != 0
    np.testing.assert_allclose(noisy[kept], np.asarray(x)[kept] / (1 - rate), rtol=2e-7)
    spread = np.sqrt(rate / (1 - rate) * np.square(x).sum())
    assert abs((noisy - x).sum()) < LIMIT * spread


def test_a_layer_of_rate_zero_equals_one_without_dropout():
    layout = PaddedLayout(np.ones((2, 3), bool))
    tokens = jax.random.normal(jax.random.key(0), (8, 4))
    seeds = jax.random.bits(jax.random.key(1), (2, 2))

    @jax.jit
    def with_and_without(tokens):
        layer = Layer(4, 1, 0.0, rngs=nnx.Rngs(0))
        return layer(tokens, layout, seeds), layer(tokens, layout)

    np.testing.assert_array_equal(*with_and_without(tokens))
    ids = jnp.arange(8, dtype=jnp.uint32)
    np.testing.assert_array_equal(dropout(tokens, ids, seeds[0], 0.0), tokens)


def test_dropout_depends_on_the_token_id_and_not_on_the_row():
    x, seed = jnp.ones((50, 8)), jnp.array([3, 4], jnp.uint32)
    ids = jnp.arange(50, dtype=jnp.uint32) * 37
    order = np.random.default_rng(0).permutation(50)
    straight = dropout(x, ids, seed, 0.5)
    np.testing.assert_array_equal(dropout(x, ids[order], seed, 0.5), straight[order])


def test_a_layer_drops_its_branches_independently():
    """Both branches are made to give ones, so the layer adds the two masks."""
    layer = Layer(4, 1, 0.5, rngs=nnx.Rngs(0))
    for last in (layer.attention.out, layer.forward.down):
        assert last.bias is not None
        last.kernel[...] = jnp.zeros_like(last.kernel[...])
        last.bias[...] = jnp.ones_like(last.bias[...])
    tokens, layout = jnp.zeros((2 + 62, 4)), PaddedLayout(np.ones((2, 31), bool))
    seeds = jax.random.bits(jax.random.key(1), (2, 2))
    ones = jnp.ones_like(tokens)
    first, second = (dropout(ones, layout.token_ids, seed, 0.5) for seed in seeds)
    found = jax.jit(lambda tokens: layer(tokens, layout, seeds))(tokens)
    np.testing.assert_array_equal(found, first + second)
    assert not np.array_equal(first, second)


def test_every_branch_of_every_layer_has_its_own_seed(monkeypatch):
    graphdef, params = nnx.split(Tagger(width=4, layers=3).build(nnx.Rngs(0)))

    @jax.jit
    def seeds(key):
        found = []

        def recorded(x, ids, seed, rate):
            found.append(seed)
            return x

        monkeypatch.setattr(layers, "dropout", recorded)
        model, jets = nnx.merge(graphdef, params), np.ones((2, 3, 21))
        model(jets, np.ones((2, 3), bool), rngs=nnx.Rngs(dropout=key))
        return jnp.stack(found)

    found = np.concatenate([seeds(jax.random.key(number)) for number in range(2)])
    assert len(np.unique(found, axis=0)) == len(found) == 2 * 3 * 2
