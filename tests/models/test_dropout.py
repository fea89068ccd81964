"""Dropout's hashed bits behave as independent coins, whatever is compared with what.

All salts are fixed, so a test either always passes or never: each asks for |z| < 4.5 of
a normal statistic, which chance exceeds once in 150,000.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jetlab.models.layers import Layer, dropout
from jetlab.models.token_layout import Padded

TOKENS = 128 * 129  # of the largest batch
LIMIT = 4.5  # standard deviations
RATES = (0.01, 0.1, 0.5)

rates = pytest.mark.parametrize("rate", RATES)
widths = pytest.mark.parametrize("width", [4, 64])


@partial(jax.jit, static_argnums=(0, 1))
def dropped(width, rate, salts):
    """What is dropped under each of many pairs of salts."""
    ids, ones = jnp.arange(TOKENS, dtype=jnp.uint32), jnp.ones((TOKENS, width))
    return jax.vmap(lambda salt: dropout(ones, ids, salt, rate) == 0)(salts)


def masks(width, rate, count=8, seed=0):
    """As 0 and 1, with the mean taken off and divided by the standard deviation."""
    salts = jax.random.bits(jax.random.key(seed), (count, 2))
    found = np.asarray(dropped(width, rate, salts), np.float64)
    return (found - rate) / (rate * (1 - rate)) ** 0.5


def z_of_spread(sums, terms):
    """How far the mean square of standardised sums is from 1; right for many `terms`
    in each sum, so that a binomial's excess of 1 / (terms rate) is small."""
    squares = sums**2 / terms
    return (squares.mean() - 1) / squares.std() * len(squares) ** 0.5


def correlations(a, b):
    """z of the products of what should be independent."""
    product = a * b
    return product.sum() / np.sqrt(product.size)


@rates
@widths
def test_the_rate_is_kept(width, rate):
    coins = masks(width, rate)
    z = coins.sum((1, 2)) / np.sqrt(coins[0].size)
    assert np.abs(z).max() < LIMIT
    assert abs(coins.sum() / np.sqrt(coins.size)) < LIMIT


@rates
@widths
def test_no_token_and_no_column_is_dropped_more_often(width, rate):
    coins = masks(width, rate, count=64 // width * 8)
    by_column = coins.sum(1).ravel()
    by_token = coins.sum((0, 2))
    assert abs(z_of_spread(by_column, TOKENS)) < LIMIT
    assert abs(z_of_spread(by_token, len(coins) * width)) < LIMIT


@rates
@widths
@pytest.mark.parametrize("lag", [1, 2, 3, 4, 16, 128, 129, 130, 4096, 8192])
def test_tokens_are_independent(width, rate, lag):
    coins = masks(width, rate, count=4)
    assert abs(correlations(coins[:, lag:], coins[:, :-lag])) < LIMIT


@rates
@widths
def test_columns_are_independent(width, rate):
    coins = masks(width, rate, count=4)
    z = [
        correlations(coins[..., lag:], coins[..., :-lag])
        for lag in {1, 2, 3, width // 2, width - 1}
    ]
    assert np.abs(z).max() < LIMIT
    # a whole token at a time, too: the number dropped in a row of columns
    assert abs(z_of_spread(coins.sum(2).ravel(), width)) < LIMIT


@rates
def test_layers_branches_and_steps_are_independent(rate):
    """Every pair among the salts of 3 steps, 4 layers and 2 branches."""
    salts = [
        jax.random.bits(jax.random.fold_in(jax.random.key(1), step), (4, 2, 2))
        for step in range(3)
    ]
    found = dropped(4, rate, jnp.concatenate(salts).reshape(-1, 2))
    coins = (np.asarray(found) - rate) / (rate * (1 - rate)) ** 0.5
    flat = coins.reshape(len(coins), -1)
    z = (flat @ flat.T / np.sqrt(flat.shape[1]))[np.triu_indices(len(flat), 1)]
    assert np.abs(z).max() < LIMIT
    # shifted against each other, as a salt that is added to a counter would show
    for lag in (1, 2, 4, 8):
        z = flat[:, lag:] @ flat[:, :-lag].T / np.sqrt(flat.shape[1])
        assert np.abs(z).max() < LIMIT


@pytest.mark.parametrize("half", [0, 1])
@pytest.mark.parametrize("bit", [0, 1, 7, 16, 31])
def test_salts_that_differ_in_one_bit_share_nothing(half, bit):
    salt = jax.random.bits(jax.random.key(2), (2,))
    other = salt.at[half].set(salt[half] ^ jnp.uint32(1 << bit))
    a, b = (np.asarray(m) - 0.5 for m in dropped(64, 0.5, jnp.stack([salt, other])))
    assert abs(correlations(2 * a, 2 * b)) < LIMIT


@rates
def test_kept_entries_are_scaled_so_that_the_mean_stays(rate):
    x = jax.random.normal(jax.random.key(3), (TOKENS, 64))
    ids = jnp.arange(TOKENS, dtype=jnp.uint32)
    noisy = np.asarray(dropout(x, ids, jnp.array([1, 2], jnp.uint32), rate))
    kept = noisy != 0
    np.testing.assert_allclose(noisy[kept], np.asarray(x)[kept] / (1 - rate), rtol=2e-7)
    spread = np.sqrt(rate / (1 - rate) * np.square(x).sum())
    assert abs((noisy - x).sum()) < LIMIT * spread


def test_without_a_rate_a_layer_is_the_one_without_dropout():
    layout = Padded(np.ones((2, 3), bool))
    tokens = jax.random.normal(jax.random.key(0), (8, 4))
    salts = jax.random.bits(jax.random.key(1), (2, 2))

    @jax.jit
    def with_and_without(tokens):
        layer = Layer(4, 1, 0.0, rngs=nnx.Rngs(0))
        return layer(tokens, layout, salts), layer(tokens, layout)

    np.testing.assert_array_equal(*with_and_without(tokens))
    ids = jnp.arange(8, dtype=jnp.uint32)
    np.testing.assert_array_equal(dropout(tokens, ids, salts[0], 0.0), tokens)


def test_what_is_dropped_depends_on_the_token_and_not_on_where_it_lies():
    x, salt = jnp.ones((50, 8)), jnp.array([3, 4], jnp.uint32)
    ids = jnp.arange(50, dtype=jnp.uint32) * 37
    order = np.random.default_rng(0).permutation(50)
    straight = dropout(x, ids, salt, 0.5)
    np.testing.assert_array_equal(dropout(x, ids[order], salt, 0.5), straight[order])
