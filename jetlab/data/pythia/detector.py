"""Stable particles -> particle-flow candidates of a CMS-like detector, no pile-up."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from jetlab.data.pythia import tracking
from jetlab.data.pythia.calorimeter import (
    ECAL,
    HCAL,
    MAX_ETA,
    Calorimeter,
    Hits,
    Towers,
    lognormal,
)
from jetlab.data.pythia.processes import NEUTRINOS
from jetlab.data.pythia.tracking import Propagation, StableParticles
from jetlab.types import SPECIES

CHARGED_HADRON, NEUTRAL_HADRON, PHOTON, ELECTRON, MUON = range(len(SPECIES))


class ParticleFlow(NamedTuple):
    """Particle-flow candidates of a batch of events, in order of their events."""

    event: Int[np.ndarray, "n"]
    pt: Float[np.ndarray, "n"]  # GeV
    eta: Float[np.ndarray, "n"]
    phi: Float[np.ndarray, "n"]
    mass: Float[np.ndarray, "n"]  # GeV; true mass for tracks, as in JetClass, else 0
    charge: Int[np.ndarray, "n"]
    species: Int[np.ndarray, "n"]  # index into SPECIES
    impact_parameters: Float[np.ndarray, "n 4"]  # d0, its error, dz, its error; mm

    @property
    def energy(self) -> Float[np.ndarray, "n"]:
        return np.hypot(self.pt * np.cosh(self.eta), self.mass)

    def select(self, rows: Int[np.ndarray, "m"]) -> "ParticleFlow":
        return ParticleFlow(*(column[rows] for column in self))


def simulate_detector(
    particles: StableParticles, rng: np.random.Generator
) -> ParticleFlow:
    """Reconstruct tracks, then ECAL (photons and electrons), then HCAL (hadrons).

    Delphes shares K_S and Lambda between both calorimeters; here Pythia decays them.
    """
    particles = particles.select(tracking.can_propagate(particles))
    propagation = tracking.propagate(particles)
    visible = np.abs(propagation.exit_eta) < MAX_ETA
    visible &= ~np.isin(np.abs(particles.pid), NEUTRINOS)
    particles = particles.select(visible)
    propagation = Propagation(*(column[visible] for column in propagation))
    tracks, track_exits = _reconstruct_tracks(particles, propagation, rng)

    pid = np.abs(particles.pid)
    momentum = np.linalg.norm(particles.momentum, axis=1)
    hits = Hits(
        particles.event,
        propagation.exit_eta,
        propagation.exit_phi,
        np.hypot(momentum, particles.mass),
    )
    electromagnetic = np.isin(pid, (11, 22))
    ecal_hits = _select(hits, electromagnetic)
    hcal_hits = _select(hits, ~electromagnetic & (pid != 13))
    photons, tracks = _energy_flow(ECAL, ecal_hits, tracks, track_exits, ELECTRON, rng)
    neutral_hadrons, tracks = _energy_flow(
        HCAL, hcal_hits, tracks, track_exits, CHARGED_HADRON, rng
    )
    return _merge(
        tracks,
        _neutral_candidates(photons, PHOTON),
        _neutral_candidates(neutral_hadrons, NEUTRAL_HADRON),
    )


def _reconstruct_tracks(
    particles: StableParticles, propagation: Propagation, rng: np.random.Generator
) -> tuple[ParticleFlow, tuple[np.ndarray, np.ndarray]]:
    """Tracks, smeared, and the eta and phi at which they enter the calorimeters."""
    pt = np.hypot(*particles.momentum.T[:2])
    eta = np.arcsinh(particles.momentum[:, 2] / pt)
    found = rng.random(len(pt)) < tracking.efficiency(particles.pid, pt, eta)
    found &= particles.charge != 0
    pid, pt, eta = particles.pid[found], pt[found], eta[found]
    pt = lognormal(pt, pt * tracking.pt_resolution(pid, pt, eta), rng)
    d0_error, dz_error = tracking.impact_parameter_resolutions(pt, eta)
    d0 = rng.normal(propagation.d0[found], d0_error)
    dz = rng.normal(propagation.dz[found], dz_error)
    species = np.select(
        [np.abs(pid) == 11, np.abs(pid) == 13], [ELECTRON, MUON], CHARGED_HADRON
    )
    tracks = ParticleFlow(
        event=particles.event[found],
        pt=pt,
        eta=eta,
        phi=propagation.phi[found],
        mass=particles.mass[found],
        charge=particles.charge[found],
        species=species,
        impact_parameters=np.stack([d0, d0_error, dz, dz_error], axis=1),
    )
    return tracks, (propagation.exit_eta[found], propagation.exit_phi[found])


def _energy_flow(
    calorimeter: Calorimeter,
    hits: Hits,
    tracks: ParticleFlow,
    track_exits: tuple[np.ndarray, np.ndarray],
    species: int,
    rng: np.random.Generator,
) -> tuple[Towers, ParticleFlow]:
    """Neutral towers, and all tracks with those of `species` (which this calorimeter
    stops) rescaled."""
    stopped = tracks.species == species
    track_hits = Hits(
        tracks.event[stopped],
        track_exits[0][stopped],
        track_exits[1][stopped],
        tracks.energy[stopped],
    )
    towers, scale = calorimeter.energy_flow(hits, track_hits, rng)
    pt = tracks.pt.copy()
    pt[stopped] *= scale
    return towers, tracks._replace(pt=pt)


def _select(hits: Hits, mask: np.ndarray) -> Hits:
    return Hits(*(column[mask] for column in hits))


def _neutral_candidates(towers: Towers, species: int) -> ParticleFlow:
    count = len(towers.event)
    return ParticleFlow(
        event=towers.event,
        pt=towers.energy / np.cosh(towers.eta),
        eta=towers.eta,
        phi=towers.phi,
        mass=np.zeros(count),
        charge=np.zeros(count, int),
        species=np.full(count, species),
        impact_parameters=np.zeros((count, 4)),
    )


def _merge(*parts: ParticleFlow) -> ParticleFlow:
    """All candidates of pT > 0 in order of their events."""
    merged = ParticleFlow(*map(np.concatenate, zip(*parts, strict=True)))
    order = np.argsort(merged.event, kind="stable")
    return merged.select(order[merged.pt[order] > 0])
