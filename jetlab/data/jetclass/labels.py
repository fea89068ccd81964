"""The 188 labels of JetClass-II by name (arXiv:2405.12972).

A resonance X decays to two prongs (X_bb), or via YY to three or four (X_YY_bbq). q is
a u or d quark, e and m are electron and muon, tauh, taue and taum tau leptons by decay
mode, v a neutrino. QCD jets are named after the heavy quarks that they contain. The
labels cannot be mapped onto the ten classes of JetClass: these depend on the resonance
(H, W, Z or top), JetClass-II's on the decay only.
"""

_PAIRS = "bb cc ss qq bc cs bq cq sq gg ee mm tauhtaue tauhtaum tauhtauh"

_WITH_PAIR = {
    "bb": "bb cc ss qq gg ee mm tauhtaue tauhtaum tauhtauh b c s q g e m",
    "cc": "cc ss qq gg ee mm tauhtaue tauhtaum tauhtauh b c s q g e m",
    "ss": "ss qq gg ee mm tauhtaue tauhtaum tauhtauh b c s q g e m",
    "qq": "qq gg ee mm tauhtaue tauhtaum tauhtauh b c s q g e m",
    "gg": "gg ee mm tauhtaue tauhtaum tauhtauh b c s q g e m",
}

_MIXED = "qqqb qqqc qqqs bbcq ccbs ccbq ccsq sscq qqbc qqbs qqcs bcsq bcs bcq bsq csq"

_QCD = (
    "bbccss bbccs bbcc bbcss bbcs bbc bbss bbs bb bccss bccs bcc bcss bcs bc bss bs b "
    "ccss ccs cc css cs c ss s light"
)


def _decays() -> list[str]:
    """Final states of X -> YY in the order of their labels."""
    pairs = [
        first + rest for first, rests in _WITH_PAIR.items() for rest in rests.split()
    ]
    leptons = ("ee", "mm", "tauhtaue", "tauhtaum", "tauhtauh")
    single = [quark + pair for pair in leptons for quark in "bcsqg"]
    charged = ("ev", "mv", "tauev", "taumv", "tauhv")
    semileptonic = [
        quarks + lepton
        for lepton in charged
        for quarks in ("bc", "cs", "bq", "cq", "sq", "qq")
    ]
    return pairs + single + _MIXED.split() + semileptonic


JETCLASS2 = (
    *(f"X_{pair}" for pair in _PAIRS.split()),
    *(f"X_YY_{decay}" for decay in _decays()),
    *(f"QCD_{quarks}" for quarks in _QCD.split()),
)
"""Class names in the order of `jet_label`, 0 to 187."""
