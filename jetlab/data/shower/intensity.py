"""The intensity of the simulated shower: prongs, background, children and the lepton.

The terms are those of the formula in `likelihood`, as logarithms, safe in float32.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp
from jaxtyping import Array, Bool, Float, Int

from jetlab.data.shower import parameters as fixed
from jetlab.data.shower.decays import ELECTRON
from jetlab.data.shower.marks import BACKGROUND, DISPLACED, PROMPT

MIN_REFERENCE = -20.0  # lower bound of the logarithm of the reference intensity


class Observation(NamedTuple):
    """The observed particles of one jet."""

    t: Float[Array, "p"]
    y: Float[Array, "p 2"]
    mask: Bool[Array, "p"]
    marks: Float[Array, "p 9"]  # log pi(mark | emitter) minus its maximum
    displaced: Bool[Array, "p"]
    stop: Float[Array, ""]  # t up to which the observation is complete


def compensator(
    t: Float[Array, "p"], mask: Bool[Array, "p"], stop: Float[Array, ""]
) -> Float[Array, "10 u"]:
    """Integral of the intensity from 0 to `stop`, without the lepton."""
    decay = fixed.configurations()
    total = fixed.BACKGROUND_RATE * _emitted(stop, fixed.BACKGROUND_SOFTNESS)
    age = jnp.where(mask, stop - t, 0.0)
    children = -jnp.expm1(-fixed.CHILD_DECAY * age).sum()
    total = total + _as(decay.offspring, t) * children
    # Prong by prong: for one array (10, u, 4) summed over its last axis, XLA's CPU
    # backend (jax 0.10.2) returns wrong numbers under vmap beyond 12 jets.
    for q in range(fixed.PRONGS):
        tau = stop + _as(np.log(decay.share[..., q]), t)
        fraction = _emitted(tau, _as(decay.softness[..., q], t))
        total = total + _as(decay.rate[..., q], t) * fraction
    return total


def _emitted(
    tau: Float[Array, "..."], softness: Float[Array, "..."] | float
) -> Float[Array, "..."]:
    """Fraction of a prong's particles that are emitted before tau = ln(1 / x)."""
    xa = jnp.exp(-fixed.HARDNESS * jnp.maximum(tau, 0.0))
    return jnp.exp(softness * jnp.log1p(-xa))


def log_intensity(observed: Observation) -> Float[Array, "p 10 u"]:
    """log lambda at each particle, without the lepton.

    Prongs are added in linear space relative to a reference, the larger of background
    and children, which is the same for all configurations: a prong that underflows is
    negligible.
    """
    background, children = _log_background(observed), _log_children(observed)
    reference = jnp.maximum(jnp.maximum(background, children), MIN_REFERENCE)
    offspring = _as(fixed.configurations().offspring, observed.t)
    total = jnp.exp(background - reference)[:, None, None]
    total = total + offspring * jnp.exp(children - reference)[:, None, None]
    for q in range(fixed.PRONGS):
        used = np.flatnonzero(fixed.configurations().rate[..., q].any(axis=1))
        prong = jnp.exp(_log_prong(observed, q, used) - reference[:, None, None])
        total = total.at[:, used].add(prong)
    total = jnp.maximum(total, jnp.finfo(total.dtype).tiny)
    return reference[:, None, None] + jnp.log(total)


def _log_prong(
    observed: Observation, q: int, used: np.ndarray
) -> Float[Array, "p c u"]:
    """log intensity of prong q in the classes `used`, those that have one."""
    decay = fixed.configurations()
    share, softness = decay.share[used, :, q], decay.softness[used, :, q]
    direction, flavour = decay.direction[used, :, q], decay.flavour[used, :, q]
    a, power = fixed.HARDNESS, fixed.GROWTH
    with np.errstate(divide="ignore"):
        scale = np.log(a * softness * decay.rate[used, :, q]) - a * np.log(share)
    t = observed.t[:, None, None]
    # x^a and the variance factorise into functions of t and of the prong.
    xa = jnp.exp(-a * t) * _as(share**-a, t)
    started = xa < 1
    variance = jnp.exp(2 * power * t) * _as(
        (fixed.WIDTH[flavour] * share**power) ** 2, t
    )
    distance = _squared(observed.y[:, None, None], _as(direction, t))
    log_density = (
        _as(scale, t)
        - a * t
        + _as(softness - 1, t) * jnp.log1p(-jnp.where(started, xa, 0.5))
        + _log_normal(distance, jnp.minimum(variance, fixed.WIDEST**2))
        + _of_emitter(observed, flavour)
    )
    return jnp.where(started, log_density, -jnp.inf)


