"""Decays and partons in the event record, and the jets that contain them.

A jet contains a particle within Delta R < 0.8 of its axis. Quarks and gluons have the
direction in which the decay emits them, electrons and muons that after radiation, tau
leptons that before their decay. JetClass (arXiv:2202.03772) requires all quarks,
gluons, electrons and muons of a resonance in the jet; the classes of JetClass-II
(arXiv:2405.12972) name the prongs in the jet.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from jetlab.data import ragged
from jetlab.data.pythia.final_states import (
    NEUTRINO_OFFSET,
    PDG_PRONGS,
    PRONG_CODES,
    PRONGS,
)
from jetlab.data.pythia.generator import EventRecord
from jetlab.data.pythia.jet_finding import JET_RADIUS, JetCollection
from jetlab.data.pythia.kinematics import delta_r, eta_phi
from jetlab.data.pythia.processes import (
    LIGHT_LEPTONS,
    NEUTRINOS,
    QUARKS_AND_GLUON,
    WEAK_BOSONS,
    Process,
)
from jetlab.data.pythia.resonances import CHARGED_Y, NEUTRAL_Y


class Decays(NamedTuple):
    """Decayed resonances of a batch, in order of their events."""

    rows: Int[np.ndarray, "r"]  # of the resonance's last copy in the event record
    products: Int[np.ndarray, "r 4"]  # rows; -1 where there are fewer than four


class Matches(NamedTuple):
    """Jets matched to one entry of the event record each."""

    jets: Int[np.ndarray, "m"]  # numbers of the jets, rising
    rows: Int[np.ndarray, "m"]  # of the resonance or parton


class DecayMatches(NamedTuple):
    jets: Int[np.ndarray, "m"]
    rows: Int[np.ndarray, "m"]
    products: Int[np.ndarray, "m 4"]  # PDG codes without sign; 0 for fewer than four


class Prongs(NamedTuple):
    """Prongs of all resonances of a batch, in order of their events."""

    rows: Int[np.ndarray, "r"]  # of the resonance's last copy
    products: Int[np.ndarray, "r 4"]  # rows; -1 where there are fewer than four
    prongs: Int[np.ndarray, "r 4"]  # numbers in PRONGS; -1 for invisible products


class ProngMatches(NamedTuple):
    """All pairs of a jet and a resonance of its event."""

    jets: Int[np.ndarray, "p"]
    rows: Int[np.ndarray, "p"]  # of the resonance
    codes: Int[np.ndarray, "p"]  # final-state code of its prongs in the jet


def find_decays(
    record: EventRecord,
    resonances: tuple[int, ...],
    intermediate: tuple[int, ...] = WEAK_BOSONS,
) -> Decays:
    """Two-body decays of the resonances (PDG codes without sign), followed through
    `intermediate` particles to two products each."""
    first, last = record.daughters.T
    is_copied = np.zeros(len(first), bool)
    for daughter in (first, last):
        is_copied |= record.pid[daughter] == record.pid
    is_resonance = np.isin(np.abs(record.pid), resonances)
    rows = np.flatnonzero(is_resonance & ~is_copied & (first >= 0))
    products = np.full((len(rows), 4), -1)
    products[:, 0], products[:, 2] = first[rows], last[rows]
    for column, daughter in ((0, first), (2, last)):
        row = last_copy(record, daughter[rows])
        decays = np.isin(np.abs(record.pid[row]), intermediate)
        products[decays, column] = first[row[decays]]
        products[decays, column + 1] = last[row[decays]]
    return Decays(rows, products)


def last_copy(
    record: EventRecord, rows: Int[np.ndarray, "*r"]
) -> Int[np.ndarray, "*r"]:
    """Rows of the same particles after all their radiation."""
    while True:
        first, last = np.moveaxis(record.daughters[rows], -1, 0)
        pid = record.pid[rows]
        is_copy = [(d >= 0) & (record.pid[d] == pid) for d in (first, last)]
        if not (is_copy[0] | is_copy[1]).any():
            return rows
        rows = np.where(is_copy[0], first, np.where(is_copy[1], last, rows))


def match_decays(
    record: EventRecord, jets: JetCollection, process: Process
) -> DecayMatches:
    """Jets that contain all quarks, gluons, electrons and muons of a decay of the
    process; the first one where a jet contains two decays."""
    decays = find_decays(record, process.resonances)
    products, pid = _after_radiation(record, decays.products, LIGHT_LEPTONS)
    is_lepton, is_quark = np.isin(pid, LIGHT_LEPTONS), np.isin(pid, QUARKS_AND_GLUON)
    wanted = is_quark.sum(axis=1) == process.quarks
    wanted &= is_lepton.sum(axis=1) == process.leptons
    rows, products, pid = decays.rows[wanted], products[wanted], pid[wanted]
    visible = (is_lepton | is_quark)[wanted]

    jet, decay = _pairs(jets, record.event[rows])
    inside = _inside(record, jets, jet, products[decay])
    contained = (inside | ~visible[decay]).all(axis=1)
    matched, first = np.unique(jet[contained], return_index=True)
    decay = decay[contained][first]
    return DecayMatches(matched, rows[decay], pid[decay])


def find_prongs(record: EventRecord, resonances: tuple[int, ...]) -> Prongs:
    """Visible products of the resonances X, or of the two Y that X decays to."""
    decays = find_decays(record, resonances, intermediate=(NEUTRAL_Y, CHARGED_Y))
    products, pid = _after_radiation(record, decays.products, (*LIGHT_LEPTONS, 15))
    prongs = np.full(pid.shape, -1)
    for code, name in PDG_PRONGS.items():
        if name in PRONGS:
            prongs[pid == code] = PRONGS.index(name)
    is_tau = pid == 15
    prongs[is_tau] = _tau_prongs(record, products[is_tau])
    has_neutrino = np.isin(pid, NEUTRINOS)[:, [1, 0, 3, 2]]  # of the sibling
    prongs[np.isin(pid, (*LIGHT_LEPTONS, 15)) & has_neutrino] += NEUTRINO_OFFSET
    return Prongs(decays.rows, products, prongs)


def match_prongs(
    record: EventRecord, prongs: Prongs, jets: JetCollection
) -> ProngMatches:
    """Final state inside each jet, for every resonance of its event."""
    jet, resonance = _pairs(jets, record.event[prongs.rows])
    inside = _inside(record, jets, jet, prongs.products[resonance])
    number = prongs.prongs[resonance]
    codes = (PRONG_CODES[number] * (inside & (number >= 0))).sum(axis=1)
    return ProngMatches(jet, prongs.rows[resonance], codes)


def match_hardest_parton(record: EventRecord, jets: JetCollection) -> Matches:
    """Jets that contain an outgoing parton of the hard process, with the one of highest
    pT."""
    is_outgoing = np.abs(record.status) == 23
    is_parton = np.isin(np.abs(record.pid), QUARKS_AND_GLUON)
    rows = np.flatnonzero(is_outgoing & is_parton)
    jet, parton = _pairs(jets, record.event[rows])
    inside = _inside(record, jets, jet, rows[parton][:, None])[:, 0]
    jet, row = jet[inside], rows[parton[inside]]
    hardest_first = np.lexsort((-np.hypot(*record.momentum[row].T[:2]), jet))
    matched, first = np.unique(jet[hardest_first], return_index=True)
    return Matches(matched, row[hardest_first][first])


def _after_radiation(
    record: EventRecord, products: Int[np.ndarray, "r 4"], leptons: tuple[int, ...]
) -> tuple[Int[np.ndarray, "r 4"], Int[np.ndarray, "r 4"]]:
    """Rows of the products with leptons replaced by their last copies, and PDG codes
    without sign, 0 where there is no product."""
    pid = np.where(products < 0, 0, np.abs(record.pid[products]))
    is_lepton = np.isin(pid, leptons)
    products = products.copy()
    products[is_lepton] = last_copy(record, products[is_lepton])
    return products, pid


def _tau_prongs(
    record: EventRecord, rows: Int[np.ndarray, "t"]
) -> Int[np.ndarray, "t"]:
    """Number of tauh, taue or taum of each tau lepton, by its decay."""
    first, last = record.daughters[rows].T
    counts = np.where(first >= 0, last - first + 1, 0)
    tau = np.repeat(np.arange(len(rows)), counts)
    pid = np.abs(record.pid[ragged.rows(first, counts)])
    prongs = np.full(len(rows), PRONGS.index("tauh"))
    prongs[tau[pid == 11]] = PRONGS.index("taue")
    prongs[tau[pid == 13]] = PRONGS.index("taum")
    return prongs


def _pairs(
    jets: JetCollection, event: Int[np.ndarray, "c"]
) -> tuple[Int[np.ndarray, "p"], Int[np.ndarray, "p"]]:
    """Numbers of the jet and of the candidate for all pairs in one event, where `event`
    is that of each candidate, rising."""
    begin = np.searchsorted(event, jets.event)
    counts = np.searchsorted(event, jets.event, side="right") - begin
    jet = np.repeat(np.arange(len(jets.event)), counts)
    return jet, ragged.rows(begin, counts)


def _inside(
    record: EventRecord,
    jets: JetCollection,
    jet: Int[np.ndarray, "p"],
    rows: Int[np.ndarray, "p k"],
) -> Bool[np.ndarray, "p k"]:
    """Whether entries of the event record lie within R of the axis of their jet."""
    eta, phi = jets.eta[jet][:, None], jets.phi[jet][:, None]
    return delta_r(eta, phi, *eta_phi(record.momentum[rows])) < JET_RADIUS
