"""Generator settings, generator filters on both sides of every cut, and vertices."""

import numpy as np
import pytest

pytest.importorskip("pythia8mc")

import pythia8mc

from jetlab.data.pythia import resonances
from jetlab.data.pythia.final_states import FINAL_STATES
from jetlab.data.pythia.generator import Generator
from jetlab.data.pythia.generator_filter import (
    FinalStateFilter,
    FlavourFilter,
    PartonLevelFilter,
)
from jetlab.data.pythia.processes import COMMON_SETTINGS, PROCESSES
from jetlab.data.pythia.resonances import subprocesses
from tests.data.pythia_events import Particle

SYSTEM = Particle(90, state=-11)


def test_fractions_of_the_subprocesses_add_up():
    assert [fraction for fraction, _ in PROCESSES["QCD"].subprocesses] == [1 / 3, 2 / 3]
    for process in PROCESSES.values():
        assert sum(fraction for fraction, _ in process.subprocesses) == 1
    assert [fraction for fraction, _ in subprocesses("X_qq")] == [0.5, 0.5]
    assert [fraction for fraction, _ in subprocesses("X_bb")] == [1]


def test_branching_fractions_of_the_resonances_add_up():
    for table in (resonances._NEUTRAL_CHANNELS, resonances._CHARGED_CHANNELS):
        assert sum(table.values()) == pytest.approx(1, rel=1e-12)


def test_only_channels_that_can_give_a_class_are_open():
    ((_, settings),) = subprocesses("X_YY_bbm")
    is_open = [line for line in settings if "Channel = 1" in line and line[:2] != "36"]
    assert [line.split(" 100 ")[1] for line in is_open] == ["35 35", "5 -5", "13 -13"]
    assert "35:addChannel = 0 0.25 100 15 -15" in settings  # closed, with its fraction
    assert "25:oneChannel = 0 0.5 100 37 -37" in settings
    assert "25:addChannel = 1 0.5 100 35 35" in settings
    for name in FINAL_STATES:
        for _, settings in subprocesses(name):
            assert any("Channel = 1" in line for line in settings), name


def test_masses_of_the_resonances_are_limited():
    ((_, settings),) = subprocesses("X_YY_bbq")
    for code, low, high in ((25, 20, 400), (36, 20, 400), (35, 12, 200), (37, 12, 200)):
        assert f"{code}:mMin = {low}.0" in settings
        assert f"{code}:mMax = {high}.0" in settings


def test_settings_that_pythia_rejects_are_refused():
    with pytest.raises(ValueError, match="rejects the setting 'Higgs:no = on'"):
        Generator(FlavourFilter("QCD_b"), ("Higgs:no = on",), seed=1)


def pair(
    opening: float, total_pt: float, *, eta: float = 0.0, phi: float = 0.0
) -> list[Particle]:
    """A Higgs boson to two b quarks of equal pT, `opening` apart from their sum."""
    each = total_pt / 2 / np.cos(opening)
    quarks = [Particle(5, (0, 0), each, eta, phi + s * opening) for s in (-1, 1)]
    return [SYSTEM, Particle(25, (2, 3)), *quarks]


@pytest.mark.parametrize("phi", [0.0, 3.1])
@pytest.mark.parametrize(
    ("particles", "accepted"),
    [
        (dict(opening=0.5, total_pt=301), True),
        (dict(opening=0.5, total_pt=299), False),
        (dict(opening=1.19, total_pt=500), True),
        (dict(opening=1.21, total_pt=500), False),
        (dict(opening=0.01, total_pt=500, eta=2.99), True),
        (dict(opening=0.01, total_pt=500, eta=-2.99), True),
        (dict(opening=0.01, total_pt=500, eta=3.01), False),
        (dict(opening=0.01, total_pt=500, eta=-3.01), False),
    ],
)
def test_cuts_on_a_decay_of_jetclass(particles, accepted, phi):
    event = pair(**particles, phi=phi)
    assert PartonLevelFilter(PROCESSES["Hbb"]).accepts(event) is accepted


def test_the_parton_level_filter_requires_the_decay_of_its_class():
    event = pair(0.5, 500)
    assert PartonLevelFilter(PROCESSES["Hbb"]).accepts(event)
    assert not PartonLevelFilter(PROCESSES["Zqq"]).accepts(event)  # no Z
    assert not PartonLevelFilter(PROCESSES["Hqql"]).accepts(event)  # no lepton
    assert not PartonLevelFilter(PROCESSES["H4q"]).accepts(event)  # two quarks
    assert not PartonLevelFilter(PROCESSES["QCD"]).canVetoProcessLevel()
    assert PartonLevelFilter(PROCESSES["Zqq"]).canVetoProcessLevel()


