"""Classes of JetClass-II: their names, what jets hold, and that their jets are such."""

from collections import Counter

import numpy as np
import pytest

pytest.importorskip("fastjet")
pytest.importorskip("pythia8mc")

import awkward as ak

from jetlab.data.jetclass import reader
from jetlab.data.jetclass.convert import convert
from jetlab.data.jetclass.labels import JETCLASS2
from jetlab.data.pythia import jets, truth_matching
from jetlab.data.pythia.campaign import FINE, Block, Campaign
from jetlab.data.pythia.events import Entries
from jetlab.data.pythia.final_states import PRONGS, RESONANT, key
from jetlab.data.pythia.flavours import FLAVOURS
from jetlab.data.pythia.jet_finding import Clustered
from jetlab.data.pythia.labels import family
from jetlab.data.pythia.resonances import MASSES, sources
from jetlab.runs.simulation import simulate


def spelled(content):
    return [PRONGS[number] for number in content]


@pytest.mark.parametrize(
    ("name", "content"),
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
def test_names_spell_what_a_jet_holds(name, content):
    assert spelled(RESONANT[name]) == content


def test_all_names_of_resonances_differ_in_what_they_hold():
    assert len(RESONANT) == 161
    assert len({key(content) for content in RESONANT.values()}) == 161
    sizes = Counter(
        (name.startswith("X_YY_"), len(content)) for name, content in RESONANT.items()
    )
    assert sizes.keys() == {(False, 2), (True, 3), (True, 4)}


def test_only_the_channels_that_may_give_a_class_are_open():
    (one,) = sources("X_YY_bbm")
    is_on = [line for line in one[1] if "Channel = 1" in line and line[:2] != "36"]
    assert [line.split(" 100 ")[1] for line in is_on] == [
        "35 35",
        "5 -5",
        "13 -13",
    ]
    assert sum(share for share, _ in sources("X_qq")) == 1
    assert len(sources("X_qq")) == 2  # neutral and charged
    for name in RESONANT:
        for _, settings in sources(name):
            assert any("Channel = 1" in line for line in settings), name


def record(*rows: tuple[int, int, int, float]) -> Entries:
    """(PDG code, first and last daughter, phi) of the particles of one event."""
    count = len(rows)
    phi = np.array([row[3] for row in rows])
    return Entries(
        event=np.zeros(count, int),
        pid=np.array([row[0] for row in rows]),
        status=np.full(count, -23),
        daughters=np.array([row[1:3] for row in rows]),
        momentum=np.stack([100 * np.cos(phi), 100 * np.sin(phi), 0 * phi], 1),
        mass=np.full(count, 80.0),
        vertex=np.zeros((count, 3)),
    )


def jet_at(phi: float) -> Clustered:
    one = np.array([600.0])
    return Clustered(
        np.array([0]), one, 0 * one, 0 * one + phi, one, np.array([1]), np.array([0])
    )


def named(entries: Entries, phi: float, resonances=(25, 36)) -> list[str]:
    """Classes of a jet in this direction; two prongs of four are none."""
    through_y = bool(np.isin(np.abs(entries.pid), (35, 37)).sum() == 2)
    held = truth_matching.hold(
        entries, truth_matching.find(entries, resonances), jet_at(phi)
    )
    names = {
        key(content): name
        for name, content in RESONANT.items()
        if (len(content) > 2) is through_y
    }
    return [names.get(int(number), "none") for number in held.keys]


def test_two_prongs_lie_in_the_jet_or_it_has_no_class():
    pair = record(
        (90, -1, -1, 0.0), (36, 2, 3, 0.0), (5, -1, -1, -0.5), (-5, -1, -1, 0.5)
    )
    assert [named(pair, phi) for phi in (0.0, 0.25, 0.4)] == [
        ["X_bb"],
        ["X_bb"],
        ["none"],
    ]
    charged = record(
        (90, -1, -1, 0.0), (-37, 2, 3, 0.0), (3, -1, -1, -0.1), (-4, -1, -1, 0.1)
    )
    assert named(charged, 0.0, (37,)) == ["X_cs"]


FOUR = record(
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


@pytest.mark.parametrize(
    ("phi", "name"),
    [(0.0, "X_YY_bbqq"), (0.35, "X_YY_bbq"), (-0.4, "X_YY_qqb"), (-0.6, "none")],
)
def test_a_jet_holds_four_prongs_or_three(phi, name):
    assert named(FOUR, phi) == [name]


def test_a_jet_beside_two_resonances_is_judged_with_each():
    both = record(
        (90, -1, -1, 0.0),
        (25, 3, 4, 0.0),
        (36, 5, 6, 3.0),
        (4, -1, -1, 0.1),
        (-4, -1, -1, -0.1),
        (21, -1, -1, 3.1),
        (21, -1, -1, 2.9),
    )
    assert named(both, 0.0) == ["X_cc", "none"]
    assert named(both, 3.0) == ["none", "X_gg"]


def test_a_lepton_beside_a_neutrino_is_another_prong():
    semileptonic = record(
        (90, -1, -1, 0.0),
        (25, 2, 3, 0.0),
        (37, 4, 5, 0.1),
        (-37, 6, 7, -0.1),
        (-13, 8, 9, 1.2),  # radiates towards the jet
        (14, -1, -1, 3.0),  # is not seen and need not be inside
        (5, -1, -1, 0.1),
        (-4, -1, -1, -0.2),
        (-13, -1, -1, 0.5),
        (22, -1, -1, 1.3),
    )
    assert named(semileptonic, 0.0) == ["X_YY_bcmv"]
    assert named(semileptonic, -0.4) == ["none"]  # bc alone, of a YY


def taus(first: tuple[int, int, int], second: tuple[int, int, int]) -> Entries:
    """X to two tau leptons that decay to these."""
    rows = [(90, -1, -1, 0.0), (25, 2, 3, 0.0), (15, 4, 6, 0.2), (-15, 7, 9, -0.2)]
    return record(*rows, *((code, -1, -1, 2.0) for code in (*first, *second)))


@pytest.mark.parametrize(
    ("first", "second", "name"),
    [
        ((16, -211, 111), (-16, -11, 12), "X_tauhtaue"),
        ((16, 13, -14), (-16, 211, 111), "X_tauhtaum"),
        ((16, -211, 111), (-16, 211, 111), "X_tauhtauh"),
        ((16, 13, -14), (-16, -11, 12), "none"),
    ],
)
def test_tau_leptons_are_told_by_their_decay_and_lie_where_they_decay(
    first, second, name
):
    assert named(taus(first, second), 0.0) == [name]


def test_a_tau_of_a_charged_y_has_a_neutrino_beside_it():
    leptonic = record(
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
    assert named(leptonic, 0.0) == ["X_YY_qqtauhv"]


def test_the_hardest_parton_in_a_jet_is_its_flavour():
    partons = record((90, -1, -1, 0.0), (21, -1, -1, 0.3), (5, -1, -1, -0.6))
    partons.momentum[2] *= 3
    for phi, name in ((0.0, "QCD_b"), (0.3, "QCD_light"), (2.0, None)):
        told = {
            kind: family(kind).tell(partons, jet_at(phi)).jets.tolist()
            for kind in FLAVOURS
        }
        assert told == {kind: [0] if kind == name else [] for kind in FLAVOURS}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Files of 12 jets of some classes."""
    folder = tmp_path_factory.mktemp("families")
    paths = {}
    for name in ("X_bb", "X_YY_bbqq", "QCD_light"):
        block = Block(name=name, number=0, jets=12, seed=3)
        paths[name] = folder / block.file
        jets.make(block, paths[name])
    return paths


@pytest.mark.slow
def test_jets_have_the_label_and_the_mass_of_their_class(small):
    for name, path in small.items():
        step = ak.from_parquet(path)
        assert set(ak.to_list(step.jet_label)) == {JETCLASS2.index(name)}
        assert not any(field.startswith("label_") for field in step.fields)
        assert set(abs(ak.to_numpy(step.aux_genpart_pid)).tolist()) <= (
            {1, 2, 21} if name == "QCD_light" else {25, 36}
        )
        if name != "QCD_light":
            mass = ak.to_numpy(step.aux_genpart_mass)
            assert MASSES[0] < mass.min() < 80 < 100 < mass.max() < MASSES[1]


@pytest.mark.slow
def test_files_become_one_store_of_188_classes(small, tmp_path):
    content = convert(list(small.values()), tmp_path / "store")
    assert {k: n for k, n in content["classes"].items() if n} == dict.fromkeys(
        small, 12
    )
    (file,) = reader.survey([small["X_bb"]], skip_bad=False, skipped=Counter())
    assert file.classes == JETCLASS2


def test_campaigns_are_of_one_labelling():
    campaign = Campaign(jets=3000, classes=("X_bb", "QCD_b"), seed=1)
    assert [block.jets for block in campaign.blocks] == [1000, 1000, 500, 500]
    with pytest.raises(ValueError, match="Hbb is a class of JetClass and X_bb one of"):
        Campaign(jets=10, classes=("X_bb", "Hbb"))
    with pytest.raises(ValueError, match=r"X_YY_zz.*X_bb, \.\.\., X_YY_qqtauhv, QCD_b"):
        Campaign(jets=10, classes=("X_YY_zz",))
    with pytest.raises(ValueError, match="no class 'QCD_bb'"):
        Campaign(jets=10, classes=("QCD_bb",))


def test_no_two_blocks_of_all_classes_share_a_seed():
    blocks = [
        Block(name=name, number=number, jets=1, seed=1)
        for name in FINE
        for number in (0, 1, 1_999_999)
    ]
    seeds = [block.pythia_seed(source) for block in blocks for source in (0, 1)]
    assert len(set(seeds)) == len(seeds)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["X_cs", "X_tauhtaue", "X_YY_bbq", "X_YY_bcev"])
def test_jets_of_many_contents_are_made(name, tmp_path):
    campaign = Campaign(jets=20, classes=(name,), seed=2)
    written = simulate(campaign, tmp_path / "jets", form="root")
    assert written is not None
    assert written["classes"] == {name: 20}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["QCD_b", "QCD_c", "QCD_s"])
def test_jets_of_heavy_flavours_hold_them(name, tmp_path):
    block = Block(name=name, number=0, jets=20, seed=2)
    jets.make(block, tmp_path / block.file)
    pid = ak.to_numpy(ak.from_parquet(tmp_path / block.file).aux_genpart_pid)
    assert set(map(abs, pid.tolist())) == set(FLAVOURS[name])
