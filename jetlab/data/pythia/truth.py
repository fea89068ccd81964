"""Which decay a jet holds: the label rule of JetClass (arXiv:2202.03772).

A jet belongs to a resonance when all quarks, gluons, electrons and muons of its decay
lie within R = 0.8 of the jet's axis: quarks and gluons as the decay leaves them,
leptons after they radiated.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from jetlab.data.pythia.events import Entries
from jetlab.data.pythia.jet_finding import RADIUS, Clustered
from jetlab.data.pythia.processes import BETWEEN


class Decays(NamedTuple):
    """Decayed resonances of a batch, in order of their events."""

    rows: Int[np.ndarray, "r"]  # of the entries, last copies
    products: Int[np.ndarray, "r 4"]  # rows, -1 where there are fewer


def decays(
    entries: Entries,
    resonances: tuple[int, ...],
    between: tuple[int, ...] = BETWEEN,
) -> Decays:
    """Decays of the particles of these PDG codes, whatever their charge, through
    those `between`."""
    first, last = entries.daughters.T
    heavy = np.isin(np.abs(entries.pid), resonances)
    passed_on = np.zeros(len(heavy), bool)
    for daughter in (first, last):
        passed_on |= entries.pid[daughter] == entries.pid
    rows = np.flatnonzero(heavy & ~passed_on & (first >= 0))
    products = np.full((len(rows), 4), -1)
    products[:, 0], products[:, 2] = first[rows], last[rows]
    for column, daughter in ((0, first), (2, last)):
        row = last_copy(entries, daughter[rows])
        boson = np.isin(np.abs(entries.pid[row]), between)
        products[boson, column] = first[row[boson]]
        products[boson, column + 1] = last[row[boson]]
    return Decays(rows, products)


def last_copy(entries: Entries, rows: Int[np.ndarray, "r"]) -> Int[np.ndarray, "r"]:
    """The same particles after all that they radiated."""
    while True:
        first, last = entries.daughters[rows].T
        pid = entries.pid[rows]
        follows = [(d >= 0) & (entries.pid[d] == pid) for d in (first, last)]
        if not (follows[0] | follows[1]).any():
            return rows
        rows = np.where(follows[0], first, np.where(follows[1], last, rows))


class Matches(NamedTuple):
    """Jets that hold a resonance, its row, and the PDG codes of what it decays to."""

    jets: Int[np.ndarray, "m"]
    rows: Int[np.ndarray, "m"]
    kinds: Int[np.ndarray, "m 4"]  # without sign, 0 where there are fewer


def match(
    entries: Entries, found: Decays, jets: Clustered, quarks: int, leptons: int
) -> Matches:
    """Jets with all that is visible of a decay to so many quarks or gluons and
    leptons; of two resonances that fit a jet, the first."""
    products = found.products.copy()
    kind = np.abs(entries.pid[products])
    kind[products < 0] = 0
    lepton = np.isin(kind, (11, 13))
    products[lepton] = last_copy(entries, products[lepton])
    quark = np.isin(kind, (1, 2, 3, 4, 5, 21))
    wanted = (quark.sum(1) == quarks) & (lepton.sum(1) == leptons)
    rows, products, seen = (
        found.rows[wanted],
        products[wanted],
        (quark | lepton)[wanted],
    )
    event = entries.event[rows]
    eta, phi = direction(entries, products)

    taken = np.full(len(jets.event), -1)
    begin = np.searchsorted(event, jets.event)
    end = np.searchsorted(event, jets.event, side="right")
    for offset in range(max(end - begin, default=0)):
        candidate = np.minimum(begin + offset, len(rows) - 1)
        near = distance(jets.eta, jets.phi, eta[candidate], phi[candidate]) < RADIUS
        holds = (near | ~seen[candidate]).all(1) & (begin + offset < end)
        taken = np.where(holds & (taken < 0), candidate, taken)
    matched = np.flatnonzero(taken >= 0)
    which = taken[matched]
    return Matches(matched, rows[which], kind[wanted][which])


def codes(name: str, kinds: Int[np.ndarray, "m 4"]) -> Int[np.ndarray, "m"]:
    """What JetClass's `aux_truth_match` says of jets of a class by their decays."""
    fixed = {"QCD": 50, "Hbb": 41, "Hcc": 42, "Hgg": 44, "H4q": 45, "Hqql": 46}
    if name in fixed:
        return np.full(len(kinds), fixed[name])
    heaviest = np.where(kinds <= 5, kinds, 0).max(1)
    if name == "Zqq":
        return np.select([heaviest == 5, heaviest == 4], [31, 32], 33)
    if name == "Wqq":
        return np.where(heaviest >= 4, 21, 22)
    if name == "Tbl":
        return np.where((kinds == 11).any(1), 15, 16)
    quarks = np.sort(np.where(kinds <= 5, kinds, 0), axis=1)  # of Tbqq: b the last
    return np.where(quarks[:, -2] >= 4, 11, 12)


def direction(
    entries: Entries, rows: Int[np.ndarray, "*r"]
) -> tuple[Float[np.ndarray, "*r"], Float[np.ndarray, "*r"]]:
    """eta and phi."""
    px, py, pz = np.moveaxis(entries.momentum[rows], -1, 0)
    pt = np.maximum(np.hypot(px, py), 1e-9)
    return np.arcsinh(pz / pt), np.arctan2(py, px)


def distance(
    eta: Float[np.ndarray, "b"],
    phi: Float[np.ndarray, "b"],
    etas: Float[np.ndarray, "b k"],
    phis: Float[np.ndarray, "b k"],
) -> Float[np.ndarray, "b k"]:
    """Of several directions to that of each jet."""
    turn = (phis - phi[:, None] + np.pi) % (2 * np.pi) - np.pi
    return np.hypot(etas - eta[:, None], turn)
