"""However the tokens lie, the tagger is the same: its logits, loss and gradient."""

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
from jetlab.models.token_layout import Flat, Padded

COUNTS = np.array([12, 12, 9, 7, 5, 4, 1, 0])  # of up to twelve particles
JETS, PARTICLES, SPARE = len(COUNTS), 12, 6
MASK = np.arange(PARTICLES) < COUNTS[:, None]
Y = np.arange(JETS) % 10
GROUPS = ((3, 12), (5, 7))
FORMS = {"native": (), "groups": GROUPS}

forms = pytest.mark.parametrize("groups", FORMS.values(), ids=FORMS)


@pytest.fixture(autouse=True)
def _kernel_where_it_is_asked(request):
    """Skips the native form where nothing compiles it."""
    asked = getattr(request.node, "callspec", None)
    if asked and asked.params.get("groups") == () and not cpu_attention.available():
        pytest.skip("no C++ compiler")


def parts(build):
    """A module's static part, and parameters that are all random, norms' too."""
    graphdef, abstract = nnx.split(nnx.eval_shape(build), nnx.Param)
    rng = np.random.default_rng(1)

    def draw(path, leaf):
        mean = "scale" in jax.tree_util.keystr(path)
        spread = len(leaf) ** -0.5 if leaf.ndim > 1 else 0.1
        return jnp.asarray(rng.normal(mean, spread, leaf.shape), jnp.float32)

    return graphdef, jax.tree_util.tree_map_with_path(draw, abstract)


@cache
def tagger(width):
    return parts(lambda: Tagger(width=width, dropout=0.3).build(nnx.Rngs(0)))


def drawn(spare=0.0):
    """The same particles padded, and flat with `spare` in the rows that hold none."""
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
def flat_form(graphdef, groups, params, particles, counts, places, y):
    def loss(params):
        layout = Flat(counts, places, len(particles), groups)
        tagger = nnx.merge(graphdef, params)
        logits = tagger.read(particles, layout, rngs=nnx.Rngs(dropout=3))
        return cross_entropy(logits, y)

    return jax.value_and_grad(loss)(params)


def relative(found, wanted):
    """Norm of the difference of two gradients over that of the second."""
    apart = jax.tree.map(jnp.subtract, found, wanted)
    return optax.tree.norm(apart) / optax.tree.norm(wanted)


def as_drawn():
    return jnp.asarray(COUNTS), jnp.arange(JETS), Y


WIDTH = 128  # the least with more than one head
WIDTHS = [
    pytest.param(width, marks=[] if width == WIDTH else pytest.mark.slow)
    for width in (4, 8, 16, 32, 64, 96, 128, 256, 512)
]


@forms
@pytest.mark.parametrize("width", WIDTHS)
def test_the_gradient_is_that_of_the_padded_form(width, groups):
    """With dropout on, jets without particles and with the most."""
    x, particles = drawn()
    graphdef, params = tagger(width)
    value, gradient = padded_form(graphdef, params, x)
    found, flat = flat_form(graphdef, groups, params, particles, *as_drawn())
    np.testing.assert_allclose(found, value, rtol=1e-6)
    assert relative(flat, gradient) < 1e-5


@forms
def test_rows_that_hold_nothing_have_no_effect_at_all(groups):
    graphdef, params = tagger(WIDTH)
    clean, full = (
        flat_form(graphdef, groups, params, drawn(spare)[1], *as_drawn())
        for spare in (0.0, 1e4)
    )
    jax.tree.map(np.testing.assert_array_equal, full, clean)


@forms
def test_the_order_of_jets_does_not_matter(groups):
    """Nor to dropout, which asks for their places in the batch."""
    graphdef, params = tagger(WIDTH)
    _, particles = drawn()
    value, gradient = flat_form(graphdef, groups, params, particles, *as_drawn())
    order = np.array([2, 1, 0, 7, 3, 5, 6, 4])  # each stays in its group
    jets = np.split(particles, np.cumsum(COUNTS))
    moved = np.concatenate([*(jets[jet] for jet in order), jets[-1]])
    labels = jnp.asarray(COUNTS[order]), jnp.asarray(order), Y[order]
    found, other = flat_form(graphdef, groups, params, moved, *labels)
    np.testing.assert_allclose(found, value, rtol=1e-6)
    assert relative(other, gradient) < 1e-5


LAYOUTS = {
    "padded": lambda: Padded(MASK),
    "native": lambda: Flat(*as_drawn()[:2], int(COUNTS.sum()) + SPARE, ()),
    "groups": lambda: Flat(*as_drawn()[:2], int(COUNTS.sum()) + SPARE, GROUPS),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_reading_only_the_class_tokens_is_exact(name):
    """The last layer in full gives them the same numbers, dropout too."""
    if name == "native" and not cpu_attention.available():
        pytest.skip("no C++ compiler")
    graphdef, params = parts(lambda: Layer(8, 2, 0.3, rngs=nnx.Rngs(0)))
    rows = JETS + (MASK.size if name == "padded" else COUNTS.sum() + SPARE)
    tokens = jax.random.normal(jax.random.key(3), (rows, 8))
    salts = jax.random.bits(jax.random.key(4), (2, 2))

    @jax.jit
    def full_and_read(params, tokens):
        layer, layout = nnx.merge(graphdef, params), LAYOUTS[name]()
        return layer(tokens, layout, salts), layer(tokens, layout, salts, reads=JETS)

    full, read = full_and_read(params, tokens)
    assert read.shape == (JETS, 8)
    np.testing.assert_allclose(read, full[:JETS], rtol=0, atol=1e-6)


@partial(jax.jit, static_argnums=2)
def numbers(counts, places, rows):
    return Flat(counts, places, rows, ()).ids


def test_a_token_has_its_own_number_and_the_same_in_every_layout():
    counts = np.array([128, 3, 0, 127])
    mask = np.arange(128) < counts[:, None]
    padded = np.asarray(Padded(mask).ids)
    assert len(np.unique(padded)) == len(padded)
    there = np.concatenate([padded[:4], padded[4:][mask.ravel()]])
    flat = numbers(counts, np.arange(4), int(counts.sum()) + 9)
    np.testing.assert_array_equal(flat[: len(there)], there)


def test_a_batch_cut_in_parts_keeps_the_numbers_of_its_tokens():
    rows, places = int(COUNTS.sum()), np.arange(JETS)
    whole = numbers(COUNTS, places, rows)
    cut = [numbers(COUNTS[part::2], places[part::2], rows) for part in range(2)]
    there = [JETS // 2 + COUNTS[part::2].sum() for part in range(2)]
    of_parts = [ids[:n] for ids, n in zip(cut, there, strict=True)]
    np.testing.assert_array_equal(np.sort(np.concatenate(of_parts)), np.sort(whole))
