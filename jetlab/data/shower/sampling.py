"""Sample jets from the simulated shower.

All generations of a jet share one queue (`jetlab.data.shower.family_tree`), whose slots
are filled at once.
"""

from functools import cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from jetlab.data.shower import parameters as fixed
from jetlab.data.shower.decays import ELECTRON, JET_PT
from jetlab.data.shower.family_tree import (
    SLOTS,
    Tree,
    draw_tree,
    sum_over_ancestors,
)
from jetlab.data.shower.marks import (
    BACKGROUND,
    DISPLACED,
    PROMPT,
    Marks,
    Noise,
    displaced,
    draw_noise,
    sample_marks,
)
from jetlab.types import MAX_PARTICLES

PARTS, NARROW = 8, (64, 96, 192, SLOTS)  # of a block, and slots that one may need
DIRECT, CHILDREN = 192, 12  # lengths of the tables of the two Poisson distributions


class Showers(NamedTuple):
    """Simulated jets, padded: particles by increasing t, then padding at `END`."""

    t: Float[Array, "*b p"]  # ln(jet pT / pT)
    y: Float[Array, "*b p 2"]  # (deta, dphi), deta times the sign of the jet's eta
    marks: Marks
    mask: Bool[Array, "*b p"]
    label: Int[Array, "*b"]
    configuration: Int[Array, "*b"]
    axis: Float[Array, "*b 2"]  # eta and phi of the jet, independent of all else


class _Draws(NamedTuple):
    """All that is drawn of each jet, and `used`, the slots that its particles take."""

    label: Int[Array, "b"]
    configuration: Int[Array, "b"]
    axis: Float[Array, "b 2"]
    decay: "_Emission"
    used: Int[Array, "b"]
    by_slot: "_BySlot"


class _BySlot(NamedTuple):
    tree: Tree
    which: Float[Array, "b s"]  # uniform: the emitter
    uniform: Float[Array, "b s"]
    normal: Float[Array, "b s 2"]
    noise: Noise


def sample(key: Key[Array, ""], labels: Int[Array, "b"]) -> Showers:
    """One jet per label, with its 128 hardest particles; compiles per number of labels,
    a multiple of 8.

    Most jets take a fifth of the slots: they are sorted by the slots that they take,
    and each of `PARTS` parts is computed with as few as it needs.

    Raises:
      ValueError: for a number of labels that is no multiple of `PARTS`.
    """
    if len(labels) % PARTS:
        raise ValueError(f"{len(labels)} labels: take a multiple of {PARTS}")
    drawn = _draw(key, labels)
    used = np.asarray(drawn.used)
    order = np.argsort(used, kind="stable")
    parts = []
    for rows in np.split(order, PARTS):
        slots = next(n for n in NARROW if n >= used[rows[-1]])
        parts.append(_shower(drawn, rows, slots))
    places = np.argsort(order)
    return jax.tree.map(lambda *v: jnp.concatenate(v)[places], *parts)


@jax.jit
def _draw(key: Key[Array, ""], labels: Int[Array, "b"]) -> _Draws:
    keys = jax.random.split(key, 5)
    pick, axis = jax.random.split(keys[0])
    configuration = jax.random.randint(pick, labels.shape, 0, fixed.CONFIGURATIONS)
    decay = _emission(labels, configuration)
    tree = draw_tree(keys[1], decay.direct, decay.children, decay.lepton)
    which, uniform = jax.random.uniform(keys[2], (2, *tree.root.shape))
    normal = jax.random.normal(keys[3], (*tree.root.shape, 2))
    noise = draw_noise(keys[4], tree.root.shape)
    scale = jnp.array([4.0, 2 * np.pi])  # |eta| < 2, |phi| < pi
    return _Draws(
        labels,
        configuration,
        scale * (jax.random.uniform(axis, (len(labels), 2)) - 0.5),
        decay,
        tree.alive.sum(axis=1),
        _BySlot(tree, which, uniform, normal, noise),
    )


