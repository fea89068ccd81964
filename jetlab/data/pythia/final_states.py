"""What a jet holds of a resonance, as the names of JetClass-II spell it.

The prongs of X_YY_bcev are a b, a c and an electron that has a neutrino for sibling:
what is not seen is no prong, but it is told of the lepton beside it.
"""

import re

import numpy as np
from jaxtyping import Int

from jetlab.data.jetclass.labels import JETCLASS2

PRONGS = (
    *("b", "c", "s", "q", "g", "e", "m", "tauh", "taue", "taum"),
    *("ev", "mv", "tauhv", "tauev", "taumv"),
)
"""In the order of their numbers; those of index 10 and more have a neutrino beside
them."""

WITH_NEUTRINO = 10 - PRONGS.index("e")
"""From the number of a lepton to that of the same with a neutrino beside it."""

_PRONG = re.compile("tau[hem]v?|[em]v?|[bcsqg]")


def prongs(name: str) -> tuple[int, ...]:
    """Numbers of the prongs in a name like X_bb or X_YY_bbq, in rising order."""
    spelled = name.rsplit("_", 1)[1]
    found = _PRONG.findall(spelled)
    if "".join(found) != spelled:
        raise ValueError(f"{name}: no prongs spell {spelled!r}")
    return tuple(sorted(map(PRONGS.index, found)))


WEIGHTS: Int[np.ndarray, "prongs"] = 5 ** np.arange(len(PRONGS))
"""A content as one number: how often it has each prong, a digit each."""


def key(content: tuple[int, ...]) -> int:
    """The content as a number."""
    return int(WEIGHTS[list(content)].sum())


def coarse(content: tuple[int, ...]) -> tuple[str, ...]:
    """What can be told of it before tau leptons decay, in alphabetical order."""
    return tuple(sorted(re.sub("tau[hem]", "tau", PRONGS[n]) for n in content))


RESONANT = {name: prongs(name) for name in JETCLASS2 if name.startswith("X_")}
"""Contents by name."""
