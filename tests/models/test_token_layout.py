"""Logits, loss and gradient of the tagger are the same in every layout."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jetlab.models import cpu_attention
from jetlab.models.layers import Layer
from jetlab.models.tagger import Tagger
from jetlab.models.token_layout import FlatLayout, PaddedLayout

COUNTS = np.array([12, 12, 9, 7, 5, 4, 1, 0])  # of up to twelve particles
JETS, PARTICLES, SPARE = len(COUNTS), 12, 6
MASK = np.arange(PARTICLES) < COUNTS[:, None]
Y = np.arange(JETS) % 10
GROUPS = ((3, 12), (4, 7), (1, 0))  # the last has no slot to spare
FORMS = {"kernel": (), "groups": GROUPS}

forms = pytest.mark.parametrize("groups", FORMS.values(), ids=FORMS)


@pytest.fixture(autouse=True)
def _skip_without_kernel(request):
    """Skips tests of the CPU kernel where it cannot be compiled."""
    spec = getattr(request.node, "callspec", None)
    if spec and spec.params.get("groups") == () and not cpu_attention.available():
        pytest.skip("no C++ compiler")


def split(build):
    """The static part of a module, and random parameters, including norms."""
    graphdef, abstract = nnx.split(nnx.eval_shape(build), nnx.Param)
    rng = np.random.default_rng(1)

    def draw(path, leaf):
        mean = "scale" in jax.tree_util.keystr(path)
        spread = len(leaf) ** -0.5 if leaf.ndim > 1 else 0.1
        return jnp.asarray(rng.normal(mean, spread, leaf.shape), jnp.float32)

    return graphdef, jax.tree_util.tree_map_with_path(draw, abstract)


@cache
def tagger(width):
    config = Tagger(width=width, layers=2, dropout=0.3)
    return split(lambda: config.build(nnx.Rngs(0)))


def particles_of(spare=0.0):
    """The same particles padded, and flat with the value `spare` in padding rows."""
    x = np.random.default_rng(0).normal(size=(*MASK.shape, 21)).astype(np.float32)
    rest = np.full((SPARE, 21), spare, np.float32)
    return x * MASK[..., None], np.concatenate([x[MASK], rest])


def cross_entropy(logits, y):
    return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()


@jax.jit(static_argnums=0)
def padded_form(graphdef, params, x):
    def loss(params):
        rngs = nnx.Rngs(dropout=3)
        return cross_entropy(nnx.merge(graphdef, params)(x, MASK, rngs=rngs), Y)

    return jax.value_and_grad(loss)(params)


@partial(jax.jit, static_argnums=(0, 1))
def flat_form(graphdef, groups, params, particles, counts, jet_ids, y):
    def loss(params):
        layout = FlatLayout(counts, jet_ids, len(particles), groups)
        tagger = nnx.merge(graphdef, params)
        logits = tagger.call_flat(particles, layout, rngs=nnx.Rngs(dropout=3))
        return cross_entropy(logits, y)

    return jax.value_and_grad(loss)(params)


def relative(found, wanted):
    """Norm of the difference of two gradients over that of the second."""
    difference = jax.tree.map(jnp.subtract, found, wanted)
    return optax.tree.norm(difference) / optax.tree.norm(wanted)


def in_order():
    return jnp.asarray(COUNTS), jnp.arange(JETS), Y


WIDTH = 128  # the smallest with more than one head
WIDTHS = [
    pytest.param(width, marks=[] if width == WIDTH else pytest.mark.slow)
    for width in (4, 8, 16, 32, 64, 96, 128, 256, 512)
]


@forms
@pytest.mark.parametrize("width", WIDTHS)
def test_the_gradient_is_that_of_the_padded_form(width, groups):
    """With dropout, with jets of no particles and of the maximum."""
    x, particles = particles_of()
    graphdef, params = tagger(width)
    value, gradient = padded_form(graphdef, params, x)
    found, flat = flat_form(graphdef, groups, params, particles, *in_order())
    np.testing.assert_allclose(found, value, rtol=1e-6)
    assert relative(flat, gradient) < 1e-5


@forms
def test_padding_rows_change_no_bit(groups):
    graphdef, params = tagger(WIDTH)
    clean, full = (
        flat_form(graphdef, groups, params, particles_of(spare)[1], *in_order())
        for spare in (0.0, 1e4)
    )
    jax.tree.map(np.testing.assert_array_equal, full, clean)


@forms
def test_the_order_of_jets_does_not_matter(groups):
    """Nor does it to dropout, which depends on the ids of jets."""
    graphdef, params = tagger(WIDTH)
    _, particles = particles_of()
    value, gradient = flat_form(graphdef, groups, params, particles, *in_order())
    order = np.array([2, 1, 0, 6, 3, 5, 4, 7])  # within the groups
    jets = np.split(particles, np.cumsum(COUNTS))
    moved = np.concatenate([*(jets[jet] for jet in order), jets[-1]])
    labels = jnp.asarray(COUNTS[order]), jnp.asarray(order), Y[order]
    found, other = flat_form(graphdef, groups, params, moved, *labels)
    np.testing.assert_allclose(found, value, rtol=1e-6)
    assert relative(other, gradient) < 1e-5


LAYOUTS = {
    "padded": lambda: PaddedLayout(MASK),
    "kernel": lambda: FlatLayout(*in_order()[:2], int(COUNTS.sum()) + SPARE, ()),
    "groups": lambda: FlatLayout(*in_order()[:2], int(COUNTS.sum()) + SPARE, GROUPS),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layer_of_the_class_tokens_alone_is_exact(name):
    """A layer with all queries gives the class tokens the same values, with dropout."""
    if name == "kernel" and not cpu_attention.available():
        pytest.skip("no C++ compiler")
    graphdef, params = split(lambda: Layer(8, 2, 0.3, rngs=nnx.Rngs(0)))
    rows = JETS + (MASK.size if name == "padded" else COUNTS.sum() + SPARE)
    tokens = jax.random.normal(jax.random.key(3), (rows, 8))
    seeds = jax.random.bits(jax.random.key(4), (2, 2))

    @jax.jit
    def both(params, tokens):
        layer, layout = nnx.merge(graphdef, params), LAYOUTS[name]()
        few = layer(tokens, layout, seeds, num_queries=JETS)
        return layer(tokens, layout, seeds), few

    full, few = both(params, tokens)
    assert few.shape == (JETS, 8)
    np.testing.assert_allclose(few, full[:JETS], rtol=0, atol=1e-6)


@partial(jax.jit, static_argnums=2)
def flat_ids(counts, jet_ids, rows):
    return FlatLayout(counts, jet_ids, rows, ()).token_ids


def test_token_ids_are_unique_and_equal_in_every_layout():
    counts = np.array([128, 3, 0, 127])
    mask = np.arange(128) < counts[:, None]
    padded = np.asarray(PaddedLayout(mask).token_ids)
    assert len(np.unique(padded)) == len(padded)
    there = np.concatenate([padded[:4], padded[4:][mask.ravel()]])
    flat = flat_ids(counts, np.arange(4), int(counts.sum()) + 9)
    np.testing.assert_array_equal(flat[: len(there)], there)


def test_micro_batches_keep_the_token_ids_of_the_batch():
    rows, jet_ids = int(COUNTS.sum()), np.arange(JETS)
    whole = flat_ids(COUNTS, jet_ids, rows)
    parts = [flat_ids(COUNTS[part::2], jet_ids[part::2], rows) for part in range(2)]
    sizes = [JETS // 2 + COUNTS[part::2].sum() for part in range(2)]
    ids = [part[:size] for part, size in zip(parts, sizes, strict=True)]
    np.testing.assert_array_equal(np.sort(np.concatenate(ids)), np.sort(whole))
