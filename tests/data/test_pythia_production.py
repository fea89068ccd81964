"""Campaigns and production jobs: contents of the files, and reproducibility."""

from collections import Counter
from dataclasses import replace
from importlib.metadata import version

import numpy as np
import pytest

pytest.importorskip("fastjet")
pytest.importorskip("pythia8mc")

import awkward as ak

from jetlab.data.jetclass import reader
from jetlab.data.jetclass.branches import FLAGS, JET, PARTICLE, TEN_LABELS
from jetlab.data.jetclass.convert import convert
from jetlab.data.jetclass.labels import JETCLASS2
from jetlab.data.pythia import simulation_chain
from jetlab.data.pythia.campaign import (
    JETCLASS2_CLASSES,
    MAX_JETS_PER_JOB,
    VERSION,
    Campaign,
    ProductionJob,
)
from jetlab.data.pythia.processes import FLAVOURS, PROCESSES
from jetlab.data.pythia.resonances import X_MASSES
from jetlab.data.pythia.simulation_chain import run_job
from jetlab.runs.production import produce
from jetlab.types import CLASSES

ZQQ = ProductionJob(name="Zqq", number=0, jets=40, seed=3)


def jets_of(folder, job):
    path = folder / job.file
    seconds = run_job(job, path)
    assert [p.name for p in folder.iterdir()] == [job.file]  # no partial file left
    return path, seconds


@pytest.fixture(scope="module")
def zqq(tmp_path_factory):
    return jets_of(tmp_path_factory.mktemp("first"), ZQQ)


def test_a_job_has_the_branches_of_jetclass(zqq):
    path, seconds = zqq
    step = ak.from_parquet(path)
    assert len(step) == 40
    aux = ("eta", "phi", "pid", "pt")
    others = ["jet_nparticles", "jet_sdmass", *(f"jet_tau{n}" for n in (1, 2, 3, 4))]
    others += ["aux_truth_match", *(f"aux_genpart_{name}" for name in aux)]
    assert set(step.fields) == {*PARTICLE, *JET, *TEN_LABELS, *others}
    assert (step.label_Zqq == 1).to_list() == [True] * 40
    assert sum(ak.sum(step[name]) for name in TEN_LABELS) == 40
    assert set(seconds) == {"Pythia", "detector", "clustering", "matching", "writing"}


def test_the_jets_of_this_version_are_these(zqq):
    """Jets that change need another VERSION, under which campaigns are resumed."""
    assert VERSION == "v1"
    if version("pythia8mc") != "8.317.0":
        pytest.skip("jets of another Pythia")
    step = ak.from_parquet(zqq[0])
    names = ("jet_pt", "jet_eta", "jet_phi", "jet_sdmass", "jet_tau2", "jet_nparticles")
    found = np.stack([ak.to_numpy(step[name][:3]) for name in names], axis=1)
    expected = [
        [517.772, -0.486243, 1.73316, 83.8934, 0.0412635, 26],
        [631.978, 0.475262, -1.90773, 97.3453, 0.133531, 63],
        [505.688, 0.0741670, 1.77613, 79.8670, 0.142155, 64],
    ]
    np.testing.assert_allclose(found, expected, rtol=2e-5)


def test_jets_pass_the_selection_of_their_class(zqq):
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
    assert ak.all(step.part_d0err[~neutral & (pt > 0.2)] > 0)


def test_constituents_sum_to_their_jet(zqq):
    step = ak.from_parquet(zqq[0])
    for axis, whole in (
        ("px", step.jet_pt * np.cos(step.jet_phi)),
        ("py", step.jet_pt * np.sin(step.jet_phi)),
        ("pz", step.jet_pt * np.sinh(step.jet_eta)),
        ("energy", step.jet_energy),
    ):
        summed = ak.to_numpy(ak.sum(step[f"part_{axis}"], axis=1))
        np.testing.assert_allclose(summed, whole, rtol=1e-4, atol=0.05)


def test_constituents_are_measured_from_the_axis_of_their_jet(zqq):
    """deta points away from the center of the detector; dphi is wrapped."""
    step = ak.from_parquet(zqq[0])
    sign = np.where(step.jet_eta > 0, 1, -1)
    assert set(sign) == {-1, 1}
    eta = np.arcsinh(step.part_pz / np.hypot(step.part_px, step.part_py))
    deta = ak.to_numpy(ak.flatten(sign * (eta - step.jet_eta)))
    np.testing.assert_allclose(ak.flatten(step.part_deta), deta, atol=2e-4)
    phi = np.arctan2(step.part_py, step.part_px) - step.jet_phi
    assert ak.max(abs(phi)) > np.pi  # some jets lie where azimuths wrap
    dphi = ak.to_numpy(ak.flatten(np.arctan2(np.sin(phi), np.cos(phi))))
    np.testing.assert_allclose(ak.flatten(step.part_dphi), dphi, atol=2e-5)


