"""Final states by class name; decays, partons and jets in event records written by
hand."""

from collections import Counter

import numpy as np
import pytest

pytest.importorskip("fastjet")
pytest.importorskip("pythia8mc")

from jetlab.data.jetclass.labels import JETCLASS2
from jetlab.data.pythia import generator
from jetlab.data.pythia.final_states import (
    FINAL_STATES,
    PRONGS,
    final_state_code,
    parse_final_state,
    prong_names,
)
from jetlab.data.pythia.generator import EventRecord, stable_particles
from jetlab.data.pythia.labels import labelling_scheme, truth_match_codes
from jetlab.data.pythia.processes import FLAVOURS, PROCESSES
from jetlab.data.pythia.truth_matching import (
    find_decays,
    find_prongs,
    match_decays,
    match_hardest_parton,
    match_prongs,
)
from tests.data.pythia_events import Row, event_record, jets_at

TURNS = pytest.mark.parametrize("turn", [0.0, np.pi, -2.9])
"""Turns of whole events: with pi, jets lie where azimuths wrap."""


@pytest.mark.parametrize(
    ("name", "prongs"),
    [
        ("X_bb", ["b", "b"]),
        ("X_tauhtaue", ["tauh", "taue"]),
        ("X_YY_bbq", ["b", "b", "q"]),
        ("X_YY_qqqb", ["b", "q", "q", "q"]),
        ("X_YY_ggtauhtaum", ["g", "g", "tauh", "taum"]),
        ("X_YY_bcev", ["b", "c", "ev"]),
        ("X_YY_qqtauhv", ["q", "q", "tauhv"]),
        ("X_YY_bbmm", ["b", "b", "m", "m"]),
    ],
)
def test_class_names_spell_final_states(name, prongs):
    assert [PRONGS[number] for number in FINAL_STATES[name]] == prongs


def test_a_name_without_prongs_is_refused():
    with pytest.raises(ValueError, match="X_YY_bz: 'bz' is not a sequence of prongs"):
        parse_final_state("X_YY_bz")


def test_final_states_are_unique():
    assert len(FINAL_STATES) == 161
    assert len({final_state_code(prongs) for prongs in FINAL_STATES.values()}) == 161
    sizes = Counter(
        (name.startswith("X_YY_"), len(prongs)) for name, prongs in FINAL_STATES.items()
    )
    assert sizes.keys() == {(False, 2), (True, 3), (True, 4)}
    assert final_state_code((0, 0, 3)) == 2 * 5**0 + 5**3


def test_neutrinos_mark_the_charged_lepton_beside_them():
    assert prong_names([-5, 4]) == ("b", "c")
    assert prong_names([1, -2]) == ("q", "q")
    assert prong_names([-13, 14]) == ("mv",)
    assert prong_names([15, -16]) == ("tauv",)
    assert prong_names([11, -11]) == ("e", "e")


TOP: tuple[Row, ...] = (
    (90, -1, -1, 0.0),
    (6, 2, 2, 2.0),  # recoils to
    (6, 3, 4, 0.0),  # its last copy, which decays
    (24, 5, 5, 0.1),
    (5, -1, -1, -0.5),
    (24, 6, 7, 0.1),
    (-1, -1, -1, 0.3),
    (4, -1, -1, 0.7),
)


@TURNS
def test_a_top_jet_contains_the_b_and_both_quarks_of_the_w(turn):
    record = event_record(*TOP, turn=turn)
    decays = find_decays(record, (6,))
    assert decays.rows.tolist() == [2]
    assert sorted(p for p in decays.products[0].tolist() if p >= 0) == [4, 6, 7]
    jets = jets_at(0.0, 0.25, 0.4, -0.2, turn=turn)
    matches = match_decays(record, jets, PROCESSES["Tbqq"])
    assert matches.jets.tolist() == [0, 1]
    assert matches.rows.tolist() == [2, 2]
    assert truth_match_codes("Tbqq", matches.products).tolist() == [11, 11]
    assert not len(match_decays(record, jets, PROCESSES["Tbl"]).jets)


def test_the_radius_holds_in_eta_too():
    record = event_record(
        (90, -1, -1, 0.0), (23, 2, 3, 0), (1, -1, -1, 0), (-1, 0, 0, 0)
    )
    for eta, matched in ((0.79, True), (-0.79, True), (0.81, False), (-0.81, False)):
        matches = match_decays(record, jets_at(0.0, eta=eta), PROCESSES["Zqq"])
        assert (len(matches.jets) == 1) is matched, eta


