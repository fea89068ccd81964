"""The tagger: size of the paper, permutation invariance, independence of padding."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jetlab.models.tagger import Tagger


@pytest.fixture(scope="module")
def tagger():
    """A narrow tagger; all parameters are random, including biases and norms."""
    model = Tagger(width=8, layers=2)
    graphdef, abstract = nnx.split(
        nnx.eval_shape(lambda: model.build(nnx.Rngs(0))), nnx.Param
    )
    rng = np.random.default_rng(1)

    def draw(path, leaf):
        mean = "scale" in jax.tree_util.keystr(path)
        return jnp.asarray(rng.normal(mean, 0.3, leaf.shape), jnp.float32)

    params = jax.tree_util.tree_map_with_path(draw, abstract)
    return jax.jit(lambda x, mask: nnx.merge(graphdef, params)(x, mask))


@pytest.fixture(scope="module")
def jets():
    x = jax.random.normal(jax.random.key(2), (3, 12, 21))
    mask = jnp.arange(12) < jnp.array([[12], [5], [1]])
    return jnp.where(mask[..., None], x, 0.0), mask


@pytest.mark.parametrize(
    ("width", "count"),
    [
        (4, 1_126),
        (8, 3_778),
        (16, 13_690),
        (32, 51_946),
        (64, 202_186),
        (96, 450_730),
        (128, 797_578),
        (256, 3_168_010),
        (512, 12_627_466),
    ],
)
def test_number_of_parameters_is_that_of_the_paper(width, count):
    model = nnx.eval_shape(lambda: Tagger(width=width).build(nnx.Rngs(0)))
    leaves = jax.tree.leaves(nnx.state(model, nnx.Param))
    assert sum(leaf.size for leaf in leaves) == count


@pytest.mark.parametrize(("width", "heads"), [(4, 1), (64, 1), (128, 2), (512, 8)])
def test_one_head_for_every_64_dimensions(width, heads):
    assert Tagger(width=width).heads == heads


def test_logits_are_invariant_under_permutations_of_particles(tagger, jets):
    x, mask = jets
    shuffle = np.random.default_rng(0).permutation(12)
    shuffled = tagger(x[:, shuffle], mask[:, shuffle])
    np.testing.assert_allclose(tagger(x, mask), shuffled, rtol=0, atol=2e-6)


def test_values_of_padding_change_no_bit(tagger, jets):
    x, mask = jets
    garbage = jnp.where(mask[..., None], x, 1e4)
    np.testing.assert_array_equal(tagger(x, mask), tagger(garbage, mask))


def test_the_amount_of_padding_does_not_matter(tagger, jets):
    x, mask = jets
    wider = ((0, 0), (0, 20))
    padded = tagger(jnp.pad(x, (*wider, (0, 0))), jnp.pad(mask, wider))
    # sums over more zeros may be computed in another order
    np.testing.assert_allclose(tagger(x, mask), padded, rtol=0, atol=2e-6)


def test_a_jet_without_particles_has_finite_logits_and_gradients(tagger, jets):
    x, mask = jets
    empty = jnp.zeros_like(mask)
    gradient = jax.jit(jax.grad(lambda x: tagger(x, empty).sum()))(x)
    assert np.isfinite(tagger(x, empty)).all()
    np.testing.assert_array_equal(gradient, 0.0)


def test_dropout_acts_only_with_rngs(jets):
    x, mask = jets

    model = Tagger(width=8, layers=1, dropout=0.5).build(nnx.Rngs(0))

    @jax.jit
    def logits(key):
        return model(x, mask), model(x, mask, rngs=nnx.Rngs(dropout=key))

    (without, first), (again, same), (_, other) = (
        logits(jax.random.key(seed)) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(without, again)
    np.testing.assert_array_equal(first, same)
    assert not np.allclose(first, without)
    assert not np.allclose(first, other)


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match="multiple of 2"):
        Tagger(width=129)
