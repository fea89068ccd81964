"""Where particles go in the solenoid, and how well tracks are measured.

Geometry and resolutions are those of the Delphes card of JetClass (arXiv:2202.03772):
a field of 3.8 T within a cylinder of radius 1.29 m and half-length 3 m.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

FIELD = 3.8  # T
RADIUS = 1290.0  # mm
HALF_LENGTH = 3000.0  # mm
BENDING = 1e12 / 299_792_458  # mm T / GeV: radius of curvature is pT / (q B) times it


class Stable(NamedTuple):
    """Particles that live to reach the detector, of all events of a batch in order."""

    event: Int[np.ndarray, "n"]
    pid: Int[np.ndarray, "n"]  # PDG code
    charge: Int[np.ndarray, "n"]
    momentum: Float[np.ndarray, "n 3"]  # GeV
    mass: Float[np.ndarray, "n"]  # GeV
    vertex: Float[np.ndarray, "n 3"]  # mm

    def where(self, keep: Bool[np.ndarray, "n"]) -> "Stable":
        return Stable(*(column[keep] for column in self))


class Flight(NamedTuple):
    """The perigee of each particle and where it leaves the solenoid."""

    d0: Float[np.ndarray, "n"]  # mm, (x py - y px) / pT at the perigee
    dz: Float[np.ndarray, "n"]  # mm
    phi: Float[np.ndarray, "n"]  # of the momentum at the perigee
    exit_eta: Float[np.ndarray, "n"]
    exit_phi: Float[np.ndarray, "n"]


def reaching(particles: Stable) -> Bool[np.ndarray, "n"]:
    """Whether a particle was made within the solenoid and moves across the beam."""
    x, y, z = particles.vertex.T
    inside = (np.hypot(x, y) < RADIUS) & (np.abs(z) < HALF_LENGTH)
    return inside & (np.hypot(*particles.momentum.T[:2]) > 3e-5)


def fly(particles: Stable) -> Flight:
    """Follow particles that `reaching` kept: charged ones along their helix, neutral
    ones straight, to the wall of the solenoid or its end.

    A charged particle turns about its centre; angles `psi` are seen from there and
    counted from the direction away from the beam, so the perigee is at pi.
    """
    x, y, z = particles.vertex.T
    px, py, pz = particles.momentum.T
    pt, phi = np.hypot(px, py), np.arctan2(py, px)
    slope = pz / pt
    to_end = np.abs(np.copysign(HALF_LENGTH, pz) - z) / np.maximum(np.abs(slope), 1e-12)

    charged = particles.charge != 0
    sense = -np.sign(particles.charge)  # positive particles turn clockwise
    radius = np.where(charged, pt * BENDING / FIELD, np.inf)
    with np.errstate(invalid="ignore"):  # neutral particles have no centre
        cx, cy = x + radius * np.sin(phi) * -sense, y - radius * np.cos(phi) * -sense
        away = np.hypot(cx, cy)
        outward = np.arctan2(cy, cx)
        psi = _turn(np.arctan2(y - cy, x - cx) - outward)
        cosine = (RADIUS**2 - away**2 - radius**2) / (2 * radius * away)
        at_wall = np.arccos(cosine)  # NaN where the circle does not reach it
        angle = np.fmin(*(sense * (s * at_wall - psi) % (2 * np.pi) for s in (1, -1)))
        arc = np.fmin(radius * angle, to_end)
        seen = outward + psi + sense * arc / radius
        end_x, end_y = cx + radius * np.cos(seen), cy + radius * np.sin(seen)
        back = _turn(sense * (np.pi - psi))
        d0 = sense * (radius - away)
        dz = z + slope * radius * back

    along = (x * px + y * py) / pt
    across = (x * py - y * px) / pt
    straight = np.fmin(np.sqrt(RADIUS**2 - across**2) - along, to_end)
    arc = np.where(charged, arc, straight)
    end_x = np.where(charged, end_x, x + straight * px / pt)
    end_y = np.where(charged, end_y, y + straight * py / pt)
    return Flight(
        d0=np.where(charged, d0, across),
        dz=np.where(charged, dz, z - along * slope),
        phi=_turn(np.where(charged, phi + sense * np.nan_to_num(back), phi)),
        exit_eta=np.arcsinh((z + slope * arc) / np.hypot(end_x, end_y)),
        exit_phi=np.arctan2(end_y, end_x),
    )


def _turn(angle: Float[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
    """The same angle between -pi and pi."""
    return (angle + np.pi) % (2 * np.pi) - np.pi


def efficiency(
    pid: Int[np.ndarray, "n"], pt: Float[np.ndarray, "n"], eta: Float[np.ndarray, "n"]
) -> Float[np.ndarray, "n"]:
    """How likely a charged particle leaves a track."""
    central, kind = np.abs(eta) <= 1.5, np.abs(pid)
    hadron = np.where(
        pt > 1, np.where(central, 0.95, 0.85), np.where(central, 0.7, 0.6)
    )
    hard = np.where(central, 0.99, 0.9)
    medium = np.where(central, 0.95, 0.83)
    electron = np.where(pt > 100, hard, medium)
    electron = np.where(pt > 1, electron, np.where(central, 0.73, 0.5))
    muon = np.where(central, 0.99, 0.98) * np.exp(np.minimum(0, 0.5 - 5e-4 * pt))
    muon = np.where(pt > 1, muon, np.where(central, 0.75, 0.7))
    found = np.where(kind == 11, electron, np.where(kind == 13, muon, hadron))
    return np.where((pt > 0.1) & (np.abs(eta) <= 2.5), found, 0.0)


_REGIONS = np.array([0.5, 1.5])
_CONSTANT = {11: (0.03, 0.05, 0.15), 13: (0.01, 0.015, 0.025), 0: (0.06, 0.10, 0.25)}
_LINEAR = {13: (1e-4, 1.5e-4, 3.5e-4), 0: (1.3e-3, 1.7e-3, 3.1e-3)}


def pt_resolution(
    pid: Int[np.ndarray, "n"], pt: Float[np.ndarray, "n"], eta: Float[np.ndarray, "n"]
) -> Float[np.ndarray, "n"]:
    """sigma(pT) / pT (CMS: arXiv:1405.6569 for hadrons, arXiv:1502.02701 for
    electrons)."""
    region, kind = np.searchsorted(_REGIONS, np.abs(eta)), np.abs(pid)

    def pick(table: dict[int, tuple[float, ...]]) -> np.ndarray:
        columns = {code: np.array(row)[region] for code, row in table.items()}
        electron, muon = columns.get(11, columns[0]), columns[13]
        return np.where(kind == 11, electron, np.where(kind == 13, muon, columns[0]))

    return np.hypot(pick(_CONSTANT), pt * pick(_LINEAR))


_KNOTS = np.log([0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 130.0])  # pT in GeV
_ETA = np.array([0.9, 1.4])
_D0 = (
    (0.354, 0.155, 0.0753, 0.0490, 0.0285, 0.0205, 0.0145, 0.0114, 0.0109),
    (0.456, 0.180, 0.0926, 0.0520, 0.0315, 0.0217, 0.0148, 0.0105, 0.0092),
    (0.697, 0.310, 0.1557, 0.0850, 0.0405, 0.0267, 0.0206, 0.0147, 0.0137),
)
_DZ = (
    (0.369, 0.205, 0.111, 0.0730, 0.0485, 0.0400, 0.0316, 0.0316, 0.0305),
    (0.706, 0.350, 0.198, 0.110, 0.0700, 0.0526, 0.0408, 0.0360, 0.0320),
    (2.17, 1.30, 0.670, 0.350, 0.182, 0.121, 0.100, 0.0800, 0.0820),
)


def impact_resolutions(
    pt: Float[np.ndarray, "n"], eta: Float[np.ndarray, "n"]
) -> tuple[Float[np.ndarray, "n"], Float[np.ndarray, "n"]]:
    """sigma(d0) and sigma(dz) in mm (arXiv:1405.6569, Fig. 15, between its points on a
    line in logarithms); zero below its lowest pT, as in the card."""
    region, at = np.searchsorted(_ETA, np.abs(eta)), np.log(pt)
    measured = pt > 0.1823

    def read(table: tuple[tuple[float, ...], ...]) -> np.ndarray:
        rows = np.stack([np.interp(at, _KNOTS, np.log(row)) for row in table])
        return np.where(measured, np.exp(rows[region, np.arange(len(pt))]), 0.0)

    return read(_D0), read(_DZ)
