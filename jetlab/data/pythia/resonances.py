"""What Pythia is told for resonances of JetClass-II's classes (arXiv:2405.12972).

X decays to two prongs, or to a pair YY and so to four, of which a jet may hold three.
Channels and their shares are those of JetClass-II's public cards: X to two neutral or
two charged Y, as often; every class has open only what may give it.

Neutral X are made in pairs, q qbar -> Z* -> h A with A made equal to h, charged ones as
q qbar -> H+ H-. Widths beyond the limits of the masses spread them: m_X from 20 to 400
GeV, most often near 60 GeV and above falling about as 1 / m_X; m_Y from 12 GeV to what
X leaves, most below 60 GeV. Jets of 500 to 1000 GeV hold the heavy ones less often.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import combinations_with_replacement

from jetlab.data.pythia.final_states import RESONANT, coarse

MASSES = (20.0, 400.0)
"""Of X in GeV."""

Y_MASSES = (12.0, 200.0)

NEUTRAL_X, CHARGED_X, NEUTRAL_Y, CHARGED_Y = (25, 36), (37,), 35, 37

Pair = tuple[int, int]
Sources = tuple[tuple[float, tuple[str, ...]], ...]

_OF_NEUTRAL: dict[Pair, float] = {
    (5, -5): 0.125,
    (4, -4): 0.125,
    (3, -3): 0.125,
    (2, -2): 0.0625,
    (1, -1): 0.0625,
    (21, 21): 0.125,
    (11, -11): 0.0625,
    (13, -13): 0.0625,
    (15, -15): 0.25,
}
_QUARKS: tuple[Pair, ...] = ((-1, 2), (-3, 2), (-5, 2), (-1, 4), (-3, 4), (-5, 4))
_OF_CHARGED: dict[Pair, float] = {
    **dict.fromkeys(_QUARKS, 0.625 / 6),
    (-11, 12): 0.0625,
    (-13, 14): 0.0625,
    (-15, 16): 0.25,
}
_SPELLED = {
    1: "q",
    2: "q",
    3: "s",
    4: "c",
    5: "b",
    21: "g",
    11: "e",
    13: "m",
    15: "tau",
}


def sources(name: str) -> Sources:
    """Settings for a class, with the share of its jets that each gives."""
    content = coarse(RESONANT[name])
    if len(content) > 2:
        return ((1.0, _pairs_of_y(content)),)
    made = [
        settings(pairs)
        for settings, table in ((_neutral, _OF_NEUTRAL), (_charged, _OF_CHARGED))
        if (pairs := [pair for pair in table if spelled(pair) == content])
    ]
    return tuple((1 / len(made), settings) for settings in made)


def spelled(products: Iterable[int]) -> tuple[str, ...]:
    """The visible prongs among these PDG codes, all from one decay, before tau leptons
    decay; in alphabetical order."""
    codes = [abs(code) for code in products]
    beside = "v" if {12, 14, 16} & set(codes) else ""
    names = [_SPELLED[code] for code in codes if code in _SPELLED]
    return tuple(sorted(n + beside if n in ("e", "m", "tau") else n for n in names))


def _neutral(pairs: list[Pair]) -> tuple[str, ...]:
    return _two_neutral([(1.0, pair) for pair in pairs])


def _charged(pairs: list[Pair]) -> tuple[str, ...]:
    channels = [(1.0, pair) for pair in pairs]
    return (
        "Higgs:useBSM = on",
        "HiggsBSM:ffbar2H+H- = on",
        *_spread(37, 150, MASSES),
        *_decays(37, channels),
    )


def _pairs_of_y(content: tuple[str, ...]) -> tuple[str, ...]:
    """Y decay as on the cards, with only those channels open that may give this."""
    tables = {(37, -37): _OF_CHARGED, (35, 35): _OF_NEUTRAL}
    useful = {pair: set(_useful(table, content)) for pair, table in tables.items()}
    of_x = {pair for pair, channels in useful.items() if channels}
    settings = _two_neutral([(0.5, pair) for pair in tables], of_x)
    for pair, table in tables.items():
        channels = [(share, products) for products, share in table.items()]
        settings += _spread(pair[0], 50, Y_MASSES, 300)
        settings += _decays(pair[0], channels, useful[pair])
    return settings


def _useful(table: dict[Pair, float], content: tuple[str, ...]) -> Iterator[Pair]:
    for pairs in combinations_with_replacement(table, 2):
        if Counter(content) <= Counter(spelled(pairs[0]) + spelled(pairs[1])):
            yield from pairs


def _two_neutral(
    channels: list[tuple[float, Pair]], on: set[Pair] | None = None
) -> tuple[str, ...]:
    settings = ("Higgs:useBSM = on", "HiggsBSM:ffbar2A3H1 = on", "HiggsA3:parity = 1")
    for code in NEUTRAL_X:
        settings += _spread(code, 150, MASSES) + _decays(code, channels, on)
    return settings


def _spread(
    code: int, mass: float, limits: tuple[float, float], width: float = 1000
) -> tuple[str, ...]:
    low, high = limits
    return (
        f"{code}:m0 = {mass}",
        f"{code}:doForceWidth = on",
        f"{code}:mWidth = {width}",
        f"{code}:mMin = {low}",
        f"{code}:mMax = {high}",
    )


def _decays(
    code: int, channels: list[tuple[float, Pair]], on: set[Pair] | None = None
) -> tuple[str, ...]:
    """All channels, so that those not `on` keep their share of the decays."""
    return tuple(
        f"{code}:{'add' if number else 'one'}Channel = "
        f"{int(on is None or pair in on)} {share} 100 {pair[0]} {pair[1]}"
        for number, (share, pair) in enumerate(channels)
    )