def test_neutrinos_are_left_out_of_a_decay_and_bosons_are_followed():
    w_products = [
        Particle(1, (0, 0), 100.0, 0, 0.1),
        Particle(-2, (0, 0), 100.0, 0, -0.1),
        Particle(-11, (0, 0), 120.0, 0, 0.0),
        Particle(12, (0, 0), 500.0, 0, 3.0),
    ]
    event = [
        SYSTEM,
        Particle(25, (2, 3)),
        Particle(24, (4, 5)),
        Particle(-24, (6, 7)),
        *w_products,
    ]
    assert PartonLevelFilter(PROCESSES["Hqql"]).accepts(event)
    assert not PartonLevelFilter(PROCESSES["H4q"]).accepts(event)


def four_prongs(
    other: float, *, opening: float = 0.1, eta: float = 0.0, pt: float = 500
):
    """X to YY: b b q of summed pT `pt`, and one more q `other` from their sum."""
    each = pt / (1 + 2 * np.cos(opening))
    inside = [
        Particle(5, (0, 0), each, eta, 3.1 + opening),
        Particle(-5, (0, 0), each, eta, 3.1 - opening),
        Particle(1, (0, 0), each, eta, 3.1),
    ]
    return [
        SYSTEM,
        Particle(36, (2, 3)),
        Particle(35, (4, 5)),
        Particle(35, (6, 7)),
        *inside,
        Particle(-1, (0, 0), 50.0, eta, 3.1 + other),
    ]


@pytest.mark.parametrize(
    ("event", "accepted"),
    [
        (four_prongs(0.51), True),
        (four_prongs(0.49), False),
        (four_prongs(-0.49), False),
        (four_prongs(1.0, pt=401), True),
        (four_prongs(1.0, pt=399), False),
        (four_prongs(2.0, opening=1.09), True),
        (four_prongs(2.0, opening=1.11), False),
        (four_prongs(1.0, opening=0.01, eta=2.59), True),
        (four_prongs(1.0, opening=0.01, eta=-2.61), False),
    ],
)
def test_cuts_on_three_of_four_prongs(event, accepted):
    assert FinalStateFilter("X_YY_bbq", (25, 36)).accepts(event) is accepted


def test_the_final_state_filter_requires_the_prongs_of_its_class():
    event = four_prongs(0.6)
    assert FinalStateFilter("X_YY_bbqq", (25, 36)).accepts(event)
    assert not FinalStateFilter("X_YY_bbcc", (25, 36)).accepts(event)
    assert not FinalStateFilter("X_YY_bbq", (25,)).accepts(event)


def test_the_final_state_filter_tells_leptons_by_their_sibling_neutrino():
    event = [
        SYSTEM,
        Particle(25, (2, 3)),
        Particle(37, (4, 5)),
        Particle(-37, (6, 7)),
        Particle(-13, (0, 0), 200.0, 0, 0.0),
        Particle(14, (0, 0), 200.0, 0, 1.0),
        Particle(5, (0, 0), 200.0, 0, 0.1),
        Particle(-4, (0, 0), 200.0, 0, -0.1),
    ]
    assert FinalStateFilter("X_YY_bcmv", (25, 36)).accepts(event)
    assert not FinalStateFilter("X_YY_bcev", (25, 36)).accepts(event)


@pytest.mark.parametrize(
    ("parton", "accepted"),
    [
        (Particle(-5, pt_gev=500, pseudorapidity=2.59), True),
        (Particle(5, pt_gev=500, pseudorapidity=-2.61), False),
        (Particle(4, pt_gev=500), False),
        (Particle(5, pt_gev=500, state=-21), False),
    ],
)
def test_the_flavour_filter_requires_an_outgoing_parton(parton, accepted):
    event = [SYSTEM, parton, Particle(21, pt_gev=500)]
    assert FlavourFilter("QCD_b").accepts(event) is accepted
    assert FlavourFilter("QCD_light").accepts(event)


def test_vertices_are_those_of_single_events():
    """Only batches of pythia8mc 8.317 have them in the wrong rows."""
    process = PROCESSES["Zqq"]
    ((_, settings),) = process.subprocesses
    record = Generator(PartonLevelFilter(process), settings, seed=7).next_batch()
    alone = pythia8mc.Pythia("", False)
    for line in (*COMMON_SETTINGS, *settings, "Random:seed = 7"):
        assert alone.readString(line)
    hooks = PartonLevelFilter(process)
    alone.setUserHooksPtr(hooks)
    assert alone.init()
    assert alone.next()
    event = [alone.event[number] for number in range(alone.event.size())]
    rows = np.flatnonzero(record.event == 0)
    assert record.pid[rows].tolist() == [p.id() for p in event]
    expected = np.array([(p.xProd(), p.yProd(), p.zProd()) for p in event])
    final = record.status[rows] > 0
    assert np.abs(expected[final]).max() > 10  # mm
    np.testing.assert_allclose(
        record.vertex[rows][final], expected[final], rtol=1e-4, atol=1e-9
    )
    second = np.flatnonzero(record.event == 1)
    daughters = record.daughters[second]
    assert daughters[daughters >= 0].min() > second[0]  # rows of the batch