def test_the_first_of_two_decays_in_a_jet_and_of_its_own_event_is_matched():
    z: tuple[Row, ...] = ((23, 2, 3, 0.0), (1, -1, -1, 0.1), (-1, -1, -1, -0.1))
    other = tuple((pid, a + 3, b + 3, phi) for pid, a, b, phi in z)
    record = event_record((90, -1, -1, 0.0), *z, *other)
    jets = jets_at(0.0)
    assert match_decays(record, jets, PROCESSES["Zqq"]).rows.tolist() == [1]
    second = record._replace(event=np.array([0, 0, 0, 0, 1, 1, 1]))
    later = jets._replace(event=np.array([1]))
    assert match_decays(second, later, PROCESSES["Zqq"]).rows.tolist() == [4]
    none = jets._replace(event=np.array([2]))
    assert not len(match_decays(second, none, PROCESSES["Zqq"]).jets)


SEMILEPTONIC_HIGGS: tuple[Row, ...] = (
    (90, -1, -1, 0.0),
    (25, 2, 3, 0.0),
    (24, 4, 5, 0.1),
    (-24, 6, 7, -0.1),
    (-11, 8, 9, 1.2),
    (12, -1, -1, 3.0),
    (3, -1, -1, 0.1),
    (-4, -1, -1, -0.2),
    (-11, -1, -1, 0.5),
    (22, -1, -1, 1.3),
)


@TURNS
def test_leptons_count_after_radiation_and_neutrinos_do_not(turn):
    record = event_record(*SEMILEPTONIC_HIGGS, turn=turn)
    jets = jets_at(0.0, -0.4, turn=turn)
    matches = match_decays(record, jets, PROCESSES["Hqql"])
    assert (matches.jets.tolist(), matches.rows.tolist()) == ([0], [1])
    assert truth_match_codes("Hqql", matches.products).tolist() == [46]


def test_truth_match_codes_by_flavour():
    pid = np.array(
        [[5, 0, 5, 0], [4, 0, 4, 0], [1, 0, 1, 0], [3, 0, 4, 0], [1, 0, 2, 0]]
    )
    assert truth_match_codes("Zqq", pid[:3]).tolist() == [31, 32, 33]
    assert truth_match_codes("Wqq", pid[3:]).tolist() == [21, 22]
    leptonic = np.array([[11, 12, 5, 0], [13, 14, 5, 0]])
    assert truth_match_codes("Tbl", leptonic).tolist() == [15, 16]
    hadronic = np.array([[4, 3, 5, 0], [1, 2, 5, 0], [5, 0, 1, 4]])
    assert truth_match_codes("Tbqq", hadronic).tolist() == [11, 12, 11]
    names = ("QCD", "Hbb", "Hcc", "Hgg", "H4q", "Hqql")
    fixed = [truth_match_codes(name, pid[:1]).tolist() for name in names]
    assert fixed == [[50], [41], [42], [44], [45], [46]]


def test_labels_and_truth_of_jetclass_jets():
    record = event_record(*TOP)
    scheme = labelling_scheme("Tbqq")
    selected, columns = scheme.select_and_label(record, jets_at(2.0, 0.1))
    assert selected.tolist() == [1]
    assert columns["label_Tbqq"].tolist() == [1]
    assert sum(columns[name][0] for name in columns if name.startswith("label_")) == 1
    assert columns["aux_genpart_pid"].tolist() == [6]
    assert columns["aux_genpart_pt"] == pytest.approx(100)
    assert columns["aux_truth_match"].tolist() == [11]


def test_all_jets_of_qcd_events_are_qcd_jets():
    record = event_record((90, -1, -1, 0.0), (21, -1, -1, 0.0))
    scheme = labelling_scheme("QCD")
    selected, columns = scheme.select_and_label(record, jets_at(2.0, 0.1))
    assert selected.tolist() == [0, 1]
    assert columns["label_QCD"].tolist() == [1, 1]
    for name in ("eta", "phi", "pid", "pt"):
        assert columns[f"aux_genpart_{name}"].tolist() == [0, 0]


def classes_of(record: EventRecord, *phis: float, resonances=(25, 36), turn=0.0):
    """Classes of jets in these directions, for every pair of a jet and a resonance; two
    prongs of four have none."""
    through_y = bool(np.isin(np.abs(record.pid), (35, 37)).sum() == 2)
    prongs = find_prongs(record, resonances)
    matches = match_prongs(record, prongs, jets_at(*phis, turn=turn))
    names = {
        final_state_code(prongs): name
        for name, prongs in FINAL_STATES.items()
        if (len(prongs) > 2) is through_y
    }
    return [names.get(int(code), "none") for code in matches.codes]


