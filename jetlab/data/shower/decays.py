"""The decays of the ten classes of the simulated shower, sampled in phase space.

Two-body decays are isotropic in the rest frame of the parent and boosted to the
infinite-momentum frame: a daughter has the fraction w = (E* + p* cos theta*) / M of the
parent's momentum and a transverse momentum p* sin theta* relative to it. The visible
products are expressed relative to the jet axis, rotated to a standard orientation and
scaled to a total pT of `JET_PT`. Neutrinos are dropped, so that the parent of a
leptonic decay is harder.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from jetlab.types import CLASSES

JET_PT = 600.0  # GeV, close to the mean of JetClass
RADIUS = 0.8  # of the jet; decays with a product outside it are rejected
MASS = {"W": 80.4, "Z": 91.2, "H": 125.0, "t": 173.0}  # GeV
MASS_SPREAD = 0.05  # standard deviation of ln M: the resolution of a jet's mass
INNER_SPREAD = 0.03  # the same for the W in the decay of a Higgs boson or top

LIGHT, CHARM, BOTTOM, GLUON, ELECTRON, MUON, NEUTRINO = range(7)


class Parton(NamedTuple):
    """A decay product.

    `direction` is the angle (deta, dphi) from the axis: in radians as returned by
    `visible_products`, times the pT of the whole decay in GeV before.
    """

    share: float  # fraction of the pT of the whole decay
    direction: Float[np.ndarray, "2"]
    flavour: int = NEUTRINO


def visible_products(rng: np.random.Generator, name: str) -> list[Parton]:
    """Visible products of one decay of class `name`: shares sum to one, directions are
    in radians from the jet axis. Decays with a product outside the jet, a product of
    less than 1 % of the pT or a visible fraction below 30 % are rejected.
    """
    while True:
        visible = [p for p in _decay(rng, name) if p.flavour != NEUTRINO]
        total = sum(p.share for p in visible)
        axis = sum(p.share * p.direction for p in visible) / total
        # The pT of the whole decay is JET_PT / total.
        visible = [
            Parton(p.share / total, (p.direction - axis) * total / JET_PT, p.flavour)
            for p in visible
        ]
        inside = all(np.hypot(*p.direction) < RADIUS for p in visible)
        if inside and total > 0.3 and min(p.share for p in visible) > 0.01:
            return _oriented(visible)


def _oriented(products: list[Parton]) -> list[Parton]:
    """Rotated so that the hardest product is at +deta, and reflected so that the second
    hardest has dphi >= 0.

    This is a common preprocessing of jets (arXiv:1407.5675). The azimuth carries no
    information on the class; fixing it makes the configurations denser in phase space.
    """
    hardest, second = sorted(products, key=lambda p: -p.share)[:2]
    along = hardest.direction / np.hypot(*hardest.direction)
    across = np.array([-along[1], along[0]])
    across = across if across @ second.direction >= 0 else -across
    frame = np.stack([along, across])
    return [p._replace(direction=frame @ p.direction) for p in products]


def _decay(rng: np.random.Generator, name: str) -> list[Parton]:
    root = Parton(1.0, np.zeros(2))
    match name:
        case "QCD":
            return _qcd(rng, root)
        case "Hbb" | "Hcc" | "Hgg":
            flavour = {"b": BOTTOM, "c": CHARM, "g": GLUON}[name[-1]]
            return _to_massless(rng, root, _spread(rng, "H"), flavour, flavour)
        case "H4q" | "Hqql":
            return _higgs_to_ww(rng, root, leptonic=name == "Hqql")
        case "Zqq":
            # Fractions of the hadronic width: bb 0.216, cc 0.172 (PDG 2024).
            flavour = int(rng.choice([BOTTOM, CHARM, LIGHT], p=[0.216, 0.172, 0.612]))
            return _to_massless(rng, root, _spread(rng, "Z"), flavour, flavour)
        case "Wqq":
            return _w(rng, root, _spread(rng, "W"), leptonic=False)
        case "Tbqq" | "Tbl":
            return _top(rng, root, leptonic=name == "Tbl")
    raise ValueError(f"no decay for class {name!r}; the classes are {CLASSES}")


def _two_body(
    rng: np.random.Generator, parent: Parton, mass: float, first: float, second: float
) -> list[Parton]:
    """Isotropic decay of a parent of mass `mass` to two masses, all in GeV."""
    energy = (mass**2 + first**2 - second**2) / (2 * mass)
    momentum = np.sqrt(energy**2 - first**2)
    cosine, azimuth = rng.uniform(-1, 1), rng.uniform(0, 2 * np.pi)
    kick = momentum * np.sqrt(1 - cosine**2) * _unit(azimuth)
    w = (energy + momentum * cosine) / mass
    one, two = parent.share * w, parent.share * (1 - w)
    return [
        Parton(one, parent.direction + kick / one),
        Parton(two, parent.direction - kick / two),
    ]


def _to_massless(
    rng: np.random.Generator, parent: Parton, mass: float, *flavours: int
) -> list[Parton]:
    pair = _two_body(rng, parent, mass, 0.0, 0.0)
    return [p._replace(flavour=f) for p, f in zip(pair, flavours, strict=True)]


def _w(
    rng: np.random.Generator, parent: Parton, mass: float, leptonic: bool
) -> list[Parton]:
    if leptonic:
        lepton = int(rng.choice([ELECTRON, MUON]))
        return _to_massless(rng, parent, mass, lepton, NEUTRINO)
    other = int(rng.choice([LIGHT, CHARM]))
    return _to_massless(rng, parent, mass, LIGHT, other)


def _higgs_to_ww(
    rng: np.random.Generator, root: Parton, leptonic: bool
) -> list[Parton]:
    """H -> W W*: one W close to its mass, the other far off shell."""
    masses = _spread(rng, "W", INNER_SPREAD), rng.uniform(15, 40)
    higgs = max(_spread(rng, "H"), sum(masses) + 1)
    to_leptons = int(rng.integers(2)) if leptonic else -1
    return [
        product
        for i, w in enumerate(_two_body(rng, root, higgs, *masses))
        for product in _w(rng, w, masses[i], i == to_leptons)
    ]


def _top(rng: np.random.Generator, root: Parton, leptonic: bool) -> list[Parton]:
    mass = _spread(rng, "W", INNER_SPREAD)
    w, b = _two_body(rng, root, _spread(rng, "t"), mass, 4.8)
    return [b._replace(flavour=BOTTOM), *_w(rng, w, mass, leptonic)]


def _qcd(rng: np.random.Generator, root: Parton) -> list[Parton]:
    """A quark or gluon and one soft-collinear splitting, flat in ln z and ln theta. The
    softer parton is a gluon, or in 8 % of decays a heavy quark of a gluon splitting."""
    lead = rng.choice([LIGHT, CHARM, BOTTOM, GLUON], p=[0.45, 0.04, 0.03, 0.48])
    soft = rng.choice([GLUON, CHARM, BOTTOM], p=[0.92, 0.04, 0.04])
    z = np.exp(rng.uniform(np.log(0.03), np.log(0.5)))
    angle = np.exp(rng.uniform(np.log(0.04), np.log(0.8)))
    kick = JET_PT * angle * _unit(rng.uniform(0, 2 * np.pi))
    return [
        Parton(root.share * (1 - z), root.direction - z * kick, int(lead)),
        Parton(root.share * z, root.direction + (1 - z) * kick, int(soft)),
    ]


def _spread(rng: np.random.Generator, name: str, spread: float = MASS_SPREAD) -> float:
    return MASS[name] * np.exp(spread * rng.normal())


def _unit(azimuth: float) -> Float[np.ndarray, "2"]:
    return np.array([np.cos(azimuth), np.sin(azimuth)])
