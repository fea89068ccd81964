"""The intensity of the simulated shower: prongs, background, children and the lepton.

The terms are those of the formula in `shower_likelihood`. Everything is in logarithms,
safe in float32.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp
from jaxtyping import Array, Bool, Float, Int

from jetlab.data.shower import parameters as fixed
from jetlab.data.shower.decays import ELECTRON
from jetlab.data.shower.marks import BACKGROUND, DISPLACED, PROMPT

FAINTEST = -20.0  # floor of the reference intensity, in logarithm


class Seen(NamedTuple):
    """The particles that are read of one jet."""

    t: Float[Array, "p"]
    y: Float[Array, "p 2"]
    mask: Bool[Array, "p"]
    marks: Float[Array, "p 9"]  # log pi(mark | emitter), less its maximum
    displaced: Bool[Array, "p"]
    stop: Float[Array, ""]  # t up to which nothing else was emitted


def compensator(
    t: Float[Array, "p"], mask: Bool[Array, "p"], stop: Float[Array, ""]
) -> Float[Array, "10 u"]:
    """Integral of the intensity from 0 to `stop`, the lepton left out."""
    decay = fixed.configurations()
    total = fixed.BACKGROUND_RATE * _emitted(stop, fixed.BACKGROUND_SOFTNESS)
    age = jnp.where(mask, stop - t, 0.0)
    children = -jnp.expm1(-fixed.CHILD_DECAY * age).sum()
    total = total + _as(decay.offspring, t) * children
    # Prong by prong: as one array (10, u, 4) with a sum over its last axis, XLA's CPU
    # backend (jax 0.10.2) gives wrong numbers under vmap beyond 12 jets.
    for q in range(fixed.PRONGS):
        tau = stop + _as(np.log(decay.share[..., q]), t)
        fraction = _emitted(tau, _as(decay.softness[..., q], t))
        total = total + _as(decay.rate[..., q], t) * fraction
    return total


def _emitted(
    tau: Float[Array, "..."], softness: Float[Array, "..."] | float
) -> Float[Array, "..."]:
    """Share of a prong's particles that come before tau = ln(1 / x)."""
    xa = jnp.exp(-fixed.HARDNESS * jnp.maximum(tau, 0.0))
    return jnp.exp(softness * jnp.log1p(-xa))


def log_intensity(seen: Seen) -> Float[Array, "p 10 u"]:
    """log lambda at each particle, the lepton left out.

    Relative to a reference (background or children, the same for all configurations)
    a prong is added in linear space: where it underflows it does not matter.
    """
    background, children = _log_background(seen), _log_children(seen)
    reference = jnp.maximum(jnp.maximum(background, children), FAINTEST)
    offspring = _as(fixed.configurations().offspring, seen.t)
    total = jnp.exp(background - reference)[:, None, None]
    total = total + offspring * jnp.exp(children - reference)[:, None, None]
    for q in range(fixed.PRONGS):
        used = np.flatnonzero(fixed.configurations().rate[..., q].any(axis=1))
        prong = jnp.exp(_log_prong(seen, q, used) - reference[:, None, None])
        total = total.at[:, used].add(prong)
    total = jnp.maximum(total, jnp.finfo(total.dtype).tiny)
    return reference[:, None, None] + jnp.log(total)


def _log_prong(seen: Seen, q: int, used: np.ndarray) -> Float[Array, "p c u"]:
    """log of the intensity of the q-th prongs, in the classes that have one."""
    decay = fixed.configurations()
    share, softness = decay.share[used, :, q], decay.softness[used, :, q]
    direction, flavour = decay.direction[used, :, q], decay.flavour[used, :, q]
    a, power = fixed.HARDNESS, fixed.GROWTH
    with np.errstate(divide="ignore"):
        scale = np.log(a * softness * decay.rate[used, :, q]) - a * np.log(share)
    t = seen.t[:, None, None]
    # x^a and the variance are products of a factor of t and a factor of the prong.
    xa = jnp.exp(-a * t) * _as(share**-a, t)
    started = xa < 1
    variance = jnp.exp(2 * power * t) * _as(
        (fixed.WIDTH[flavour] * share**power) ** 2, t
    )
    distance = _squared(seen.y[:, None, None], _as(direction, t))
    log_density = (
        _as(scale, t)
        - a * t
        + _as(softness - 1, t) * jnp.log1p(-jnp.where(started, xa, 0.5))
        + _log_normal(distance, jnp.minimum(variance, fixed.WIDEST**2))
        + _of_emitter(seen, flavour)
    )
    return jnp.where(started, log_density, -jnp.inf)