@TURNS
def test_both_prongs_lie_in_the_jet_or_it_has_no_class(turn):
    rows = ((90, -1, -1, 0.0), (36, 2, 3, 0.0), (5, -1, -1, -0.5), (-5, -1, -1, 0.5))
    record = event_record(*rows, turn=turn)
    found = classes_of(record, 0.0, 0.25, 0.4, turn=turn)
    assert found == ["X_bb", "X_bb", "none"]


def test_a_charged_resonance_has_prongs_of_two_flavours():
    rows = ((90, -1, -1, 0.0), (-37, 2, 3, 0.0), (3, -1, -1, -0.1), (-4, -1, -1, 0.1))
    record = event_record(*rows)
    assert classes_of(record, 0.0, resonances=(37,)) == ["X_cs"]
    selected, columns = labelling_scheme("X_cs").select_and_label(record, jets_at(0.0))
    assert selected.tolist() == [0]
    assert columns["aux_genpart_pid"].tolist() == [-37]


FOUR: tuple[Row, ...] = (
    (90, -1, -1, 0.0),
    (25, 2, 2, 3.0),  # recoils to
    (25, 3, 4, 0.0),  # its last copy, which decays
    (35, 5, 6, 0.1),
    (35, 7, 8, -0.1),
    (5, -1, -1, 0.0),
    (-5, -1, -1, 0.5),
    (2, -1, -1, -0.5),
    (-2, -1, -1, 0.3),
)


@TURNS
def test_a_jet_contains_four_prongs_or_three(turn):
    record = event_record(*FOUR, turn=turn)
    expected = ["X_YY_bbqq", "X_YY_bbq", "X_YY_qqb", "none"]
    assert classes_of(record, 0.0, 0.35, -0.4, -0.6, turn=turn) == expected
    jets = jets_at(0.0, 0.35, -0.4, -0.6, turn=turn)
    for number, name in enumerate(("X_YY_bbqq", "X_YY_bbq", "X_YY_qqb")):
        scheme = labelling_scheme(name)
        selected, columns = scheme.select_and_label(record, jets)
        assert selected.tolist() == [number]
        assert columns["jet_label"].tolist() == [JETCLASS2.index(name)]
        assert columns["aux_genpart_pid"].tolist() == [25]
        assert columns["aux_genpart_mass"].tolist() == [80]


def test_a_jet_is_compared_with_every_resonance_of_its_event():
    both = event_record(
        (90, -1, -1, 0.0),
        (25, 3, 4, 0.0),
        (36, 5, 6, 3.0),
        (4, -1, -1, 0.1),
        (-4, -1, -1, -0.1),
        (21, -1, -1, 3.1),
        (21, -1, -1, 2.9),
    )
    assert classes_of(both, 0.0) == ["X_cc", "none"]
    assert classes_of(both, 3.0) == ["none", "X_gg"]
    for name, row in (("X_cc", 25), ("X_gg", 36)):
        scheme = labelling_scheme(name)
        selected, columns = scheme.select_and_label(both, jets_at(3.0, 0.0))
        assert selected.tolist() == [0 if name == "X_gg" else 1]
        assert columns["aux_genpart_pid"].tolist() == [row]


def test_a_lepton_with_a_sibling_neutrino_is_another_prong():
    semileptonic = event_record(
        (90, -1, -1, 0.0),
        (25, 2, 3, 0.0),
        (37, 4, 5, 0.1),
        (-37, 6, 7, -0.1),
        (-13, 8, 9, 1.2),  # radiates towards the jet
        (14, -1, -1, 3.0),  # invisible, and need not be inside
        (5, -1, -1, 0.1),
        (-4, -1, -1, -0.2),
        (-13, -1, -1, 0.5),
        (22, -1, -1, 1.3),
    )
    # at -0.4 the muon is outside, and b c alone is no class of YY
    assert classes_of(semileptonic, 0.0, -0.4) == ["X_YY_bcmv", "none"]


