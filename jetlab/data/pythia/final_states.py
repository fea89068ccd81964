"""Final states of JetClass-II resonances, parsed from the names of their classes.

A final state is a multiset of prongs. X_YY_bcev has the prongs b, c and "ev", an
electron with a neutrino as sibling: neutrinos are invisible and no prongs themselves,
but mark the lepton beside them.
"""

import re
from collections.abc import Iterable

import numpy as np
from jaxtyping import Int

from jetlab.data.jetclass.labels import JETCLASS2
from jetlab.data.pythia.processes import NEUTRINOS

PRONGS = (
    *("b", "c", "s", "q", "g", "e", "m", "tauh", "taue", "taum"),
    *("ev", "mv", "tauhv", "tauev", "taumv"),
)
"""Names of the prongs by number. Numbers 10 and above are leptons with a sibling
neutrino."""

NEUTRINO_OFFSET = 10 - PRONGS.index("e")
"""Number of a lepton with a sibling neutrino, less that of the lepton alone."""

PDG_PRONGS = {
    **{1: "q", 2: "q", 3: "s", 4: "c", 5: "b", 21: "g"},
    **{11: "e", 13: "m", 15: "tau"},
}
"""Prong of each PDG code, without sign; tau leptons before their decay."""

_PRONG = re.compile("tau[hem]v?|[em]v?|[bcsqg]")


def parse_final_state(name: str) -> tuple[int, ...]:
    """Prong numbers, in rising order, of a class such as X_bb or X_YY_bbq.

    Raises:
      ValueError: if the name does not end in prongs.
    """
    text = name.rsplit("_", 1)[1]
    found = _PRONG.findall(text)
    if "".join(found) != text:
        raise ValueError(f"{name}: {text!r} is not a sequence of prongs")
    return tuple(sorted(map(PRONGS.index, found)))


FINAL_STATES = {
    name: parse_final_state(name) for name in JETCLASS2 if name.startswith("X_")
}
"""Prong numbers by class."""

PRONG_CODES: Int[np.ndarray, "prongs"] = 5 ** np.arange(len(PRONGS))
"""Code of each prong; the code of a final state is their sum, which counts up to four
prongs of each kind in base 5."""


def final_state_code(prongs: tuple[int, ...]) -> int:
    """The final state as one integer."""
    return int(PRONG_CODES[list(prongs)].sum())


def before_tau_decay(prongs: tuple[int, ...]) -> tuple[str, ...]:
    """Prong names in alphabetical order, with every tau lepton as "tau"."""
    return tuple(sorted(re.sub("tau[hem]", "tau", PRONGS[n]) for n in prongs))


def prong_names(pdg_codes: Iterable[int]) -> tuple[str, ...]:
    """Visible products of one decay in alphabetical order, tau leptons undecayed."""
    codes = [abs(code) for code in pdg_codes]
    suffix = "v" if set(NEUTRINOS) & set(codes) else ""
    names = [PDG_PRONGS[code] for code in codes if code in PDG_PRONGS]
    return tuple(sorted(n + suffix if n in ("e", "m", "tau") else n for n in names))
