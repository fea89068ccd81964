"""Blocks of jets: what their files hold, and that they depend on their name alone."""

from collections import Counter
from typing import Any

import numpy as np
import pytest

pytest.importorskip("fastjet")
pytest.importorskip("pythia8mc")

import awkward as ak
import pythia8mc

from jetlab.data.jetclass import reader
from jetlab.data.jetclass.decoding import FLAGS, JET, PARTICLE, TEN_LABELS
from jetlab.data.pythia import events, jets
from jetlab.data.pythia.campaign import BLOCK, Block, Campaign
from jetlab.data.pythia.generator_filter import Promise
from jetlab.data.pythia.processes import COMMON, PROCESSES
from jetlab.types import CLASSES


def made(folder, name="Zqq", number=0, count=40, seed=3):
    block = Block(name=name, number=number, jets=count, seed=seed)
    path = folder / block.file
    spent = jets.make(block, path)
    assert [p.name for p in folder.iterdir()] == [block.file]  # nothing beside it
    return path, spent


@pytest.fixture(scope="module")
def zqq(tmp_path_factory):
    return made(tmp_path_factory.mktemp("first"))


def test_a_block_has_the_branches_of_jetclass(zqq):
    path, spent = zqq
    step = ak.from_parquet(path)
    assert len(step) == 40
    aux = ("eta", "phi", "pid", "pt")
    others = ["jet_nparticles", "jet_sdmass", *(f"jet_tau{n}" for n in (1, 2, 3, 4))]
    others += ["aux_truth_match", *(f"aux_genpart_{name}" for name in aux)]
    assert set(step.fields) == {*PARTICLE, *JET, *TEN_LABELS, *others}
    assert (step.label_Zqq == 1).to_list() == [True] * 40
    assert sum(ak.sum(step[name]) for name in TEN_LABELS) == 40
    assert set(spent) == {"Pythia", "detector", "clustering", "matching", "writing"}


def test_jets_of_a_block_are_what_was_asked_for(zqq):
    step = ak.from_parquet(zqq[0])
    assert 500 < ak.min(step.jet_pt) < ak.max(step.jet_pt) < 1000
    assert ak.max(abs(step.jet_eta)) < 2
    assert set(ak.to_numpy(step.aux_genpart_pid)) == {23}
    assert set(ak.to_numpy(step.aux_truth_match)) <= {31, 32, 33}
    assert 75 < np.median(step.jet_sdmass) < 95  # near the Z
    assert ak.all(ak.num(step.part_px) == step.jet_nparticles)
    pt = np.hypot(step.part_px, step.part_py)
    assert ak.all(pt[:, 1:] <= pt[:, :-1])
    assert ak.max(np.hypot(step.part_deta, step.part_dphi)) < 1.5
    flags = sum(step[name] for name in FLAGS)
    assert ak.all(flags == 1)
    neutral = step.part_charge == 0
    assert ak.all(neutral == (step.part_isPhoton + step.part_isNeutralHadron == 1))
    for name in ("part_d0val", "part_d0err", "part_dzval", "part_dzerr"):
        assert ak.all(step[name][neutral] == 0)


def test_particles_sum_to_their_jet(zqq):
    step = ak.from_parquet(zqq[0])
    for axis, whole in (
        ("px", step.jet_pt * np.cos(step.jet_phi)),
        ("py", step.jet_pt * np.sin(step.jet_phi)),
        ("pz", step.jet_pt * np.sinh(step.jet_eta)),
        ("energy", step.jet_energy),
    ):
        summed = ak.to_numpy(ak.sum(step[f"part_{axis}"], axis=1))
        np.testing.assert_allclose(summed, whole, rtol=1e-4, atol=0.05)
    sign = np.where(step.jet_eta > 0, 1, -1)
    eta = np.arcsinh(step.part_pz / np.hypot(step.part_px, step.part_py))
    deta = ak.to_numpy(ak.flatten(sign * (eta - step.jet_eta)))
    np.testing.assert_allclose(ak.flatten(step.part_deta), deta, atol=2e-4)


