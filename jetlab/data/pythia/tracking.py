"""Charged tracks: propagation through the solenoid, efficiency and resolutions.

Geometry and resolutions are those of JetClass's Delphes card (arXiv:2202.03772): a
field of 3.8 T in a cylinder of radius 1.29 m and half-length 3 m.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from jetlab.data.pythia.kinematics import wrap_phi

FIELD = 3.8  # T
SOLENOID_RADIUS = 1290.0  # mm
HALF_LENGTH = 3000.0  # mm
CURVATURE = 1e12 / 299_792_458
"""mm T / GeV: the radius of curvature is CURVATURE * pT / (|q| B)."""


class StableParticles(NamedTuple):
    """Final-state particles of a batch of events, in order of their events."""

    event: Int[np.ndarray, "n"]
    pid: Int[np.ndarray, "n"]  # PDG code
    charge: Int[np.ndarray, "n"]
    momentum: Float[np.ndarray, "n 3"]  # GeV
    mass: Float[np.ndarray, "n"]  # GeV
    vertex: Float[np.ndarray, "n 3"]  # mm

    def select(self, mask: Bool[np.ndarray, "n"]) -> "StableParticles":
        return StableParticles(*(column[mask] for column in self))


class Propagation(NamedTuple):
    """Perigee of each particle, and the point where it leaves the solenoid."""

    d0: Float[np.ndarray, "n"]  # mm, (x py - y px) / pT at the perigee
    dz: Float[np.ndarray, "n"]  # mm
    phi: Float[np.ndarray, "n"]  # of the momentum at the perigee
    exit_eta: Float[np.ndarray, "n"]
    exit_phi: Float[np.ndarray, "n"]


def can_propagate(particles: StableParticles) -> Bool[np.ndarray, "n"]:
    """Whether a particle is produced inside the solenoid with pT > 3e-5 GeV."""
    x, y, z = particles.vertex.T
    inside = (np.hypot(x, y) < SOLENOID_RADIUS) & (np.abs(z) < HALF_LENGTH)
    return inside & (np.hypot(*particles.momentum.T[:2]) > 3e-5)


def propagate(particles: StableParticles) -> Propagation:
    """Follow particles that `can_propagate` to the wall or the end of the solenoid:
    charged ones along a helix, neutral ones along a straight line."""
    charged = particles.charge != 0
    with np.errstate(invalid="ignore"):  # the infinite radius of neutral particles
        helix = _helix(particles)
    line = _straight_line(particles)
    pairs = zip(helix, line, strict=True)
    return Propagation(*(np.where(charged, *pair) for pair in pairs))


def _helix(particles: StableParticles) -> Propagation:
    """`psi` is the azimuth around the axis of the helix, measured from the direction
    that points away from the beam: the perigee is at pi."""
    x, y, z = particles.vertex.T
    px, py, pz = particles.momentum.T
    pt, phi = np.hypot(px, py), np.arctan2(py, px)
    slope = pz / pt
    rotation = -np.sign(particles.charge)  # positive particles turn clockwise
    radius = np.where(rotation != 0, pt * CURVATURE / FIELD, np.inf)
    center_x = x + radius * np.sin(phi) * -rotation
    center_y = y - radius * np.cos(phi) * -rotation
    center_r, center_phi = np.hypot(center_x, center_y), np.arctan2(center_y, center_x)
    psi = wrap_phi(np.arctan2(y - center_y, x - center_x) - center_phi)

    turn_to_wall = _turn_to_wall(psi, rotation, radius, center_r)
    arc = np.fmin(radius * turn_to_wall, _arc_to_end(z, pz, slope))
    end_phi = center_phi + psi + rotation * arc / radius
    end_x = center_x + radius * np.cos(end_phi)
    end_y = center_y + radius * np.sin(end_phi)
    turn_to_perigee = wrap_phi(rotation * (np.pi - psi))
    return Propagation(
        d0=rotation * (radius - center_r),
        dz=z + slope * radius * turn_to_perigee,
        phi=wrap_phi(phi + rotation * turn_to_perigee),
        exit_eta=np.arcsinh((z + slope * arc) / np.hypot(end_x, end_y)),
        exit_phi=np.arctan2(end_y, end_x),
    )


def _turn_to_wall(
    psi: Float[np.ndarray, "n"],
    rotation: Int[np.ndarray, "n"],
    radius: Float[np.ndarray, "n"],
    center_r: Float[np.ndarray, "n"],
) -> Float[np.ndarray, "n"]:
    """Angle in [0, 2 pi) to the first of the two points where the circle meets the
    wall; NaN where it stays within."""
    cosine = (SOLENOID_RADIUS**2 - center_r**2 - radius**2) / (2 * radius * center_r)
    psi_wall = np.arccos(cosine)
    turns = (rotation * (sign * psi_wall - psi) % (2 * np.pi) for sign in (1, -1))
    return np.fmin(*turns)


def _arc_to_end(
    z: Float[np.ndarray, "n"], pz: Float[np.ndarray, "n"], slope: Float[np.ndarray, "n"]
) -> Float[np.ndarray, "n"]:
    """Transverse path length in mm to the end of the solenoid."""
    distance = np.abs(np.copysign(HALF_LENGTH, pz) - z)
    return distance / np.maximum(np.abs(slope), 1e-12)


def _straight_line(particles: StableParticles) -> Propagation:
    x, y, z = particles.vertex.T
    px, py, pz = particles.momentum.T
    pt, phi = np.hypot(px, py), np.arctan2(py, px)
    slope = pz / pt
    along = (x * px + y * py) / pt
    across = (x * py - y * px) / pt
    to_wall = np.sqrt(SOLENOID_RADIUS**2 - across**2) - along
    arc = np.fmin(to_wall, _arc_to_end(z, pz, slope))
    end_x, end_y = x + arc * px / pt, y + arc * py / pt
    return Propagation(
        d0=across,
        dz=z - along * slope,
        phi=wrap_phi(phi),
        exit_eta=np.arcsinh((z + slope * arc) / np.hypot(end_x, end_y)),
        exit_phi=np.arctan2(end_y, end_x),
    )


def efficiency(
    pid: Int[np.ndarray, "n"], pt: Float[np.ndarray, "n"], eta: Float[np.ndarray, "n"]
) -> Float[np.ndarray, "n"]:
    """Probability that a charged particle is reconstructed as a track."""
    central, code = np.abs(eta) <= 1.5, np.abs(pid)
    hadron = np.where(
        pt > 1, np.where(central, 0.95, 0.85), np.where(central, 0.7, 0.6)
    )
    hard = np.where(central, 0.99, 0.9)
    medium = np.where(central, 0.95, 0.83)
    electron = np.where(pt > 100, hard, medium)
    electron = np.where(pt > 1, electron, np.where(central, 0.73, 0.5))
    muon = np.where(central, 0.99, 0.98) * np.exp(np.minimum(0, 0.5 - 5e-4 * pt))
    muon = np.where(pt > 1, muon, np.where(central, 0.75, 0.7))
    found = np.where(code == 11, electron, np.where(code == 13, muon, hadron))
    return np.where((pt > 0.1) & (np.abs(eta) <= 2.5), found, 0.0)


_PT_ETA_EDGES = np.array([0.5, 1.5])
_PT_CONSTANT = {11: (0.03, 0.05, 0.15), 13: (0.01, 0.015, 0.025), 0: (0.06, 0.10, 0.25)}
_PT_LINEAR = {13: (1e-4, 1.5e-4, 3.5e-4), 0: (1.3e-3, 1.7e-3, 3.1e-3)}


def pt_resolution(
    pid: Int[np.ndarray, "n"], pt: Float[np.ndarray, "n"], eta: Float[np.ndarray, "n"]
) -> Float[np.ndarray, "n"]:
    """sigma(pT) / pT (CMS: arXiv:1405.6569 for hadrons, arXiv:1502.02701 for
    electrons)."""
    region, code = np.searchsorted(_PT_ETA_EDGES, np.abs(eta)), np.abs(pid)

    def constants(table: dict[int, tuple[float, ...]]) -> np.ndarray:
        columns = {pdg: np.array(row)[region] for pdg, row in table.items()}
        electron, muon = columns.get(11, columns[0]), columns[13]
        return np.where(code == 11, electron, np.where(code == 13, muon, columns[0]))

    return np.hypot(constants(_PT_CONSTANT), pt * constants(_PT_LINEAR))


_LOG_PT = np.log([0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 130.0])  # pT in GeV
_IMPACT_ETA_EDGES = np.array([0.9, 1.4])
_D0_SIGMA = (
    (0.354, 0.155, 0.0753, 0.0490, 0.0285, 0.0205, 0.0145, 0.0114, 0.0109),
    (0.456, 0.180, 0.0926, 0.0520, 0.0315, 0.0217, 0.0148, 0.0105, 0.0092),
    (0.697, 0.310, 0.1557, 0.0850, 0.0405, 0.0267, 0.0206, 0.0147, 0.0137),
)
_DZ_SIGMA = (
    (0.369, 0.205, 0.111, 0.0730, 0.0485, 0.0400, 0.0316, 0.0316, 0.0305),
    (0.706, 0.350, 0.198, 0.110, 0.0700, 0.0526, 0.0408, 0.0360, 0.0320),
    (2.17, 1.30, 0.670, 0.350, 0.182, 0.121, 0.100, 0.0800, 0.0820),
)


def impact_parameter_resolutions(
    pt: Float[np.ndarray, "n"], eta: Float[np.ndarray, "n"]
) -> tuple[Float[np.ndarray, "n"], Float[np.ndarray, "n"]]:
    """sigma(d0) and sigma(dz) in mm (arXiv:1405.6569, Fig. 15), log(sigma) interpolated
    linearly in log(pT); zero below 0.1823 GeV, as in the card."""
    region, log_pt = np.searchsorted(_IMPACT_ETA_EDGES, np.abs(eta)), np.log(pt)
    measured = pt > 0.1823

    def interpolate(table: tuple[tuple[float, ...], ...]) -> np.ndarray:
        rows = np.stack([np.interp(log_pt, _LOG_PT, np.log(row)) for row in table])
        return np.where(measured, np.exp(rows[region, np.arange(len(pt))]), 0.0)

    return interpolate(_D0_SIGMA), interpolate(_DZ_SIGMA)
