"""Species, charge and impact parameters of simulated particles: sampling and density.

The distribution of a mark depends on the emitter: the flavour of a prong, the
background, a lepton, or a parent particle, prompt or displaced. A charged particle has
an origin q of length L_q, and d0 ~ N(0, d0err^2 + L_q^2), dz ~ N(0, dzerr^2 + L_q^2);
neutral particles have zeros. The errors decrease with pT and are independent of the
class.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp
from jaxtyping import Array, Bool, Float, Int, Key

BACKGROUND, PROMPT, DISPLACED = 6, 7, 8
"""Emitters; 0 to 5 are the flavours of `decays`, including electron and muon."""

CHARGED = np.array([1, 0, 0, 1, 1])  # by species in the order of `SPECIES`
SPECIES_RATES = np.array(
    [
        [0.470, 0.110, 0.413, 0.005, 0.002],  # light
        [0.475, 0.108, 0.400, 0.010, 0.007],  # charm
        [0.485, 0.105, 0.380, 0.016, 0.014],  # bottom
        [0.460, 0.112, 0.421, 0.005, 0.002],  # gluon
        [0.050, 0.010, 0.040, 0.890, 0.010],  # electron
        [0.030, 0.010, 0.010, 0.010, 0.940],  # muon
        [0.470, 0.110, 0.414, 0.004, 0.002],  # background
        [0.470, 0.110, 0.413, 0.005, 0.002],  # prompt parent
        [0.485, 0.105, 0.380, 0.018, 0.012],  # displaced parent
    ]
)
LENGTHS = np.array([0.0, 0.12, 0.6, 12.0])  # mm: prompt, charm, bottom, strange
ORIGIN_RATES = np.array(
    [
        [0.944, 0.003, 0.003, 0.05],
        [0.350, 0.570, 0.030, 0.05],
        [0.250, 0.050, 0.650, 0.05],
        [0.944, 0.003, 0.003, 0.05],
        [0.960, 0.015, 0.015, 0.01],
        [0.960, 0.015, 0.015, 0.01],
        [0.944, 0.003, 0.003, 0.05],
        [0.944, 0.003, 0.003, 0.05],
        [0.250, 0.320, 0.380, 0.05],
    ]
)
ERROR = (0.011, 0.04)  # mm, mm GeV: hit resolution, multiple scattering ~ 1 / pT
ERROR_SPREAD = 0.3  # standard deviation of ln(error)
LONGITUDINAL = 2.5  # dzerr / d0err
SIGNIFICANCE = 3.0  # impact parameter / error, beyond which a parent is displaced


class Marks(NamedTuple):
    """Properties of particles other than the momentum; impact parameters in mm."""

    species: Int[Array, "*b p"]
    charge: Int[Array, "*b p"]
    d0: Float[Array, "*b p"]
    d0err: Float[Array, "*b p"]
    dz: Float[Array, "*b p"]
    dzerr: Float[Array, "*b p"]


def displaced(marks: Marks) -> Bool[Array, "*b p"]:
    """Whether the track misses the vertex, so that the children are displaced too."""
    far = (jnp.abs(marks.d0) > SIGNIFICANCE * marks.d0err) | (
        jnp.abs(marks.dz) > SIGNIFICANCE * marks.dzerr
    )
    return far & (marks.charge != 0)


class Noise(NamedTuple):
    """Random numbers from which marks are computed once the emitter is known."""

    species: Float[Array, "*b p"]  # uniform, as origin and charge
    origin: Float[Array, "*b p"]
    charge: Float[Array, "*b p"]
    d0: Float[Array, "*b p"]  # normal, as dz and err
    dz: Float[Array, "*b p"]
    err: Float[Array, "*b p"]


def draw_noise(key: Key[Array, ""], shape: tuple[int, ...]) -> Noise:
    """Independent random numbers of `shape`."""
    flat, normal = jax.random.split(key)
    return Noise(
        *jax.random.uniform(flat, (3, *shape)), *jax.random.normal(normal, (3, *shape))
    )


def sample_marks(
    noise: Noise, emitter: Int[Array, "*b p"], pt: Float[Array, "*b p"]
) -> Marks:
    """Marks of particles of transverse momentum `pt` in GeV, computed from `noise`."""
    species = _choose(SPECIES_RATES, emitter, noise.species)
    origin = _choose(ORIGIN_RATES, emitter, noise.origin)
    charged = jnp.asarray(CHARGED)[species]
    length = jnp.asarray(LENGTHS, pt.dtype)[origin]
    error = charged * (ERROR[0] + ERROR[1] / pt) * jnp.exp(ERROR_SPREAD * noise.err)
    return Marks(
        species=species,
        charge=charged * jnp.where(noise.charge < 0.5, 1, -1),
        d0=charged * jnp.hypot(error, length) * noise.d0,
        d0err=error,
        dz=charged * jnp.hypot(LONGITUDINAL * error, length) * noise.dz,
        dzerr=LONGITUDINAL * error,
    )


def log_mark_density(marks: Marks) -> Float[Array, "*b p 9"]:
    """log pi(mark | emitter), conditional on the errors of the impact parameters."""
    charged = (marks.charge != 0)[..., None]
    lengths = jnp.asarray(LENGTHS, marks.d0.dtype)
    origin = _log_normal(marks.d0, marks.d0err, charged, lengths)
    origin += _log_normal(marks.dz, marks.dzerr, charged, lengths)
    rates = jnp.asarray(np.log(ORIGIN_RATES), origin.dtype)
    impact = logsumexp(origin[..., None, :] + rates, axis=-1)
    species = jnp.asarray(np.log(SPECIES_RATES).T, origin.dtype)[marks.species]
    return species + jnp.where(charged, impact + np.log(0.5), 0.0)


def _log_normal(
    value: Float[Array, "*b p"],
    error: Float[Array, "*b p"],
    charged: Bool[Array, "*b p 1"],
    lengths: Float[Array, "o"],
) -> Float[Array, "*b p o"]:
    variance = jnp.where(charged, error[..., None] ** 2 + lengths**2, 1.0)
    return -0.5 * (value[..., None] ** 2 / variance + jnp.log(2 * np.pi * variance))


def _choose(
    rates: np.ndarray, emitter: Int[Array, "*b p"], uniform: Float[Array, "*b p"]
) -> Int[Array, "*b p"]:
    """Column of `rates`, drawn from row `emitter` by inversion of its sums."""
    total = np.cumsum(rates, axis=1)
    edges = jnp.asarray(total[:, :-1] / total[:, -1:], uniform.dtype)
    return (uniform[..., None] > edges[emitter]).sum(-1)
