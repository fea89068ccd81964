"""Sample jets from the simulated shower.

All generations of a jet share one queue: the particles that the decay emits, then their
children, then the children of these, siblings side by side. The numbers of children
determine the tree (a Galton-Watson process in breadth-first order), so it is built
without a loop over generations.
"""

from functools import cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from jetlab.data.shower import parameters as fixed
from jetlab.data.shower.decays import ELECTRON, JET_PT
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

SLOTS = 320  # particles of a jet in all generations, before the cut on pT
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


def sample(key: Key[Array, ""], labels: Int[Array, "b"]) -> Showers:
    """One jet per label, with its 128 hardest particles. Use it under `jax.jit`: it
    compiles per shape."""
    keys = jax.random.split(key, 5)
    pick, axis = jax.random.split(keys[0])
    configuration = jax.random.randint(pick, labels.shape, 0, fixed.CONFIGURATIONS)
    decay = _emission(labels, configuration)
    tree = _tree(keys[1], decay)
    t, y, emitter = _momenta(keys[2], keys[3], decay, tree)
    alive = tree.alive & (t < fixed.END)
    t = jnp.where(alive, t, fixed.END)
    marks = _marks(draw_noise(keys[4], t.shape), emitter, JET_PT * jnp.exp(-t), tree)

    # The order of a stable sort, in a quarter of its time on a CPU.
    order = jax.lax.top_k(-t, MAX_PARTICLES)[1]
    mask = jnp.take_along_axis(alive, order, -1)
    marks = jax.tree.map(lambda v: mask * jnp.take_along_axis(v, order, -1), marks)
    scale = jnp.array([4.0, 2 * np.pi])  # |eta| < 2, |phi| < pi
    return Showers(
        t=jnp.take_along_axis(t, order, -1),
        y=mask[..., None] * jnp.take_along_axis(y, order[..., None], 1),
        marks=marks,
        mask=mask,
        label=labels,
        configuration=configuration,
        axis=scale * (jax.random.uniform(axis, (len(labels), 2)) - 0.5),
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


class _Tree(NamedTuple):
    """Family tree of the slots of the queue."""

    parent: Int[Array, "b s"]
    root: Bool[Array, "b s"]  # emitted by the decay
    lepton: Bool[Array, "b s"]
    alive: Bool[Array, "b s"]


def _tree(key: Key[Array, ""], decay: _Emission) -> _Tree:
    roots, offspring = jax.random.split(key)
    uniform = jax.random.uniform(roots, (2, len(decay.lepton), 1))
    lepton = uniform[0] < decay.lepton[:, None]
    # A jet without its lepton has at least one direct particle: it is not empty.
    least = jnp.where(lepton, 0.0, decay.direct[:, :1])
    number = (least + (1 - least) * uniform[1] >= decay.direct).sum(-1, keepdims=True)
    number += lepton

    slot = jnp.arange(SLOTS)
    uniform = jax.random.uniform(offspring, (len(lepton), SLOTS, 1))
    children = (uniform >= decay.children[:, None]).sum(-1)
    # Length of the queue once the children of this slot are appended.
    length = number + jnp.cumsum(children, axis=-1)
    find = jax.vmap(lambda v: jnp.searchsorted(v, slot, side="right"))
    root = slot < number
    return _Tree(
        parent=jnp.where(root, slot, jnp.minimum(find(length), SLOTS - 1)),
        root=root,
        lepton=lepton & (slot == 0),
        # The queue ends at the first slot that no particle has been appended to.
        alive=jax.lax.cummax(slot - length + children, axis=1) < 0,
    )


def _momenta(
    key: Key[Array, ""], angles: Key[Array, ""], decay: _Emission, tree: _Tree
) -> tuple[Float[Array, "b s"], Float[Array, "b s 2"], Int[Array, "b s"]]:
    """t, y and emitter of each slot; emitters of children are meaningless."""
    which, uniform = jax.random.uniform(key, (2, *tree.root.shape))
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
    dy = width[..., None] * jax.random.normal(angles, (*width.shape, 2))
    centre = [
        emitted(decay.direction[..., i], decay.lepton_direction[:, i]) for i in (0, 1)
    ]
    dy += tree.root[..., None] * jnp.stack(centre, axis=-1)
    total = _sum_over_ancestors(jnp.concatenate([dt[..., None], dy], -1), tree)
    return total[..., 0], total[..., 1:], emitter


def _width(tau: Float[Array, "b s"], emitter: Int[Array, "b s"]) -> Float[Array, "b s"]:
    constant = [fixed.LEPTON_WIDTH, fixed.LEPTON_WIDTH, fixed.BACKGROUND_WIDTH]
    width = jnp.asarray([*fixed.WIDTH, *constant], tau.dtype)[emitter]
    wider = jnp.minimum(width * jnp.exp(fixed.GROWTH * tau), fixed.WIDEST)
    return jnp.where(emitter < len(fixed.WIDTH), wider, width)


def _sum_over_ancestors(
    steps: Float[Array, "b s 3"], tree: _Tree
) -> Float[Array, "b s 3"]:
    """Sums of `steps` over each slot and its ancestors, by pointer doubling."""

    def double(
        _: Int[Array, ""], carry: tuple[Array, Array, Array]
    ) -> tuple[Array, Array, Array]:
        total, up, done = carry
        more = jnp.take_along_axis(total, up[..., None], axis=1)
        total += jnp.where(done[..., None], 0.0, more)
        done |= jnp.take_along_axis(done, up, axis=1)
        return total, jnp.take_along_axis(up, up, axis=1), done

    carry = steps, tree.parent, tree.root
    return jax.lax.fori_loop(0, int(np.log2(SLOTS)), double, carry)[0]


def _marks(
    noise: Noise, emitter: Int[Array, "b s"], pt: Float[Array, "b s"], tree: _Tree
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
