"""Stable particles -> the particle-flow objects that a detector like CMS would see."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from jetlab.data.pythia import tracks
from jetlab.data.pythia.calorimeter import (
    ECAL,
    HCAL,
    MAX_ETA,
    Calorimeter,
    Hits,
    Towers,
    lognormal,
)
from jetlab.data.pythia.tracks import Flight, Stable
from jetlab.types import SPECIES

CHARGED_HADRON, NEUTRAL_HADRON, PHOTON, ELECTRON, MUON = range(len(SPECIES))
_INVISIBLE = (12, 14, 16)


class Objects(NamedTuple):
    """Particle-flow objects of all events of a batch, in order of their events."""

    event: Int[np.ndarray, "n"]
    pt: Float[np.ndarray, "n"]  # GeV
    eta: Float[np.ndarray, "n"]
    phi: Float[np.ndarray, "n"]
    mass: Float[np.ndarray, "n"]  # GeV: tracks keep that of their particle, as JetClass
    charge: Int[np.ndarray, "n"]
    species: Int[np.ndarray, "n"]  # index into SPECIES
    impact: Float[np.ndarray, "n 4"]  # d0, its error, dz, its error; mm

    @property
    def energy(self) -> Float[np.ndarray, "n"]:
        return np.hypot(self.pt * np.cosh(self.eta), self.mass)


def respond(particles: Stable, rng: np.random.Generator) -> Objects:
    """What is measured of all events of a batch, without pile-up.

    Tracks are found and smeared; the ECAL sees photons and electrons, the HCAL hadrons.
    Delphes gives K_S and Lambda to both, but Pythia lets them decay.
    """
    particles = particles.where(tracks.reaching(particles))
    flight = tracks.fly(particles)
    near = np.abs(flight.exit_eta) < MAX_ETA
    near &= ~np.isin(np.abs(particles.pid), _INVISIBLE)
    particles, flight = particles.where(near), Flight(*(f[near] for f in flight))
    found, exits = _tracks(particles, flight, rng)

    kind = np.abs(particles.pid)
    momentum = np.linalg.norm(particles.momentum, axis=1)
    hits = Hits(
        particles.event,
        flight.exit_eta,
        flight.exit_phi,
        np.hypot(momentum, particles.mass),
    )
    light, muon = np.isin(kind, (11, 22)), kind == 13
    photons, found = _flow(ECAL, _pick(hits, light), found, exits, ELECTRON, rng)
    neutrals, found = _flow(
        HCAL, _pick(hits, ~light & ~muon), found, exits, CHARGED_HADRON, rng
    )
    parts = [
        found,
        _neutral(photons, PHOTON),
        _neutral(neutrals, NEUTRAL_HADRON),
    ]
    objects = Objects(*map(np.concatenate, zip(*parts, strict=True)))
    order = np.argsort(objects.event, kind="stable")
    order = order[objects.pt[order] > 0]
    return Objects(*(column[order] for column in objects))


def _tracks(
    particles: Stable, flight: Flight, rng: np.random.Generator
) -> tuple[Objects, tuple[np.ndarray, np.ndarray]]:
    """The tracks that are found, and where they enter the calorimeters."""
    pt = np.hypot(*particles.momentum.T[:2])
    eta = np.arcsinh(particles.momentum[:, 2] / pt)
    seen = rng.random(len(pt)) < tracks.efficiency(particles.pid, pt, eta)
    seen &= particles.charge != 0
    pid, pt, eta = particles.pid[seen], pt[seen], eta[seen]
    pt = lognormal(pt, pt * tracks.pt_resolution(pid, pt, eta), rng)
    d0err, dzerr = tracks.impact_resolutions(pt, eta)
    d0, dz = rng.normal(flight.d0[seen], d0err), rng.normal(flight.dz[seen], dzerr)
    species = np.select(
        [np.abs(pid) == 11, np.abs(pid) == 13], [ELECTRON, MUON], CHARGED_HADRON
    )
    found = Objects(
        event=particles.event[seen],
        pt=pt,
        eta=eta,
        phi=flight.phi[seen],
        mass=particles.mass[seen],
        charge=particles.charge[seen],
        species=species,
        impact=np.stack([d0, d0err, dz, dzerr], axis=1),
    )
    return found, (flight.exit_eta[seen], flight.exit_phi[seen])


def _flow(
    calorimeter: Calorimeter,
    hits: Hits,
    found: Objects,
    exits: tuple[np.ndarray, np.ndarray],
    stopped: int,
    rng: np.random.Generator,
) -> tuple[Towers, Objects]:
    """Neutral towers of a calorimeter, and the tracks with those of the species it
    stops scaled to it."""
    mine = found.species == stopped
    track_hits = Hits(
        found.event[mine], exits[0][mine], exits[1][mine], found.energy[mine]
    )
    towers, scale = calorimeter.flow(hits, track_hits, rng)
    pt = found.pt.copy()
    pt[mine] *= scale
    return towers, found._replace(pt=pt)


def _pick(hits: Hits, keep: np.ndarray) -> Hits:
    return Hits(*(column[keep] for column in hits))


def _neutral(towers: Towers, species: int) -> Objects:
    count = len(towers.event)
    return Objects(
        event=towers.event,
        pt=towers.energy / np.cosh(towers.eta),
        eta=towers.eta,
        phi=towers.phi,
        mass=np.zeros(count),
        charge=np.zeros(count, int),
        species=np.full(count, species),
        impact=np.zeros((count, 4)),
    )
