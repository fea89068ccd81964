"""Pythia settings of the JetClass classes and of QCD jets by flavour.

pp at 13 TeV, default tune, hard processes of 430 < pT < 1300 GeV. JetClass
(arXiv:2202.03772) takes its hard processes from MadGraph: one resonance recoiling
against a Z to neutrinos. Here both sides of an event belong to the class where Pythia
allows it, which halves the cost: Higgs bosons are made by q qbar -> Z* -> h A with A
given the mass, width, parity and decays of h; W and Z bosons and tops in pairs.
"""

from dataclasses import dataclass

from jetlab.types import CLASSES

Subprocesses = tuple[tuple[float, tuple[str, ...]], ...]
"""(fraction of the class's jets, Pythia settings) of each subprocess."""

COMMON_SETTINGS = (
    "Print:quiet = on",
    "Beams:eCM = 13000",
    "PhaseSpace:pTHatMin = 430",
    "PhaseSpace:pTHatMax = 1300",
    "Random:setSeed = on",
)

WEAK_BOSONS = (23, 24)
"""PDG codes of intermediate bosons between a resonance and its final state."""

QUARKS_AND_GLUON = (1, 2, 3, 4, 5, 21)

LIGHT_LEPTONS = (11, 13)

NEUTRINOS = (12, 14, 16)


@dataclass(frozen=True, kw_only=True)
class Process:
    """How jets of one JetClass class are generated and which decay they contain.

    Attributes:
      subprocesses: fraction of the jets and Pythia settings of each subprocess.
      resonances: PDG codes of the decaying particle, without sign; empty for QCD.
      quarks: number of quarks and gluons in its final state.
      leptons: number of electrons and muons in its final state.
    """

    subprocesses: Subprocesses
    resonances: tuple[int, ...] = ()
    quarks: int = 0
    leptons: int = 0


HA_PRODUCTION = (
    "Higgs:useBSM = on",
    "HiggsBSM:ffbar2A3H1 = on",
    "HiggsA3:parity = 1",
)
"""q qbar -> Z* -> h A with a CP-even A."""

_HADRONIC = "1 2 3 4 5"
_Z_AND_JET = (
    "WeakBosonAndParton:qqbar2gmZg = on",
    "WeakBosonAndParton:qg2gmZq = on",
    "WeakZ0:gmZmode = 2",
    "23:onMode = off",
    "23:onIfAny = 12 14 16",
)
_DIJETS = ("HardQCD:qg2qg = on", "HardQCD:qq2qq = on")
_Z_PAIR = (
    "WeakDoubleBoson:ffbar2gmZgmZ = on",
    "WeakZ0:gmZmode = 2",
    "23:onMode = off",
    f"23:onIfAny = {_HADRONIC}",
)


def _w_decays(codes: str) -> tuple[str, ...]:
    return ("24:onMode = off", f"24:onIfAny = {codes}")


def _higgs_pair(*products: int) -> tuple[str, ...]:
    """h and A, both CP-even with m = 125 GeV and width 4.07 MeV, decaying to `products`
    (PDG codes) only."""
    pair = " ".join(map(str, products))
    settings = HA_PRODUCTION
    for code in (25, 36):
        settings += (
            f"{code}:m0 = 125",
            f"{code}:doForceWidth = on",
            f"{code}:mWidth = 0.00407",
            f"{code}:oneChannel = 1 1.0 100 {pair}",
        )
    return settings


def _higgs(*settings: str, quarks: int = 2, leptons: int = 0) -> Process:
    return Process(
        subprocesses=((1.0, settings),),
        resonances=(25, 36),
        quarks=quarks,
        leptons=leptons,
    )


def _top(w_products: str, *, quarks: int, leptons: int) -> Process:
    pairs = ("Top:gg2ttbar = on", "Top:qqbar2ttbar = on")
    return Process(
        subprocesses=((1.0, (*pairs, *_w_decays(w_products))),),
        resonances=(6,),
        quarks=quarks,
        leptons=leptons,
    )


PROCESSES: dict[str, Process] = {
    "QCD": Process(subprocesses=((1 / 3, _Z_AND_JET), (2 / 3, _DIJETS))),
    "Hbb": _higgs(*_higgs_pair(5, -5)),
    "Hcc": _higgs(*_higgs_pair(4, -4)),
    "Hgg": _higgs(*_higgs_pair(21, 21)),
    "H4q": _higgs(*_higgs_pair(24, -24), *_w_decays(_HADRONIC), quarks=4),
    "Hqql": _higgs(*_higgs_pair(24, -24), *_w_decays(f"{_HADRONIC} 11 13"), leptons=1),
    "Zqq": Process(subprocesses=((1.0, _Z_PAIR),), resonances=(23,), quarks=2),
    "Wqq": Process(
        subprocesses=((1.0, ("WeakDoubleBoson:ffbar2WW = on", *_w_decays(_HADRONIC))),),
        resonances=(24,),
        quarks=2,
    ),
    "Tbqq": _top(_HADRONIC, quarks=3, leptons=0),
    "Tbl": _top("11 13", quarks=1, leptons=1),
}
"""By class, in label order. The QCD mixture was chosen to match JetClass's mean
multiplicity: jets from Z + jet events alone have fewer particles than JetClass's."""

assert tuple(PROCESSES) == CLASSES

FLAVOURS: dict[str, tuple[int, ...]] = {
    "QCD_b": (5,),
    "QCD_c": (4,),
    "QCD_s": (3,),
    "QCD_light": (1, 2, 21),
}
"""PDG codes of the parton that defines each flavour class.

The class of a QCD jet is the flavour of the hardest outgoing parton of the hard process
within R = 0.8 of the jet axis; gluons count as light, and a jet without such a parton
(from radiation alone) has no class. JetClass-II (arXiv:2405.12972) instead names QCD
jets after all heavy quarks in the jet.
"""

FLAVOUR_SUBPROCESSES: Subprocesses = ((1.0, ("HardQCD:all = on",)),)
