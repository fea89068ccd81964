"""Events that can give no jet of their class, told before they are showered.

What is left out can hardly pass: of about 1,500 jets of a class made without this test,
none of Hbb, Wqq or Tbqq failed it, 1 of 812 of Hqql, and 4 of 1,513 of Tbl, whose jets
may gain by radiation what their neutrino takes.
"""

import math
from collections.abc import Iterator
from typing import Any

import pythia8mc

from jetlab.data.pythia.processes import BETWEEN, Process

MIN_PT, MAX_ETA, MAX_SPREAD = 300.0, 3.0, 1.2
"""Of all that is visible of a decay: pT in GeV, |eta|, and distance of its parts."""


class Promise(pythia8mc.UserHooks):
    """Stops an event unless one of its hard decays may become a jet of the class."""

    def __init__(self, process: Process):
        super().__init__()
        self._process = process

    def canVetoProcessLevel(self) -> bool:
        return bool(self._process.resonances)

    def doVetoProcessLevel(self, process: Any) -> bool:
        return not any(map(self._may_pass, self._decays(process)))

    def _decays(self, process: Any) -> Iterator[list[Any]]:
        """Visible products of each resonance."""
        for number in range(process.size()):
            particle = process[number]
            if particle.idAbs() in self._process.resonances:
                yield list(_visible(process, particle))

    def _may_pass(self, products: list[Any]) -> bool:
        leptons = sum(p.idAbs() in (11, 13) for p in products)
        wanted = self._process.leptons, self._process.quarks
        if (leptons, len(products) - leptons) != wanted:
            return False
        px, py, pz = (
            sum(getattr(p, n)() for p in products) for n in ("px", "py", "pz")
        )
        pt = math.hypot(px, py)
        if pt < MIN_PT or abs(pz) > pt * math.sinh(MAX_ETA):
            return False
        eta, phi = math.asinh(pz / pt), math.atan2(py, px)
        return max(distance(p, eta, phi) for p in products) < MAX_SPREAD


def _visible(process: Any, particle: Any) -> Iterator[Any]:
    for number in range(particle.daughter1(), particle.daughter2() + 1):
        daughter = process[number]
        if daughter.idAbs() in BETWEEN:
            yield from _visible(process, daughter)
        elif daughter.idAbs() in (1, 2, 3, 4, 5, 11, 13, 21):
            yield daughter


def distance(particle: Any, eta: float, phi: float) -> float:
    """Of one of Pythia's particles to a direction."""
    turn = (particle.phi() - phi + math.pi) % (2 * math.pi) - math.pi
    return math.hypot(particle.eta() - eta, turn)
