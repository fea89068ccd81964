"""Labelling schemes: how jets of each class are generated, selected and labelled."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int

from jetlab.data.jetclass.branches import TEN_LABELS
from jetlab.data.jetclass.labels import JETCLASS2
from jetlab.data.pythia.final_states import FINAL_STATES, final_state_code
from jetlab.data.pythia.generator import EventRecord
from jetlab.data.pythia.generator_filter import (
    FinalStateFilter,
    FlavourFilter,
    GeneratorFilter,
    PartonLevelFilter,
)
from jetlab.data.pythia.jet_finding import JetCollection
from jetlab.data.pythia.kinematics import eta_phi
from jetlab.data.pythia.processes import (
    FLAVOUR_SUBPROCESSES,
    FLAVOURS,
    PROCESSES,
    Subprocesses,
)
from jetlab.data.pythia.resonances import CHARGED_X, NEUTRAL_X, subprocesses
from jetlab.data.pythia.truth_matching import (
    DecayMatches,
    Matches,
    find_prongs,
    match_decays,
    match_hardest_parton,
    match_prongs,
)

Columns = dict[str, np.ndarray]


class LabelledJets(NamedTuple):
    """Jets of one class."""

    jets: Int[np.ndarray, "m"]  # their numbers in the batch, rising
    columns: Columns  # labels and truth, named as JetClass's branches


@runtime_checkable
class LabellingScheme(Protocol):
    """Generates and labels the jets of one class."""

    @property
    def subprocesses(self) -> Subprocesses: ...

    def generator_filter(self) -> GeneratorFilter:
        """A new filter for one generator."""
        ...

    def select_and_label(
        self, record: EventRecord, jets: JetCollection
    ) -> LabelledJets:
        """Jets of the class among those of a batch of events."""
        ...


def labelling_scheme(name: str) -> LabellingScheme:
    """Of a class of JetClass or JetClass-II."""
    if name in PROCESSES:
        return JetClassLabels(name)
    return FlavourLabels(name) if name in FLAVOURS else FinalStateLabels(name)


@dataclass(frozen=True)
class JetClassLabels:
    """A class of JetClass; every jet is a QCD jet in QCD events."""

    name: str

    @property
    def subprocesses(self) -> Subprocesses:
        return PROCESSES[self.name].subprocesses

    def generator_filter(self) -> GeneratorFilter:
        return PartonLevelFilter(PROCESSES[self.name])

    def select_and_label(
        self, record: EventRecord, jets: JetCollection
    ) -> LabelledJets:
        selected, rows, products = self._match(record, jets)
        codes = truth_match_codes(self.name, products)
        labels = {
            label: np.full(len(selected), label == f"label_{self.name}", np.int32)
            for label in TEN_LABELS
        }
        columns = {
            **_truth_columns(record, rows),
            "aux_truth_match": codes.astype(np.float32),
            **labels,
        }
        return LabelledJets(selected, columns)

    def _match(self, record: EventRecord, jets: JetCollection) -> DecayMatches:
        process = PROCESSES[self.name]
        if process.resonances:
            return match_decays(record, jets, process)
        every = np.arange(len(jets.event))
        products = np.zeros((len(every), 4), int)
        return DecayMatches(every, np.full(len(every), -1), products)


@dataclass(frozen=True)
class FinalStateLabels:
    """A class of JetClass-II with a resonance X; the first X where two match a jet."""

    name: str

    @property
    def subprocesses(self) -> Subprocesses:
        return subprocesses(self.name)

    def generator_filter(self) -> GeneratorFilter:
        return FinalStateFilter(self.name, self._resonances)

    def select_and_label(
        self, record: EventRecord, jets: JetCollection
    ) -> LabelledJets:
        prongs = find_prongs(record, self._resonances)
        pairs = match_prongs(record, prongs, jets)
        matched = pairs.codes == final_state_code(FINAL_STATES[self.name])
        selected, first = np.unique(pairs.jets[matched], return_index=True)
        return _jetclass2_labels(
            self.name, record, Matches(selected, pairs.rows[matched][first])
        )

    @property
    def _resonances(self) -> tuple[int, ...]:
        through_yy = len(FINAL_STATES[self.name]) > 2
        return NEUTRAL_X if through_yy else (*NEUTRAL_X, *CHARGED_X)


@dataclass(frozen=True)
class FlavourLabels:
    """QCD jets by the flavour of their hardest parton."""

    name: str

    @property
    def subprocesses(self) -> Subprocesses:
        return FLAVOUR_SUBPROCESSES

    def generator_filter(self) -> GeneratorFilter:
        return FlavourFilter(self.name)

    def select_and_label(
        self, record: EventRecord, jets: JetCollection
    ) -> LabelledJets:
        selected, rows = match_hardest_parton(record, jets)
        matched = np.isin(np.abs(record.pid[rows]), FLAVOURS[self.name])
        return _jetclass2_labels(
            self.name, record, Matches(selected[matched], rows[matched])
        )


def truth_match_codes(
    name: str, products: Int[np.ndarray, "m 4"]
) -> Int[np.ndarray, "m"]:
    """JetClass's `aux_truth_match`, from the PDG codes (without sign) of the decay
    products of jets of one class."""
    fixed = {"QCD": 50, "Hbb": 41, "Hcc": 42, "Hgg": 44, "H4q": 45, "Hqql": 46}
    if name in fixed:
        return np.full(len(products), fixed[name])
    quarks = np.sort(np.where(products <= 5, products, 0), axis=1)
    heaviest, second = quarks[:, -1], quarks[:, -2]
    if name == "Zqq":
        return np.select([heaviest == 5, heaviest == 4], [31, 32], 33)
    if name == "Wqq":
        return np.where(heaviest >= 4, 21, 22)
    if name == "Tbl":
        return np.where((products == 11).any(axis=1), 15, 16)
    return np.where(second >= 4, 11, 12)  # Tbqq: the heaviest is the b


def _truth_columns(record: EventRecord, rows: Int[np.ndarray, "m"]) -> Columns:
    """Kinematics and PDG code of the particle that each jet is matched to; zeros for
    row -1."""
    momentum = record.momentum[rows]
    eta, phi = eta_phi(momentum)
    values = {
        "aux_genpart_eta": eta,
        "aux_genpart_phi": phi,
        "aux_genpart_pid": record.pid[rows],
        "aux_genpart_pt": np.hypot(*momentum.T[:2]),
    }
    matched = rows >= 0
    return {name: (matched * v).astype(np.float32) for name, v in values.items()}


def _jetclass2_labels(name: str, record: EventRecord, matches: Matches) -> LabelledJets:
    selected, rows = matches
    columns = {
        **_truth_columns(record, rows),
        "aux_genpart_mass": record.mass[rows].astype(np.float32),
        "jet_label": np.full(len(selected), JETCLASS2.index(name), np.int32),
    }
    return LabelledJets(selected, columns)