def _log_background(seen: Seen) -> Float[Array, "p"]:
    a, b = fixed.HARDNESS, fixed.BACKGROUND_SOFTNESS
    t = jnp.where(seen.mask, seen.t, fixed.END)
    return (
        np.log(a * b * fixed.BACKGROUND_RATE)
        - a * t
        + (b - 1) * jnp.log1p(-jnp.exp(-a * t))
        + _log_normal((seen.y**2).sum(-1), fixed.BACKGROUND_WIDTH**2)
        + seen.marks[:, BACKGROUND]
    )


def _log_children(seen: Seen) -> Float[Array, "p"]:
    """log of the intensity from all harder particles, at one child each on average."""
    earlier = np.tri(len(seen.t), k=-1, dtype=bool)
    dt = jnp.where(earlier, seen.t[:, None] - seen.t, 1.0)
    distance = _squared(seen.y[:, None], seen.y)
    prompt, late = seen.marks[:, PROMPT, None], seen.marks[:, DISPLACED, None]
    log_density = (
        np.log(fixed.CHILD_DECAY)
        - fixed.CHILD_DECAY * dt
        + _log_normal(distance, fixed.child_width(dt) ** 2)
        + jnp.where(seen.displaced, late, prompt)
    )
    return logsumexp(jnp.where(earlier, log_density, -jnp.inf), axis=1)


def log_lepton_factor(
    seen: Seen, intensity: Float[Array, "p 10 u"]
) -> Float[Array, "10 u"]:
    """log[1 - epsilon F(stop) + epsilon sum_i f_i / lambda_i] from log lambda; 0 in
    classes without leptons."""
    decay = fixed.configurations()
    used = np.flatnonzero(decay.lepton_efficiency.any(axis=1))
    t, a = seen.t[:, None, None], fixed.LEPTON_HARDNESS
    log_share = _as(np.log(decay.lepton_share[used]), t)
    efficiency = decay.lepton_efficiency[used]
    distance = _squared(seen.y[:, None, None], _as(decay.lepton_direction[used], t))
    log_density = (
        np.log(a)
        - a * (t + log_share)
        + _log_normal(distance, fixed.LEPTON_WIDTH**2)
        + _of_emitter(seen, ELECTRON + decay.lepton_muon[used])
    )
    possible = seen.mask[:, None, None] & (t + log_share > 0)
    ratio = jnp.where(possible, log_density - intensity[:, used], -jnp.inf)
    found = _as(np.log(efficiency), t) + logsumexp(ratio, axis=0)
    past = -jnp.expm1(-a * jnp.maximum(seen.stop + log_share, 0.0))
    term = jnp.logaddexp(jnp.log1p(-_as(efficiency, t) * past), found)
    return jnp.zeros(intensity.shape[1:], t.dtype).at[used].set(term)


def _of_emitter(seen: Seen, emitter: Int[np.ndarray, "c u"]) -> Float[Array, "p c u"]:
    """log pi(mark | emitter) of every configuration, by a product with zeros and ones:
    a gather would keep the compiler from vectorising the loop that it is fused into."""
    chosen = emitter == np.arange(seen.marks.shape[1])[:, None, None]
    return jnp.einsum(
        "pe,ecu->pcu", seen.marks, _as(chosen, seen.t), precision="highest"
    )


def _squared(
    one: Float[Array, "*#n 2"], two: Float[Array, "*#n 2"]
) -> Float[Array, "..."]:
    """Squared distance in the plane."""
    return (one[..., 0] - two[..., 0]) ** 2 + (one[..., 1] - two[..., 1]) ** 2


def _log_normal(
    squared: Float[Array, "..."], variance: Float[Array, "..."] | float
) -> Float[Array, "..."]:
    """log of the round normal density in the plane at a squared distance."""
    return -0.5 * squared / variance - jnp.log(2 * np.pi * variance)


def _as(values: np.ndarray, like: Array) -> Array:
    return jnp.asarray(values, like.dtype)