def _log_background(observed: Observation) -> Float[Array, "p"]:
    a, b = fixed.HARDNESS, fixed.BACKGROUND_SOFTNESS
    t = jnp.where(observed.mask, observed.t, fixed.END)
    return (
        np.log(a * b * fixed.BACKGROUND_RATE)
        - a * t
        + (b - 1) * jnp.log1p(-jnp.exp(-a * t))
        + _log_normal((observed.y**2).sum(-1), fixed.BACKGROUND_WIDTH**2)
        + observed.marks[:, BACKGROUND]
    )


def _log_children(observed: Observation) -> Float[Array, "p"]:
    """log intensity of children of all harder particles, for a mean of one child."""
    earlier = np.tri(len(observed.t), k=-1, dtype=bool)
    dt = jnp.where(earlier, observed.t[:, None] - observed.t, 1.0)
    distance = _squared(observed.y[:, None], observed.y)
    prompt, late = observed.marks[:, PROMPT, None], observed.marks[:, DISPLACED, None]
    log_density = (
        np.log(fixed.CHILD_DECAY)
        - fixed.CHILD_DECAY * dt
        + _log_normal(distance, fixed.child_width(dt) ** 2)
        + jnp.where(observed.displaced, late, prompt)
    )
    return logsumexp(jnp.where(earlier, log_density, -jnp.inf), axis=1)


def log_lepton_factor(
    observed: Observation, intensity: Float[Array, "p 10 u"]
) -> Float[Array, "10 u"]:
    """log[1 - epsilon F(stop) + epsilon sum_i f_i / lambda_i], from log lambda; 0 in
    classes without leptons."""
    decay = fixed.configurations()
    used = np.flatnonzero(decay.lepton_efficiency.any(axis=1))
    t, a = observed.t[:, None, None], fixed.LEPTON_HARDNESS
    log_share = _as(np.log(decay.lepton_share[used]), t)
    efficiency = decay.lepton_efficiency[used]
    distance = _squared(observed.y[:, None, None], _as(decay.lepton_direction[used], t))
    log_density = (
        np.log(a)
        - a * (t + log_share)
        + _log_normal(distance, fixed.LEPTON_WIDTH**2)
        + _of_emitter(observed, ELECTRON + decay.lepton_muon[used])
    )
    possible = observed.mask[:, None, None] & (t + log_share > 0)
    ratio = jnp.where(possible, log_density - intensity[:, used], -jnp.inf)
    found = _as(np.log(efficiency), t) + logsumexp(ratio, axis=0)
    past = -jnp.expm1(-a * jnp.maximum(observed.stop + log_share, 0.0))
    term = jnp.logaddexp(jnp.log1p(-_as(efficiency, t) * past), found)
    return jnp.zeros(intensity.shape[1:], t.dtype).at[used].set(term)


def _of_emitter(
    observed: Observation, emitter: Int[np.ndarray, "c u"]
) -> Float[Array, "p c u"]:
    """log pi(mark | emitter) in each configuration, as a product with a one-hot matrix:
    XLA does not vectorise loops that are fused with a gather."""
    chosen = emitter == np.arange(observed.marks.shape[1])[:, None, None]
    return jnp.einsum(
        "pe,ecu->pcu", observed.marks, _as(chosen, observed.t), precision="highest"
    )


def _squared(
    one: Float[Array, "*#n 2"], two: Float[Array, "*#n 2"]
) -> Float[Array, "..."]:
    """Squared distance in the (deta, dphi) plane."""
    return (one[..., 0] - two[..., 0]) ** 2 + (one[..., 1] - two[..., 1]) ** 2


def _log_normal(
    squared: Float[Array, "..."], variance: Float[Array, "..."] | float
) -> Float[Array, "..."]:
    """log density of an isotropic normal in the plane at a squared distance."""
    return -0.5 * squared / variance - jnp.log(2 * np.pi * variance)


def _as(values: np.ndarray, like: Array) -> Array:
    return jnp.asarray(values, like.dtype)