def test_the_converter_reads_a_job_as_it_reads_jetclass(zqq):
    inputs = reader.survey([zqq[0]], skip_bad=False, skipped=Counter())
    (read,) = reader.read(inputs[0], skip_bad=False, skipped=Counter())
    assert (read.label == CLASSES.index("Zqq")).all()
    assert len(read.counts) == 40


def test_a_job_is_reproducible_and_no_other_has_its_jets(zqq, tmp_path):
    first = ak.from_parquet(zqq[0])
    for folder, job in (("again", ZQQ), ("next", replace(ZQQ, number=1, seed=4))):
        (tmp_path / folder).mkdir()
        other = ak.from_parquet(jets_of(tmp_path / folder, job)[0])
        same = job == ZQQ
        equal = ak.to_list(first.part_energy) == ak.to_list(other.part_energy)
        assert equal is same
        shared = set(ak.to_list(first.jet_pt)) & set(ak.to_list(other.jet_pt))
        assert len(shared) == (40 if same else 0)


def test_subprocesses_give_their_fractions_of_the_jets(tmp_path, monkeypatch):
    """Of ten QCD jets a third, rounded to three, from Z + jet; batches give four."""
    monkeypatch.setattr(simulation_chain, "Generator", BatchesOfFour)
    monkeypatch.setattr(simulation_chain, "_jets_of_batch", lambda batch, *rest: batch)
    job = ProductionJob(name="QCD", number=0, jets=10, seed=0)
    run_job(job, tmp_path / job.file)
    counts = Counter(ak.from_parquet(tmp_path / job.file).settings)
    (_, z_and_jet), (_, dijets) = PROCESSES["QCD"].subprocesses
    assert counts == {str(z_and_jet): 3, str(dijets): 7}


class BatchesOfFour:
    """In place of the generator: every jet names its settings."""

    def __init__(self, event_filter, settings, seed):
        self.jets = ak.Array([{"settings": str(settings)}] * 4)

    def next_batch(self):
        return self.jets


@pytest.mark.slow
@pytest.mark.parametrize("name", CLASSES)
def test_every_class_of_jetclass_has_its_resonance(name, tmp_path):
    job = ProductionJob(name=name, number=0, jets=60, seed=3)
    step = ak.from_parquet(jets_of(tmp_path, job)[0])
    codes = set(map(abs, ak.to_numpy(step.aux_genpart_pid).astype(int)))
    assert codes <= ({*PROCESSES[name].resonances} or {0})
    assert ak.all(step[f"label_{name}"] == 1)


@pytest.fixture(scope="module")
def jetclass2(tmp_path_factory):
    """Files of 12 jets of some classes of JetClass-II."""
    folder = tmp_path_factory.mktemp("jetclass2")
    paths = {}
    for name in ("X_bb", "X_YY_bbqq", "QCD_light"):
        job = ProductionJob(name=name, number=0, jets=12, seed=3)
        paths[name] = folder / job.file
        run_job(job, paths[name])
    return paths


@pytest.mark.slow
def test_jets_of_jetclass2_have_the_label_and_the_mass_of_their_class(jetclass2):
    for name, path in jetclass2.items():
        step = ak.from_parquet(path)
        assert set(ak.to_list(step.jet_label)) == {JETCLASS2.index(name)}
        assert not any(field.startswith("label_") for field in step.fields)
        assert set(abs(ak.to_numpy(step.aux_genpart_pid)).tolist()) <= (
            {1, 2, 21} if name == "QCD_light" else {25, 36}
        )
        if name != "QCD_light":
            mass = ak.to_numpy(step.aux_genpart_mass)
            assert X_MASSES[0] < mass.min() < 80 < 100 < mass.max() < X_MASSES[1]


@pytest.mark.slow
def test_files_of_jetclass2_become_one_store_of_188_classes(jetclass2, tmp_path):
    content = convert(list(jetclass2.values()), tmp_path / "store")
    counts = {name: count for name, count in content["classes"].items() if count}
    assert counts == dict.fromkeys(jetclass2, 12)
    (file,) = reader.survey([jetclass2["X_bb"]], skip_bad=False, skipped=Counter())
    assert file.classes == JETCLASS2