@pytest.mark.parametrize(
    ("first", "second", "name"),
    [
        ((16, -211, 111), (-16, -11, 12), "X_tauhtaue"),
        ((16, 13, -14), (-16, 211, 111), "X_tauhtaum"),
        ((16, -211, 111), (-16, 211, 111), "X_tauhtauh"),
        ((16, -211, 111), (-16, 12, -11), "X_tauhtaue"),
        ((16, -14, 13), (-16, 211, 111), "X_tauhtaum"),
        ((16, 13, -14), (-16, -11, 12), "none"),
    ],
)
def test_tau_leptons_by_their_decay_in_the_direction_before_it(first, second, name):
    products: list[Row] = [(code, -1, -1, 2.0) for code in (*first, *second)]
    record = event_record(
        (90, -1, -1, 0.0),
        (25, 2, 3, 0.0),
        (15, 4, 6, 0.2),
        (-15, 7, 9, -0.2),
        *products,
    )
    assert classes_of(record, 0.0) == [name]


def test_a_tau_lepton_of_a_charged_y_has_a_sibling_neutrino():
    leptonic = event_record(
        (90, -1, -1, 0.0),
        (25, 2, 3, 0.0),
        (37, 4, 5, 0.1),
        (-37, 6, 7, -0.1),
        (-15, 8, 10, 0.2),
        (16, -1, -1, 0.2),
        (1, -1, -1, 0.1),
        (-2, -1, -1, -0.2),
        (-16, -1, -1, 0.2),
        (211, -1, -1, 0.2),
        (111, -1, -1, 0.2),
    )
    assert classes_of(leptonic, 0.0) == ["X_YY_qqtauhv"]


@TURNS
def test_the_hardest_parton_in_a_jet_is_its_flavour(turn):
    rows = ((90, -1, -1, 0.0), (21, -1, -1, 0.3), (5, -1, -1, -0.6))
    record = event_record(*rows, turn=turn)
    record.momentum[2] *= 3
    jets = jets_at(0.0, 0.3, 2.0, turn=turn)
    matches = match_hardest_parton(record, jets)
    assert (matches.jets.tolist(), matches.rows.tolist()) == ([0, 1], [2, 1])
    selected = {
        name: labelling_scheme(name).select_and_label(record, jets).jets.tolist()
        for name in FLAVOURS
    }
    assert selected == {"QCD_b": [0], "QCD_c": [], "QCD_s": [], "QCD_light": [1]}


def test_only_outgoing_partons_of_the_hard_process_define_a_flavour():
    record = event_record((5, -1, -1, 0.0), (4, -1, -1, 0.0), (23, -1, -1, 0.0))
    record.status[:] = (-21, 23, -23)  # incoming, outgoing, a boson
    matches = match_hardest_parton(record, jets_at(0.0))
    assert matches.rows.tolist() == [1]
    record.status[1] = -33  # of a multiparton interaction
    assert not len(match_hardest_parton(record, jets_at(0.0)).jets)
    elsewhere = record._replace(event=np.array([1, 1, 1]), status=np.full(3, -23))
    assert not len(match_hardest_parton(elsewhere, jets_at(0.0)).jets)


def test_stable_particles_are_the_final_state_with_their_charge():
    pids = (
        -11,
        11,
        13,
        -13,
        211,
        -211,
        321,
        -321,
        2212,
        -2212,
        22,
        130,
        12,
        2112,
        3122,
    )
    record = event_record(*((pid, -1, -1, 0.0) for pid in pids))
    record.status[:] = 1
    record.status[-1] = -2  # decays
    particles = stable_particles(record)
    assert particles.pid.tolist() == [*pids[:-1]]
    charges = [1, -1, -1, 1, 1, -1, 1, -1, 1, -1, 0, 0, 0, 0]
    assert particles.charge.tolist() == charges


def test_production_vertices_add_up_along_the_ancestors():
    """A particle flies c tau p / m; its descendants start where it decays."""
    momentum = np.array([[0, 0, 5.0], [3.0, 0, 4.0], [0, 2.0, 0], [1.0, 1.0, 1.0]])
    mass, lifetime = np.array([0, 2.0, 4.0, 0.1]), np.array([0, 10.0, 6.0, 0.0])
    path = generator._flight_paths(momentum, mass, lifetime)
    np.testing.assert_allclose(path, [[0] * 3, [15, 0, 20], [0, 3, 0], [0] * 3])
    mothers = np.array([0, 0, 1, 2])
    vertex = generator._production_vertices(mothers, path)
    np.testing.assert_allclose(vertex, [[0] * 3, [0] * 3, [15, 0, 20], [15, 3, 20]])
