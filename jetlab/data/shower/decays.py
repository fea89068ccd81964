"""The ten decays of the simulated shower, drawn from their phase space.

Two-body decays are isotropic in the rest frame of the parent and boosted to the
infinite-momentum frame: of the parent's momentum a daughter keeps the share
w = (E* + p* cos theta*) / M, with a transverse kick p* sin theta*. The visible products
are then seen from the jet axis, turned to a standard orientation, with their pT scaled
to `JET_PT`; neutrinos are dropped, so the parent of a leptonic decay is harder.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from jetlab.types import CLASSES

JET_PT = 600.0  # GeV, near the mean of JetClass
RADIUS = 0.8  # of the jet: a decay product outside it would be lost
MASS = {"W": 80.4, "Z": 91.2, "H": 125.0, "t": 173.0}  # GeV
MASS_SPREAD = 0.05  # of ln M, for the resolution of a jet's mass
INNER_SPREAD = 0.03  # of the W inside a Higgs or a top

LIGHT, CHARM, BOTTOM, GLUON, ELECTRON, MUON, NEUTRINO = range(7)


class Parton(NamedTuple):
    """A decay product. `direction` is the angle (deta, dphi) from the axis times the
    pT of the whole decay, in GeV, until `visible_products` turns it into radians."""

    share: float  # of the pT of the whole decay
    direction: Float[np.ndarray, "2"]
    flavour: int = NEUTRINO


def visible_products(rng: np.random.Generator, name: str) -> list[Parton]:
    """Visible products of one decay of class `name`: shares sum to one, directions in
    radians from the jet axis. A decay that the jet would not contain is drawn again.
    """
    while True:
        seen = [p for p in _decay(rng, name) if p.flavour != NEUTRINO]
        total = sum(p.share for p in seen)
        axis = sum(p.share * p.direction for p in seen) / total
        # The whole decay carries JET_PT / total.
        seen = [
            Parton(p.share / total, (p.direction - axis) * total / JET_PT, p.flavour)
            for p in seen
        ]
        inside = all(np.hypot(*p.direction) < RADIUS for p in seen)
        if inside and total > 0.3 and min(p.share for p in seen) > 0.01:
            return _turned(seen)


def _turned(products: list[Parton]) -> list[Parton]:
    """Rotated so that the hardest product lies towards +deta, and reflected so that
    the next one has dphi >= 0.

    Jets are often turned like this before they are compared (arXiv:1407.5675). Here it
    keeps an angle that tells nothing of the class from spreading the configurations
    thin over phase space.
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
            # Shares of the hadronic width: bb 0.216, cc 0.172 (PDG 2024).
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
    """Isotropic decay of `parent`, of mass `mass`, to two masses, all in GeV."""
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
    """H -> W W*, one W near its mass and the other well below it."""
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
    """A quark or gluon and a soft-collinear splitting, flat in ln z and ln theta; the
    softer parton is a gluon, now and then a heavy quark from a gluon that split."""
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
