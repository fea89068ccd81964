"""Generator filters: vetoes on the hard process, before the parton shower.

A filter rejects events that are very unlikely to give a jet of the class. Of jets made
without it, these would have been lost: none of about 1,500 in Hbb, Wqq and Tbqq each,
1 of 812 in Hqql and 4 of 1,513 in Tbl (radiation can make up for the pT that the
neutrino takes); in JetClass-II, 1 of 169 with three of four prongs, none of 1,170 with
four and none of 456 with two.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import pythia8mc

from jetlab.data.pythia.final_states import (
    FINAL_STATES,
    before_tau_decay,
    prong_names,
)
from jetlab.data.pythia.kinematics import delta_r, eta_phi
from jetlab.data.pythia.processes import (
    FLAVOURS,
    LIGHT_LEPTONS,
    NEUTRINOS,
    QUARKS_AND_GLUON,
    WEAK_BOSONS,
    Process,
)
from jetlab.data.pythia.resonances import CHARGED_Y, NEUTRAL_Y


class Cuts(NamedTuple):
    """On the sum of a decay's visible products and on their distance from it."""

    min_pt: float  # GeV
    max_eta: float
    max_delta_r: float


DECAY_CUTS = Cuts(300.0, 3.0, 1.2)
"""All visible products of a JetClass decay."""

PRONG_CUTS = Cuts(400.0, 2.6, 1.1)
"""The prongs that a JetClass-II jet must contain."""

MIN_DELTA_R_OF_OTHERS = 0.5
"""Distance from their sum to prongs that the jet must not contain."""


class GeneratorFilter(pythia8mc.UserHooks):
    """Vetoes hard processes that it does not accept."""

    def canVetoProcessLevel(self) -> bool:
        return True

    def doVetoProcessLevel(self, process: Any) -> bool:
        return not self.accepts([process[n] for n in range(process.size())])

    def accepts(self, particles: Sequence[Any]) -> bool:
        """Whether the event goes on to the shower; `particles` are Pythia's, by row."""
        raise NotImplementedError


class PartonLevelFilter(GeneratorFilter):
    """Requires a decay of a JetClass class that may lie within one jet."""

    def __init__(self, process: Process):
        super().__init__()
        self._process = process

    def canVetoProcessLevel(self) -> bool:
        return bool(self._process.resonances)

    def accepts(self, particles: Sequence[Any]) -> bool:
        return any(
            self._accepts_decay(list(_visible_products(particles, particle)))
            for particle in particles
            if particle.idAbs() in self._process.resonances
        )

    def _accepts_decay(self, products: Sequence[Any]) -> bool:
        leptons = sum(p.idAbs() in LIGHT_LEPTONS for p in products)
        if leptons != self._process.leptons:
            return False
        if len(products) - leptons != self._process.quarks:
            return False
        return jet_axis(products, DECAY_CUTS) is not None


class FinalStateFilter(GeneratorFilter):
    """Requires a decay of which one jet may contain the final state of a JetClass-II
    class and no other prong."""

    def __init__(self, name: str, resonances: tuple[int, ...]):
        super().__init__()
        self._final_state = before_tau_decay(FINAL_STATES[name])
        self._resonances = resonances

    def accepts(self, particles: Sequence[Any]) -> bool:
        return any(
            self._accepts_decay(list(_prongs(particles, particle)))
            for particle in particles
            if particle.idAbs() in self._resonances
        )

    def _accepts_decay(self, prongs: Sequence[tuple[str, Any]]) -> bool:
        numbers = range(len(prongs))
        return any(
            tuple(sorted(prongs[n][0] for n in inside)) == self._final_state
            and _separated(
                [prongs[n][1] for n in inside],
                [prongs[n][1] for n in numbers if n not in inside],
            )
            for inside in combinations(numbers, len(self._final_state))
        )


class FlavourFilter(GeneratorFilter):
    """Requires an outgoing parton of a flavour class in the acceptance."""

    def __init__(self, name: str):
        super().__init__()
        self._pdg_codes = FLAVOURS[name]

    def accepts(self, particles: Sequence[Any]) -> bool:
        return any(
            particle.status() == 23
            and particle.idAbs() in self._pdg_codes
            and abs(particle.eta()) < PRONG_CUTS.max_eta
            for particle in particles
        )


def jet_axis(products: Sequence[Any], cuts: Cuts) -> tuple[float, float] | None:
    """eta and phi of the summed momentum, or None if it or a product fails the cuts."""
    momenta = _momenta(products)
    total = momenta.sum(axis=0)
    eta, phi = (float(angle[0]) for angle in eta_phi(total[None]))
    if np.hypot(*total[:2]) < cuts.min_pt or abs(eta) > cuts.max_eta:
        return None
    if delta_r(eta, phi, *eta_phi(momenta)).max() > cuts.max_delta_r:
        return None
    return eta, phi


def _separated(inside: Sequence[Any], others: Sequence[Any]) -> bool:
    axis = jet_axis(inside, PRONG_CUTS)
    if axis is None:
        return False
    distances = delta_r(*axis, *eta_phi(_momenta(others)))
    return bool((distances > MIN_DELTA_R_OF_OTHERS).all())


def _momenta(particles: Sequence[Any]) -> np.ndarray:
    momenta = [(p.px(), p.py(), p.pz()) for p in particles]
    return np.array(momenta, float).reshape(-1, 3)


def _decays(
    particles: Sequence[Any], particle: Any, intermediate: Sequence[int]
) -> Iterator[list[Any]]:
    """Daughters of a particle, and of `intermediate` particles (PDG codes) below it."""
    daughters = particles[particle.daughter1() : particle.daughter2() + 1]
    yield [d for d in daughters if d.idAbs() not in intermediate]
    for daughter in daughters:
        if daughter.idAbs() in intermediate:
            yield from _decays(particles, daughter, intermediate)


def _visible_products(particles: Sequence[Any], particle: Any) -> Iterator[Any]:
    for products in _decays(particles, particle, WEAK_BOSONS):
        visible = (*QUARKS_AND_GLUON, *LIGHT_LEPTONS)
        yield from (p for p in products if p.idAbs() in visible)


def _prongs(particles: Sequence[Any], particle: Any) -> Iterator[tuple[str, Any]]:
    """Name and particle of each visible product, through Y."""
    for products in _decays(particles, particle, (NEUTRAL_Y, CHARGED_Y)):
        neutrinos = [p.idAbs() for p in products if p.idAbs() in NEUTRINOS]
        for product in products:
            if product.idAbs() not in NEUTRINOS:
                yield prong_names([product.idAbs(), *neutrinos])[0], product