@pytest.mark.slow
@pytest.mark.parametrize("name", ["X_cs", "X_tauhtaue", "X_YY_bbq", "X_YY_bcev"])
def test_jets_of_many_final_states_are_made(name, tmp_path):
    campaign = Campaign(jets=20, classes=(name,), seed=2)
    written = produce(campaign, tmp_path / "jets", form="root")
    assert written is not None
    assert written["classes"] == {name: 20}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["QCD_b", "QCD_c", "QCD_s"])
def test_jets_of_heavy_flavours_contain_them(name, tmp_path):
    job = ProductionJob(name=name, number=0, jets=20, seed=2)
    run_job(job, tmp_path / job.file)
    pid = ak.to_numpy(ak.from_parquet(tmp_path / job.file).aux_genpart_pid)
    assert set(map(abs, pid.tolist())) == set(FLAVOURS[name])


def test_a_campaign_has_equally_many_jets_of_each_class_in_jobs():
    campaign = Campaign(jets=25_003, classes=CLASSES, seed=1)
    counts: dict[str, int] = dict.fromkeys(CLASSES, 0)
    for job in campaign.jobs:
        assert 1 <= job.jets <= MAX_JETS_PER_JOB
        counts[job.name] += job.jets
    assert sorted(counts.values()) == [2500] * 7 + [2501] * 3
    assert {job.number for job in campaign.jobs} == {0, 1, 2}
    costs = [job.cost for job in campaign.jobs]
    assert costs == sorted(costs, reverse=True)
    more = Campaign(jets=50_000, classes=CLASSES, seed=1).jobs
    whole = [job for job in campaign.jobs if job.jets == MAX_JETS_PER_JOB]
    assert set(whole) <= set(more)  # a larger campaign begins with the same jets


@pytest.mark.parametrize(
    ("name", "core_seconds"),
    [
        ("QCD", 1.9),
        ("Tbl", 6.6),
        ("QCD_b", 3.0),
        ("X_bb", 2.2),
        ("X_tauhtaue", 33.0),
        ("X_YY_bbq", 10.0),
        ("X_YY_bbqq", 3.3),
        ("X_YY_qqtauhv", 30.0),
    ],
)
def test_estimated_cost_of_a_hundred_jets(name, core_seconds):
    job = ProductionJob(name=name, number=0, jets=100, seed=0)
    assert job.cost == pytest.approx(core_seconds)


@pytest.mark.parametrize("classes", [CLASSES, JETCLASS2_CLASSES])
def test_no_two_jobs_of_a_seed_share_a_seed_of_pythia(classes):
    jobs = [
        ProductionJob(name=name, number=number, jets=1, seed=1)
        for name in classes
        for number in (0, 1, 1_999_999)
    ]
    seeds = [job.pythia_seed(subprocess) for job in jobs for subprocess in (0, 1)]
    assert len(set(seeds)) == len(seeds)
    assert all(1 <= seed <= 900_000_000 for seed in seeds)


@pytest.mark.parametrize(
    ("name", "pythia", "detector"),
    [
        ("Wqq", 213854186, 1694415317598057531),
        ("X_bb", 65854186, 289297015331054252),
        ("QCD_s", 809854186, 3720854476664042785),
    ],
)
def test_random_numbers_of_a_job_are_those_of_version_1(name, pythia, detector):
    job = ProductionJob(name=name, number=2, jets=1, seed=5)
    assert job.pythia_seed(1) == pythia
    assert job.rng().integers(2**62) == detector


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (dict(classes=("Hbb", "Hzz")), "no class 'Hzz': choose from QCD, Hbb"),
        (dict(classes=("Hbb", "Hbb")), "named 2 times"),
        (dict(jets=9, classes=CLASSES), "9 jets of 10 classes"),
        (dict(seed=-1), "seed -1"),
        (
            dict(classes=("X_bb", "Hbb")),
            "Hbb is a class of JetClass and X_bb one of JetClass-II",
        ),
        (
            dict(classes=("X_YY_zz",)),
            r"X_YY_zz.*X_bb, \.\.\., X_YY_qqtauhv, QCD_b, QCD_c",
        ),
        (dict(classes=("QCD_bb",)), "no class 'QCD_bb'"),
    ],
)
def test_an_impossible_campaign_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        Campaign(**{"jets": 100, "classes": ("Hbb",), **given})


def test_a_campaign_may_have_one_jet_of_each_class_and_seed_zero():
    campaign = Campaign(jets=10, classes=CLASSES, seed=0)
    assert [job.jets for job in campaign.jobs] == [1] * 10
    jobs = Campaign(jets=3000, classes=("X_bb", "QCD_b"), seed=1).jobs
    assert [job.jets for job in jobs] == [1000, 1000, 500, 500]