def test_the_converter_reads_a_block_as_it_reads_jetclass(zqq):
    inputs = reader.survey([zqq[0]], skip_bad=False, skipped=Counter())
    (read,) = reader.read(inputs[0], skip_bad=False, skipped=Counter())
    assert (read.label == CLASSES.index("Zqq")).all()
    assert len(read.counts) == 40


def test_a_block_is_the_same_again_and_no_other(zqq, tmp_path):
    first = ak.from_parquet(zqq[0])
    changes: dict[str, dict[str, Any]] = {
        "again": {},
        "number": {"number": 1},
        "seed": {"seed": 4},
    }
    for folder, what in changes.items():
        (tmp_path / folder).mkdir()
        other = ak.from_parquet(made(tmp_path / folder, **what)[0])
        equal = ak.to_list(first.part_energy) == ak.to_list(other.part_energy)
        assert equal is (not what)
        shared = set(ak.to_list(first.jet_pt)) & set(ak.to_list(other.jet_pt))
        assert len(shared) == (0 if what else 40)


@pytest.mark.slow
@pytest.mark.parametrize("name", CLASSES)
def test_every_class_has_its_resonance(name, tmp_path):
    step = ak.from_parquet(made(tmp_path, name, count=60)[0])
    codes = set(map(abs, ak.to_numpy(step.aux_genpart_pid).astype(int)))
    assert codes <= ({*PROCESSES[name].resonances} or {0})
    assert ak.all(step[f"label_{name}"] == 1)


def test_a_campaign_has_as_many_jets_of_each_class_in_blocks():
    campaign = Campaign(jets=25_003, classes=CLASSES, seed=1)
    counts: dict[str, int] = dict.fromkeys(CLASSES, 0)
    for block in campaign.blocks:
        assert 1 <= block.jets <= BLOCK
        counts[block.name] += block.jets
    assert sorted(counts.values()) == [2500] * 7 + [2501] * 3
    seeds = [
        block.pythia_seed(source) for block in campaign.blocks for source in (0, 1)
    ]
    assert len(set(seeds)) == len(seeds)
    assert all(1 <= seed <= 900_000_000 for seed in seeds)
    costs = [block.cost for block in campaign.blocks]
    assert costs == sorted(costs, reverse=True)
    more = Campaign(jets=50_000, classes=CLASSES, seed=1).blocks
    whole = [block for block in campaign.blocks if block.jets == BLOCK]
    assert set(whole) <= set(more)  # a larger campaign begins with the same jets


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (dict(classes=("Hbb", "Hzz")), "no class 'Hzz': choose from QCD, Hbb"),
        (dict(classes=("Hbb", "Hbb")), "named 2 times"),
        (dict(jets=9, classes=CLASSES), "9 jets of 10 classes"),
        (dict(seed=-1), "seed -1"),
    ],
)
def test_a_campaign_that_cannot_be_is_refused(asked, said):
    with pytest.raises(ValueError, match=said):
        Campaign(**{"jets": 100, "classes": ("Hbb",), **asked})


def test_vertices_are_those_of_pythia_itself():
    """The batches of pythia8mc 8.317 have them in the wrong rows; its events do not."""
    process = PROCESSES["Zqq"]
    ((_, settings),) = process.sources
    entries = events.Generator(Promise(process), settings, seed=7).batch()
    alone = pythia8mc.Pythia("", False)
    for line in (*COMMON, *settings, "Random:seed = 7"):
        assert alone.readString(line)
    hooks = Promise(process)
    alone.setUserHooksPtr(hooks)
    assert alone.init()
    assert alone.next()
    event = [alone.event[number] for number in range(alone.event.size())]
    rows = np.flatnonzero(entries.event == 0)
    assert entries.pid[rows].tolist() == [p.id() for p in event]
    expected = np.array([(p.xProd(), p.yProd(), p.zProd()) for p in event])
    final = entries.status[rows] > 0
    assert np.abs(expected[final]).max() > 10  # mm
    np.testing.assert_allclose(
        entries.vertex[rows][final], expected[final], rtol=1e-4, atol=1e-9
    )