@partial(jax.jit, static_argnames="slots")
def _shower(every: _Draws, rows: Int[Array, "r"], slots: int) -> Showers:
    """The jets in these rows; each takes at most `slots` slots."""
    by_slot = jax.tree.map(lambda v: v[rows, :slots], every.by_slot)
    drawn = jax.tree.map(lambda v: v[rows], every._replace(by_slot=()))
    tree = by_slot.tree
    t, y, emitter = _momenta(drawn.decay, by_slot)
    alive = tree.alive & (t < fixed.END)
    t = jnp.where(alive, t, fixed.END)
    marks = _marks(by_slot.noise, emitter, JET_PT * jnp.exp(-t), tree)

    # The order of a stable sort, in a quarter of its time on a CPU.
    order = jax.lax.top_k(-t, min(slots, MAX_PARTICLES))[1]
    mask = jnp.take_along_axis(alive, order, -1)
    marks = jax.tree.map(lambda v: mask * jnp.take_along_axis(v, order, -1), marks)
    seen = jnp.take_along_axis(y, order[..., None], 1)
    missing = MAX_PARTICLES - order.shape[1]

    def padded(values: Array, value: float = 0) -> Array:
        after = [(0, 0), (0, missing), *[(0, 0)] * (values.ndim - 2)]
        return jnp.pad(values, after, constant_values=value)

    return Showers(
        t=padded(jnp.take_along_axis(t, order, -1), fixed.END),
        y=padded(jnp.where(mask[..., None], seen, 0.0)),
        marks=jax.tree.map(padded, marks),
        mask=padded(mask),
        label=drawn.label,
        configuration=drawn.configuration,
        axis=drawn.axis,
    )


class _Emission(NamedTuple):
    """What a decay emits; the background is its last emitter."""

    share: Float[Array, "*b q"]
    direction: Float[Array, "*b q 2"]
    emitter: Int[Array, "*b q"]
    softness: Float[Array, "*b q"]
    before_end: Float[Array, "*b q"]  # P(t < END)
    edges: Float[Array, "*b e"]  # cumulative shares of the emitters
    direct: Float[Array, "*b n"]  # P(number of direct particles <= n)
    children: Float[Array, "*b m"]  # P(number of children <= m)
    lepton: Float[Array, "*b"]  # P(lepton | jet not empty)
    lepton_share: Float[Array, "*b"]
    lepton_direction: Float[Array, "*b 2"]
    lepton_emitter: Int[Array, "*b"]


def _emission(label: Int[Array, "b"], configuration: Int[Array, "b"]) -> _Emission:
    return _Emission(
        *(jnp.asarray(v)[label, configuration] for v in _emission_tables())
    )


@cache
def _emission_tables() -> tuple[np.ndarray, ...]:
    """Fields of `_Emission` for all configurations, indexed by class and number."""
    decay, mean = fixed.configurations(), fixed.direct_mean()
    total = mean.sum(-1, keepdims=True)

    def extended(values: np.ndarray, background: float | int) -> np.ndarray:
        return np.concatenate([values, np.full_like(values[:, :, :1], background)], 2)

    rate = extended(decay.rate, fixed.BACKGROUND_RATE)
    tables = (
        extended(decay.share, 1.0),
        extended(decay.direction, 0.0),
        extended(decay.flavour, BACKGROUND),
        extended(decay.softness, fixed.BACKGROUND_SOFTNESS),
        mean / np.where(rate > 0, rate, 1.0),
        (mean.cumsum(-1) / total)[..., :-1],
        _poisson_cdf(total, DIRECT),
        _poisson_cdf(decay.offspring[..., None], CHILDREN),
        fixed.lepton_probability() / (1 - fixed.empty_probability()),
        decay.lepton_share,
        decay.lepton_direction,
        ELECTRON + decay.lepton_muon,
    )
    return tuple(
        v.astype(np.int32 if v.dtype.kind == "i" else np.float32) for v in tables
    )


