"""What Pythia is told for each class of jets, and what a jet of the class holds.

13 TeV, default tune, hard processes of 430 < pT < 1300 GeV. JetClass
(arXiv:2202.03772) takes the hard processes of MadGraph: a resonance beside a Z that
goes to neutrinos. Here both sides of an event are of the class where that is possible,
which halves the cost: Higgs bosons come from q qbar -> Z* -> h A with an A made equal
to h, W bosons in pairs.
"""

from dataclasses import dataclass

from jetlab.types import CLASSES

COMMON = (
    "Print:quiet = on",
    "Beams:eCM = 13000",
    "PhaseSpace:pTHatMin = 430",
    "PhaseSpace:pTHatMax = 1300",
    "Random:setSeed = on",
)


BETWEEN = (23, 24)
"""Bosons between a resonance and what a jet holds of it."""


@dataclass(frozen=True, kw_only=True)
class Process:
    """Jets of one class.

    `sources` are Pythia's settings, with the share of the class's jets that each gives.
    A jet of the class holds a decay of one of the `resonances` (PDG codes; none for
    QCD) to so many `quarks`, gluons counted, and `leptons`, electrons or muons.
    """

    sources: tuple[tuple[float, tuple[str, ...]], ...]
    resonances: tuple[int, ...] = ()
    quarks: int = 0
    leptons: int = 0


_HADRONIC = "1 2 3 4 5"
_Z_AND_JET = (
    "WeakBosonAndParton:qqbar2gmZg = on",
    "WeakBosonAndParton:qg2gmZq = on",
    "WeakZ0:gmZmode = 2",
    "23:onMode = off",
    "23:onIfAny = 12 14 16",
)
_TWO_JETS = ("HardQCD:qg2qg = on", "HardQCD:qq2qq = on")
_TWO_Z = (
    "WeakDoubleBoson:ffbar2gmZgmZ = on",
    "WeakZ0:gmZmode = 2",
    "23:onMode = off",
    f"23:onIfAny = {_HADRONIC}",
)


def _w_to(codes: str) -> tuple[str, ...]:
    return ("24:onMode = off", f"24:onIfAny = {codes}")


def _two_higgs(*products: int) -> tuple[str, ...]:
    """h and A, both CP-even, of 125 GeV and 4.07 MeV, and decaying to these."""
    pair = " ".join(map(str, products))
    settings = ["Higgs:useBSM = on", "HiggsBSM:ffbar2A3H1 = on", "HiggsA3:parity = 1"]
    for code in (25, 36):
        settings += [
            f"{code}:m0 = 125",
            f"{code}:doForceWidth = on",
            f"{code}:mWidth = 0.00407",
            f"{code}:oneChannel = 1 1.0 100 {pair}",
        ]
    return tuple(settings)


def _higgs(*settings: str, quarks: int = 2, leptons: int = 0) -> Process:
    return Process(
        sources=((1.0, settings),),
        resonances=(25, 36),
        quarks=quarks,
        leptons=leptons,
    )


def _top(w_to: str, *, quarks: int, leptons: int) -> Process:
    settings = ("Top:gg2ttbar = on", "Top:qqbar2ttbar = on", *_w_to(w_to))
    return Process(
        sources=((1.0, settings),), resonances=(6,), quarks=quarks, leptons=leptons
    )


PROCESSES: dict[str, Process] = {
    "QCD": Process(sources=((1 / 3, _Z_AND_JET), (2 / 3, _TWO_JETS))),
    "Hbb": _higgs(*_two_higgs(5, -5)),
    "Hcc": _higgs(*_two_higgs(4, -4)),
    "Hgg": _higgs(*_two_higgs(21, 21)),
    "H4q": _higgs(*_two_higgs(24, -24), *_w_to(_HADRONIC), quarks=4),
    "Hqql": _higgs(*_two_higgs(24, -24), *_w_to(f"{_HADRONIC} 11 13"), leptons=1),
    "Zqq": Process(sources=((1.0, _TWO_Z),), resonances=(23,), quarks=2),
    "Wqq": Process(
        sources=((1.0, ("WeakDoubleBoson:ffbar2WW = on", *_w_to(_HADRONIC))),),
        resonances=(24,),
        quarks=2,
    ),
    "Tbqq": _top(_HADRONIC, quarks=3, leptons=0),
    "Tbl": _top("11 13", quarks=1, leptons=1),
}
"""In the order of the labels. The QCD mixture was chosen after seeing JetClass's mean
multiplicity: jets beside a Z alone hold fewer particles than JetClass's Z + jets."""

assert tuple(PROCESSES) == CLASSES
