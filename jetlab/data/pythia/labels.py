"""What makes and tells the jets of a class, whichever kind of class it is."""

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import pythia8mc
from jaxtyping import Int

from jetlab.data.jetclass.labels import JETCLASS2
from jetlab.data.pythia import branches, truth, truth_matching
from jetlab.data.pythia.branches import Branches
from jetlab.data.pythia.events import Entries
from jetlab.data.pythia.final_states import RESONANT, key
from jetlab.data.pythia.flavours import FLAVOURS, PARTONS, SETTINGS
from jetlab.data.pythia.generator_filter import Promise
from jetlab.data.pythia.jet_finding import RADIUS, Clustered
from jetlab.data.pythia.processes import PROCESSES
from jetlab.data.pythia.resonances import CHARGED_X, NEUTRAL_X, Sources, sources
from jetlab.data.pythia.vetoes import Contents, Flavours


class Told(NamedTuple):
    """Jets of the class, and the branches that say what they are."""

    jets: Int[np.ndarray, "m"]
    branches: Branches


@runtime_checkable
class Family(Protocol):
    """Classes made and told in one way.

    `sources` are Pythia's settings, with the share of the class's jets that each gives.
    """

    @property
    def sources(self) -> Sources: ...

    def veto(self) -> Any:
        """A new hook that stops events without hope of such a jet."""
        ...

    def tell(self, entries: Entries, jets: Clustered) -> Told:
        """Jets of the class among those of a batch."""
        ...


def family(name: str) -> Family:
    """Of a class of JetClass or JetClass-II."""
    if name in PROCESSES:
        return OfTen(name)
    return OfFlavour(name) if name in FLAVOURS else OfResonance(name)


@dataclass(frozen=True)
class OfTen:
    """A class of JetClass."""

    name: str

    @property
    def sources(self) -> Sources:
        return PROCESSES[self.name].sources

    def veto(self) -> pythia8mc.UserHooks:
        return Promise(PROCESSES[self.name])

    def tell(self, entries: Entries, jets: Clustered) -> Told:
        chosen, rows, kinds = self._match(entries, jets)
        codes = truth.codes(self.name, kinds)
        return Told(
            chosen,
            {
                **branches.truth(entries, rows),
                "aux_truth_match": codes.astype(np.float32),
                **branches.labels(self.name, len(chosen)),
            },
        )

    def _match(
        self, entries: Entries, jets: Clustered
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        process = PROCESSES[self.name]
        if not process.resonances:
            everything = np.arange(len(jets.event))
            nothing = np.full(len(everything), -1)
            return everything, nothing, np.zeros((len(nothing), 4), int)
        found = truth.decays(entries, process.resonances)
        return truth.match(entries, found, jets, process.quarks, process.leptons)


@dataclass(frozen=True)
class OfResonance:
    """A class of JetClass-II with a resonance X in the jet; of two X that fit, the
    first."""

    name: str

    @property
    def sources(self) -> Sources:
        return sources(self.name)

    def veto(self) -> pythia8mc.UserHooks:
        return Contents(self.name, self._codes)

    def tell(self, entries: Entries, jets: Clustered) -> Told:
        held = truth_matching.hold(
            entries, truth_matching.find(entries, self._codes), jets
        )
        wanted = held.keys == key(RESONANT[self.name])
        chosen, first = np.unique(held.jets[wanted], return_index=True)
        return _told(self.name, entries, chosen, held.rows[wanted][first])

    @property
    def _codes(self) -> tuple[int, ...]:
        return NEUTRAL_X if self._through_y else (*NEUTRAL_X, *CHARGED_X)

    @property
    def _through_y(self) -> bool:
        return len(RESONANT[self.name]) > 2


@dataclass(frozen=True)
class OfFlavour:
    """QCD jets of JetClass-II by their hardest parton."""

    name: str

    @property
    def sources(self) -> Sources:
        return ((1.0, SETTINGS),)

    def veto(self) -> pythia8mc.UserHooks:
        return Flavours(self.name)

    def tell(self, entries: Entries, jets: Clustered) -> Told:
        hardest = _hardest(entries, jets)
        flavour = np.abs(entries.pid[hardest])
        chosen = np.flatnonzero((hardest >= 0) & np.isin(flavour, FLAVOURS[self.name]))
        return _told(self.name, entries, chosen, hardest[chosen])


def _hardest(entries: Entries, jets: Clustered) -> Int[np.ndarray, "b"]:
    """Row of the hardest parton of the hard process in each jet, or -1."""
    code = np.abs(entries.pid)
    rows = np.flatnonzero((np.abs(entries.status) == 23) & np.isin(code, PARTONS))
    if not len(rows):
        return np.full(len(jets.event), -1)
    eta, phi = truth.direction(entries, rows)
    etas, phis = (np.tile(angle, (len(jets.event), 1)) for angle in (eta, phi))
    inside = truth.distance(jets.eta, jets.phi, etas, phis) < RADIUS
    inside &= entries.event[rows] == jets.event[:, None]
    pt = np.where(inside, np.hypot(*entries.momentum[rows].T[:2]), -1.0)
    return np.where(inside.any(1), rows[pt.argmax(1)], -1)


def _told(
    name: str,
    entries: Entries,
    chosen: Int[np.ndarray, "m"],
    rows: Int[np.ndarray, "m"],
) -> Told:
    return Told(
        chosen,
        {
            **branches.truth(entries, rows),
            "aux_genpart_mass": entries.mass[rows].astype(np.float32),
            "jet_label": np.full(len(chosen), JETCLASS2.index(name), np.int32),
        },
    )
