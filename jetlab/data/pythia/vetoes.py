"""Events that can give no jet of a class of JetClass-II, told before they are showered.

Of jets made without this test, 1 of 169 that hold three of four prongs failed it, and
none of 1,170 that hold four or of 456 that hold two.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pythia8mc

from jetlab.data.pythia.final_states import RESONANT, coarse
from jetlab.data.pythia.flavours import FLAVOURS
from jetlab.data.pythia.generator_filter import distance
from jetlab.data.pythia.resonances import CHARGED_Y, NEUTRAL_Y, spelled

MIN_PT, MAX_ETA, MAX_SPREAD, MIN_APART = 400.0, 2.6, 1.1, 0.5
"""Of the prongs a jet is to hold: pT in GeV and |eta| of all together, distances from
these of the farthest, and of the nearest that it is not to hold."""

_NEUTRINOS = (12, 14, 16)


class Contents(pythia8mc.UserHooks):
    """Stops an event unless a jet may hold just the prongs of the class."""

    def __init__(self, name: str, resonances: tuple[int, ...]):
        super().__init__()
        self._content = coarse(RESONANT[name])
        self._resonances = resonances

    def canVetoProcessLevel(self) -> bool:
        return True

    def doVetoProcessLevel(self, process: Any) -> bool:
        resonances = (
            process[number]
            for number in range(process.size())
            if process[number].idAbs() in self._resonances
        )
        return not any(self._may_pass(process, particle) for particle in resonances)

    def _may_pass(self, process: Any, particle: Any) -> bool:
        names, products = zip(*_prongs(process, particle), strict=True)
        numbers = range(len(names))
        return any(
            tuple(sorted(names[n] for n in inside)) == self._content
            and _may_hold(
                [products[n] for n in inside],
                [products[n] for n in numbers if n not in inside],
            )
            for inside in combinations(numbers, len(self._content))
        )


class Flavours(pythia8mc.UserHooks):
    """Stops an event unless a parton of the class leaves its hard process."""

    def __init__(self, name: str):
        super().__init__()
        self._codes = FLAVOURS[name]

    def canVetoProcessLevel(self) -> bool:
        return True

    def doVetoProcessLevel(self, process: Any) -> bool:
        partons = (process[number] for number in range(process.size()))
        return not any(
            parton.status() == 23
            and parton.idAbs() in self._codes
            and abs(parton.eta()) < MAX_ETA
            for parton in partons
        )


def _prongs(process: Any, particle: Any) -> Iterator[tuple[str, Any]]:
    """What is visible of a decay, by name, through Y."""
    daughters = [
        process[number]
        for number in range(particle.daughter1(), particle.daughter2() + 1)
    ]
    beside = [
        daughter.idAbs() for daughter in daughters if daughter.idAbs() in _NEUTRINOS
    ]
    for daughter in daughters:
        if daughter.idAbs() in (NEUTRAL_Y, CHARGED_Y):
            yield from _prongs(process, daughter)
        elif daughter.idAbs() not in _NEUTRINOS:
            yield spelled([daughter.idAbs(), *beside])[0], daughter


def _may_hold(inside: Sequence[Any], beside: Sequence[Any]) -> bool:
    px, py, pz = (sum(getattr(p, n)() for p in inside) for n in ("px", "py", "pz"))
    pt = np.hypot(px, py)
    if pt < MIN_PT or abs(pz) > pt * np.sinh(MAX_ETA):
        return False
    eta, phi = np.arcsinh(pz / pt), np.arctan2(py, px)
    if max(distance(p, eta, phi) for p in inside) > MAX_SPREAD:
        return False
    return all(distance(p, eta, phi) > MIN_APART for p in beside)
