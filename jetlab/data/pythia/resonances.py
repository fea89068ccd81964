"""Pythia settings of the JetClass-II resonances (arXiv:2405.12972).

X decays to two prongs, or to a pair YY and so to four prongs, of which a jet may
contain three. Decay channels and branching fractions are those of JetClass-II's public
cards: X decays to two neutral or two charged Y with equal probability. For each class
only the channels that can contribute are open.

Neutral X are made in pairs, q qbar -> Z* -> h A with A given the properties of h;
charged X as q qbar -> H+ H-. Breit-Wigner widths larger than the mass ranges spread the
masses: m_X from 20 to 400 GeV, with a maximum near 60 GeV and about 1 / m_X above; m_Y
from 12 GeV to the kinematic limit, mostly below 60 GeV. The decay products of a heavy X
fit less often in a jet of 500 to 1000 GeV.
"""

from collections import Counter
from collections.abc import Iterator
from itertools import combinations_with_replacement

from jetlab.data.pythia.final_states import (
    FINAL_STATES,
    before_tau_decay,
    prong_names,
)
from jetlab.data.pythia.processes import HA_PRODUCTION, Subprocesses

X_MASSES = (20.0, 400.0)
"""Range of m_X in GeV."""

Y_MASSES = (12.0, 200.0)
"""Range of m_Y in GeV."""

NEUTRAL_X, CHARGED_X, NEUTRAL_Y, CHARGED_Y = (25, 36), (37,), 35, 37
"""PDG codes, without sign."""

Channel = tuple[int, int]
Branching = dict[Channel, float]
"""Branching fraction by decay products (PDG codes)."""

_NEUTRAL_CHANNELS: Branching = {
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
_QUARK_PAIRS: tuple[Channel, ...] = (
    (-1, 2),
    (-3, 2),
    (-5, 2),
    (-1, 4),
    (-3, 4),
    (-5, 4),
)
_CHARGED_CHANNELS: Branching = {
    **dict.fromkeys(_QUARK_PAIRS, 0.625 / 6),
    (-11, 12): 0.0625,
    (-13, 14): 0.0625,
    (-15, 16): 0.25,
}


def subprocesses(name: str) -> Subprocesses:
    """Fraction of the jets of a class and Pythia settings of each of its subprocesses:
    neutral X, charged X or both."""
    prongs = before_tau_decay(FINAL_STATES[name])
    if len(prongs) > 2:
        return ((1.0, _yy_settings(prongs)),)
    settings = [
        produce(dict.fromkeys(channels, 1.0))
        for produce, branching in (
            (_neutral_x, _NEUTRAL_CHANNELS),
            (_charged_x, _CHARGED_CHANNELS),
        )
        if (channels := [pair for pair in branching if prong_names(pair) == prongs])
    ]
    return tuple((1 / len(settings), each) for each in settings)


def _neutral_x(
    branching: Branching, open_channels: set[Channel] | None = None
) -> tuple[str, ...]:
    settings = HA_PRODUCTION
    for code in NEUTRAL_X:
        settings += _mass_range(code, 150, X_MASSES)
        settings += _decay_table(code, branching, open_channels)
    return settings


def _charged_x(branching: Branching) -> tuple[str, ...]:
    return (
        "Higgs:useBSM = on",
        "HiggsBSM:ffbar2H+H- = on",
        *_mass_range(37, 150, X_MASSES),
        *_decay_table(37, branching),
    )


def _yy_settings(prongs: tuple[str, ...]) -> tuple[str, ...]:
    """X to YY with only the channels of X and Y open that can give these prongs."""
    tables = {(37, -37): _CHARGED_CHANNELS, (35, 35): _NEUTRAL_CHANNELS}
    useful = {pair: set(_contributing(table, prongs)) for pair, table in tables.items()}
    open_pairs = {pair for pair, channels in useful.items() if channels}
    settings = _neutral_x(dict.fromkeys(tables, 0.5), open_pairs)
    for pair, branching in tables.items():
        settings += _mass_range(pair[0], 50, Y_MASSES, 300)
        settings += _decay_table(pair[0], branching, useful[pair])
    return settings


def _contributing(branching: Branching, prongs: tuple[str, ...]) -> Iterator[Channel]:
    """Channels of Y of which a pair contains the prongs."""
    for pairs in combinations_with_replacement(branching, 2):
        if Counter(prongs) <= Counter(prong_names(pairs[0]) + prong_names(pairs[1])):
            yield from pairs


def _mass_range(
    code: int, mass: float, limits: tuple[float, float], width: float = 1000
) -> tuple[str, ...]:
    """Breit-Wigner of this mass and width within the limits, all in GeV."""
    low, high = limits
    return (
        f"{code}:m0 = {mass}",
        f"{code}:doForceWidth = on",
        f"{code}:mWidth = {width}",
        f"{code}:mMin = {low}",
        f"{code}:mMax = {high}",
    )


def _decay_table(
    code: int, branching: Branching, open_channels: set[Channel] | None = None
) -> tuple[str, ...]:
    """All channels with their branching fractions; all are open by default."""
    return tuple(
        f"{code}:{'add' if number else 'one'}Channel = "
        f"{int(open_channels is None or pair in open_channels)} {fraction} 100 "
        f"{pair[0]} {pair[1]}"
        for number, (pair, fraction) in enumerate(branching.items())
    )
