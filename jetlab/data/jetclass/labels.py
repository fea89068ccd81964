"""The 188 labels of JetClass-II by name (arXiv:2405.12972).

A resonance X decays to two prongs, X_bb, or through YY to three or four, X_YY_bbq;
q is u or d, e and m are electrons and muons, tauh, taue and taum tau leptons by their
decay, v a neutrino. QCD jets are named after the heavy quarks they hold. There is no
sound map onto the ten classes of JetClass, which are told apart by the resonance (H, W,
Z or top), where these are told apart by the decay alone.
"""

_PAIRS = "bb cc ss qq bc cs bq cq sq gg ee mm tauhtaue tauhtaum tauhtauh"

_BESIDE_PAIR = {
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
    """Final states of X to YY, in the order of their labels."""
    pairs = [
        first + rest for first, all_ in _BESIDE_PAIR.items() for rest in all_.split()
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
"""Names in the order of `jet_label`, 0 to 187."""
