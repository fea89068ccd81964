"""QCD jets by the flavour of the hardest parton in them.

JetClass-II (arXiv:2405.12972) names QCD jets after all heavy quarks they hold; here
QCD_b, QCD_c, QCD_s and QCD_light say which outgoing parton of the hard process lies
within R = 0.8 of the jet, the hardest of them where there are two. A jet with none,
from radiation alone, has no class.
"""

SETTINGS = ("HardQCD:all = on",)

FLAVOURS = {
    "QCD_b": (5,),
    "QCD_c": (4,),
    "QCD_s": (3,),
    "QCD_light": (1, 2, 21),
}
"""PDG codes by name: gluons are light."""

PARTONS = (1, 2, 3, 4, 5, 21)
