"""The frozen parameters of the simulated shower and its decay configurations.

Results are comparable within one `VERSION` only: a change of a number here, in `decays`
or in `marks` needs a new version and new Bayes limits.

The parameters are tuned so that the Bayes limits of the four input configurations are
close to the floors of arXiv:2602.15781, and multiplicities, fractions of pT and of
species close to those of JetClass (arXiv:2202.03772).
"""

from functools import cache
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jetlab.data.shower.decays import (
    ELECTRON,
    GLUON,
    JET_PT,
    MUON,
    Parton,
    visible_products,
)
from jetlab.types import CLASSES

VERSION = "v1"
CONFIGURATIONS = 256  # per class
PRONGS = 4  # slots for quarks and gluons

CUT = 0.5  # GeV, the softest particle
END = float(np.log(JET_PT / CUT))  # in t = ln(jet pT / pT)

# A prong with share zeta emits particles of pT fraction x zeta, where
# P(x > x') = 1 - (1 - x'^a)^b. a is HARDNESS; b, the softness, follows from the mean.
HARDNESS = 0.5
RATE = np.array([9.9, 13.6, 17.4, 21.6])  # particles at zeta = 1/2, by flavour
RATE_POWER = 0.2  # rate ~ zeta ** RATE_POWER
QCD_FACTOR = 0.71  # of the rate: both prongs of a splitting are one parton's radiation
ACTIVITY = 0.2  # standard deviation of ln(rate) between configurations
WIDTH = np.array([0.007, 0.007, 0.007, 0.008])  # rad, at x = 1, by flavour
GROWTH = 1.15  # width ~ x ** -GROWTH
WIDEST = 0.2  # rad

BACKGROUND_RATE = 4.0  # soft particles around the axis, the same in every class
BACKGROUND_SOFTNESS = 17.0
BACKGROUND_WIDTH = 0.2

LEPTON_EFFICIENCY = 0.9  # a lepton prong is one particle, or not found
LEPTON_HARDNESS = 8.0  # its x has density a x^(a - 1)
LEPTON_WIDTH = 0.03

OFFSPRING = np.array([0.55, 0.55, 0.55, 0.60])  # eta: mean children, by flavour
CHILD_DECAY = 0.6  # kappa: a child is softer by Exp(kappa) in t
CHILD_WIDTH = 0.06  # rad, ~ exp(CHILD_GROWTH * dt)
CHILD_GROWTH = 0.4


class Configurations(NamedTuple):
    """Frozen decays: k classes, u configurations, q prongs. Rate 0 means no prong,
    efficiency 0 no lepton."""

    share: Float[np.ndarray, "k u q"]
    direction: Float[np.ndarray, "k u q 2"]
    flavour: Int[np.ndarray, "k u q"]
    rate: Float[np.ndarray, "k u q"]
    softness: Float[np.ndarray, "k u q"]  # b
    offspring: Float[np.ndarray, "k u"]
    lepton_share: Float[np.ndarray, "k u"]
    lepton_direction: Float[np.ndarray, "k u 2"]
    lepton_muon: Int[np.ndarray, "k u"]  # 0 electron, 1 muon
    lepton_efficiency: Float[np.ndarray, "k u"]


@cache
def configurations() -> Configurations:
    """All configurations; each has a generator seeded with class and number."""
    rows = [
        [_configuration(k, u) for u in range(CONFIGURATIONS)]
        for k in range(len(CLASSES))
    ]
    columns = zip(*(u for row in rows for u in row), strict=True)
    shape = len(CLASSES), CONFIGURATIONS
    stacked = [np.stack(column) for column in columns]
    return Configurations(*(v.reshape(shape + v.shape[1:]) for v in stacked))


def _configuration(k: int, u: int) -> tuple[np.ndarray, ...]:
    """Fields of one configuration, in the order of `Configurations`."""
    rng = np.random.default_rng((k, u))
    products = visible_products(rng, CLASSES[k])
    prongs = [p for p in products if p.flavour <= GLUON]
    leptons = [p for p in products if p.flavour in (ELECTRON, MUON)]
    lepton = leptons[0] if leptons else Parton(1.0, np.zeros(2), ELECTRON)
    absent = [Parton(1.0, np.zeros(2), 0)] * (PRONGS - len(prongs))

    share, direction, flavour = map(np.array, zip(*prongs, *absent, strict=True))
    factor = QCD_FACTOR if CLASSES[k] == "QCD" else 1.0
    factor *= np.exp(ACTIVITY * rng.normal() - ACTIVITY**2 / 2)
    rate = factor * RATE[flavour] * (2 * share) ** RATE_POWER
    rate[len(prongs) :] = 0.0
    offspring = np.average(OFFSPRING[flavour], weights=rate)
    return (
        share,
        direction,
        flavour,
        rate,
        _softness(rate, offspring),
        np.array(offspring),
        np.array(lepton.share),
        lepton.direction,
        np.array(int(lepton.flavour == MUON)),
        np.array(LEPTON_EFFICIENCY * len(leptons)),
    )


def _softness(
    rate: Float[np.ndarray, "q"], offspring: np.floating
) -> Float[np.ndarray, "q"]:
    """b for which a prong's particles and their descendants carry its pT on average.

    The mean of x is 2 / ((b + 1)(b + 2)) at a = 1/2; a child has kappa / (1 + kappa) of
    its parent's pT on average. Below b = 1 the density diverges at x = 1.
    """
    kept = 1 - offspring * CHILD_DECAY / (1 + CHILD_DECAY)
    mean = kept / np.maximum(rate, 1e-9)
    return np.maximum((np.sqrt(1 + 8 / mean) - 3) / 2, 1.0)


def direct_mean() -> Float[np.ndarray, "k u q"]:
    """Mean number of particles above `CUT` by prong, and of the background in the last
    column."""
    decay = configurations()
    age = np.maximum(END + np.log(decay.share), 0.0)
    prongs = decay.rate * (-np.expm1(-HARDNESS * age)) ** decay.softness
    soft = BACKGROUND_RATE * (-np.expm1(-HARDNESS * END)) ** BACKGROUND_SOFTNESS
    return np.concatenate([prongs, np.full_like(prongs[..., :1], soft)], axis=-1)


def lepton_probability() -> Float[np.ndarray, "k u"]:
    """Probability that the lepton of the decay is found above `CUT`."""
    decay = configurations()
    lost = decay.lepton_share**-LEPTON_HARDNESS * np.exp(-LEPTON_HARDNESS * END)
    return decay.lepton_efficiency * (1 - lost)


def empty_probability() -> Float[np.ndarray, "k u"]:
    """Probability of no particle above `CUT`. Such jets are not sampled."""
    return np.exp(-direct_mean().sum(-1)) * (1 - lepton_probability())


def child_width(dt: Float[Array, "..."]) -> Float[Array, "..."]:
    """Width in rad of the angle between a particle and a child softer by `dt`."""
    return jnp.minimum(CHILD_WIDTH * jnp.exp(CHILD_GROWTH * dt), WIDEST)
