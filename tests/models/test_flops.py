"""Formulas of parameters and FLOPs against built models and compiled programs."""

import dataclasses

import jax
import pytest
from flax import nnx

from jetlab.models import flops
from jetlab.models.tagger import Tagger


@pytest.mark.parametrize("features", [3, 21])
def test_groups_sum_to_the_parameters_of_the_module(features):
    config = Tagger(width=24, features=features, layers=3, classes=7)
    model = nnx.eval_shape(lambda: config.build(nnx.Rngs(0)))
    built = sum(leaf.size for leaf in jax.tree.leaves(nnx.state(model, nnx.Param)))
    assert flops.parameters(config).total == built
    groups = dataclasses.astuple(flops.parameters(config))
    assert sum(groups) == built


def test_nonembedding_excludes_embedding_and_head():
    model = nnx.eval_shape(lambda: Tagger(width=16).build(nnx.Rngs(0)))
    params = nnx.to_pure_dict(nnx.state(model, nnx.Param))
    inner = jax.tree.leaves([params["layers"], params["norm"]])
    assert flops.parameters(Tagger(width=16)).nonembedding == sum(a.size for a in inner)


def test_estimate_is_six_n_np():
    assert flops.estimate(Tagger(width=64), 40) == 6 * 202_186 * 40


@pytest.mark.parametrize("width", [16, 64])
def test_matrix_products_are_most_of_the_flops_of_xla(width):
    """XLA adds elementwise operations, a fraction that falls as 1/d."""
    n, config = 20, Tagger(width=width, layers=2)
    products = flops.products(config, n, n**2).training
    ratio = flops.measured(config, n, batch=8) / products
    assert 1.0 < ratio < 1.0 + 12 / width


def test_matrix_products_counted_by_hand():
    """Two particles and the class token in two layers of d = 4."""
    config = Tagger(width=4, features=3, classes=5, layers=2)
    found = flops.products(config, 2, 4)
    assert found.embedding == 2 * (2 * 3 * 4)
    # q, k, v and out of three tokens; k and v of three, q and out of the class token
    assert found.projections == 2 * 16 * (4 * 3 + 2 * 3 + 2)
    # two products of 3 x 3 pairs of d terms; of the class token with three
    assert found.scores == 2 * (2 * 4) * (9 + 3)
    assert found.feed_forward == 2 * (2 * 4 * 16) * (3 + 1)
    assert found.head == 2 * 4 * 5
    assert found.forward == 48 + 640 + 192 + 1024 + 40
    assert found.training == 3 * 1944 - 48


def test_attention_is_proportional_to_the_mean_square_of_tokens():
    """Jets of 10 and 30 particles cost more than two jets of 20."""
    config = Tagger(width=16)
    few, many = (flops.products(config, n, n**2).forward for n in (10, 30))
    both = flops.products(config, 20, (10**2 + 30**2) / 2).forward
    assert both == pytest.approx((few + many) / 2)
    assert both > flops.products(config, 20, 20**2).forward