def _poisson_cdf(
    mean: Float[np.ndarray, "k u 1"], size: int
) -> Float[np.ndarray, "k u n"]:
    """P(number <= n) for n from 0 to size - 1."""
    n = np.arange(size)
    log_factorial = np.cumsum(np.log(np.maximum(n, 1)))
    return np.cumsum(np.exp(n * np.log(mean) - mean - log_factorial), axis=-1)


def _momenta(
    decay: _Emission, drawn: _BySlot
) -> tuple[Float[Array, "b s"], Float[Array, "b s 2"], Int[Array, "b s"]]:
    """t, y and emitter of each slot; emitters of children are meaningless."""
    tree, which, uniform = drawn.tree, drawn.which, drawn.uniform
    index = (which[..., None] >= decay.edges[:, None]).sum(-1)

    def emitted(values: Array, lepton: Array) -> Array:
        chosen = jnp.take_along_axis(values, index, axis=1)
        return jnp.where(tree.lepton, lepton[:, None], chosen)

    # Inverse of P(t < t') = (1 - exp(-a tau))^b below its value at END.
    power = jnp.take_along_axis(decay.softness, index, axis=1)
    reached = uniform * jnp.take_along_axis(decay.before_end, index, axis=1)
    tau = -jnp.log(-jnp.expm1(jnp.log(reached) / power)) / fixed.HARDNESS
    exponential = -jnp.log1p(-uniform)
    # A lepton beyond END is dropped by `sample`: its probability is below float32.
    tau = jnp.where(tree.lepton, exponential / fixed.LEPTON_HARDNESS, tau)
    emitter = emitted(decay.emitter, decay.lepton_emitter)
    direct = tau - jnp.log(emitted(decay.share, decay.lepton_share))
    dt = jnp.where(tree.root, direct, exponential / fixed.CHILD_DECAY)

    width = jnp.where(tree.root, _width(tau, emitter), fixed.child_width(dt))
    dy = width[..., None] * drawn.normal
    centre = [
        emitted(decay.direction[..., i], decay.lepton_direction[:, i]) for i in (0, 1)
    ]
    dy += tree.root[..., None] * jnp.stack(centre, axis=-1)
    total = sum_over_ancestors(jnp.concatenate([dt[..., None], dy], -1), tree)
    return total[..., 0], total[..., 1:], emitter


def _width(tau: Float[Array, "b s"], emitter: Int[Array, "b s"]) -> Float[Array, "b s"]:
    constant = [fixed.LEPTON_WIDTH, fixed.LEPTON_WIDTH, fixed.BACKGROUND_WIDTH]
    width = jnp.asarray([*fixed.WIDTH, *constant], tau.dtype)[emitter]
    wider = jnp.minimum(width * jnp.exp(fixed.GROWTH * tau), fixed.WIDEST)
    return jnp.where(emitter < len(fixed.WIDTH), wider, width)


def _marks(
    noise: Noise, emitter: Int[Array, "b s"], pt: Float[Array, "b s"], tree: Tree
) -> Marks:
    """Marks of each slot; those of children depend on whether the parent is displaced:
    iterated until no slot changes."""
    prompt = sample_marks(noise, jnp.where(tree.root, emitter, PROMPT), pt)
    late = sample_marks(noise, jnp.where(tree.root, emitter, DISPLACED), pt)
    if_prompt, if_late = displaced(prompt), displaced(late)

    def descend(carry: tuple[Array, Array]) -> tuple[Array, Array]:
        far, _ = carry
        parent = jnp.take_along_axis(far, tree.parent, axis=1) & ~tree.root
        return jnp.where(parent, if_late, if_prompt), far

    def changed(carry: tuple[Array, Array]) -> Array:
        return (carry[0] != carry[1]).any()

    far, _ = jax.lax.while_loop(changed, descend, (if_prompt, ~if_prompt))
    parent = jnp.take_along_axis(far, tree.parent, axis=1) & ~tree.root
    return jax.tree.map(lambda p, d: jnp.where(parent, d, p), prompt, late)
