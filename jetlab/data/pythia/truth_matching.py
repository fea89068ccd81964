"""Which prongs of a resonance X a jet holds: the label rule of JetClass-II.

Prongs are X's visible products or those of its Y: quarks and gluons as the decay leaves
them, leptons after they radiated, tau leptons in their direction before they decay.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from jetlab.data import ragged
from jetlab.data.pythia.events import Entries
from jetlab.data.pythia.final_states import PRONGS, WEIGHTS, WITH_NEUTRINO
from jetlab.data.pythia.jet_finding import RADIUS, Clustered
from jetlab.data.pythia.resonances import CHARGED_Y, NEUTRAL_Y
from jetlab.data.pythia.truth import decays, direction, distance, last_copy

_KINDS = {1: "q", 2: "q", 3: "s", 4: "c", 5: "b", 21: "g", 11: "e", 13: "m"}


class Prongs(NamedTuple):
    """Of every resonance X of a batch, in order of their events."""

    rows: Int[np.ndarray, "r"]  # of X, its last copy
    products: Int[np.ndarray, "r 4"]  # rows; -1 where there are fewer
    kinds: Int[np.ndarray, "r 4"]  # numbers in PRONGS; -1 for what is not seen


def find(entries: Entries, resonances: tuple[int, ...]) -> Prongs:
    """Prongs of the particles of these PDG codes, through Y where they decay to two."""
    found = decays(entries, resonances, between=(NEUTRAL_Y, CHARGED_Y))
    products = found.products.copy()
    code = np.abs(entries.pid[products])
    code[products < 0] = 0
    lepton = np.isin(code, (11, 13, 15))
    products[lepton] = last_copy(entries, products[lepton])

    kinds = np.full(code.shape, -1)
    for pid, name in _KINDS.items():
        kinds[code == pid] = PRONGS.index(name)
    tau = code == 15
    kinds[tau] = _taus(entries, products[tau])
    beside = np.isin(code, (12, 14, 16))[:, [1, 0, 3, 2]]
    kinds[lepton & beside] += WITH_NEUTRINO
    return Prongs(found.rows, products, kinds)


def _taus(entries: Entries, rows: Int[np.ndarray, "t"]) -> Int[np.ndarray, "t"]:
    """Tau leptons by their decay: to an electron, to a muon, or else to hadrons."""
    first, last = entries.daughters[rows].T
    counts = np.where(first >= 0, last - first + 1, 0)
    owner = np.repeat(np.arange(len(rows)), counts)
    code = np.abs(entries.pid[ragged.rows(first, counts)])
    kinds = np.full(len(rows), PRONGS.index("tauh"))
    kinds[owner[code == 11]] = PRONGS.index("taue")
    kinds[owner[code == 13]] = PRONGS.index("taum")
    return kinds


class Held(NamedTuple):
    """Jets beside the resonances of their event."""

    jets: Int[np.ndarray, "h"]
    rows: Int[np.ndarray, "h"]  # of the resonance
    keys: Int[np.ndarray, "h"]  # of the content: the prongs of it inside the jet


def hold(entries: Entries, found: Prongs, jets: Clustered) -> Held:
    """What each jet holds of every resonance of its event."""
    event = entries.event[found.rows]
    begin = np.searchsorted(event, jets.event)
    counts = np.searchsorted(event, jets.event, side="right") - begin
    jet = np.repeat(np.arange(len(jets.event)), counts)
    which = ragged.rows(begin, counts)
    etas, phis = direction(entries, found.products[which])
    kinds = found.kinds[which]
    near = distance(jets.eta[jet], jets.phi[jet], etas, phis) < RADIUS
    keys = (WEIGHTS[kinds] * (near & (kinds >= 0))).sum(axis=1)
    return Held(jet, found.rows[which], keys)
