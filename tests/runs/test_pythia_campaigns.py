"""Campaigns give the same jets wherever their jobs run, and leave no partial files."""

import logging
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

pytest.importorskip("fastjet")
pytest.importorskip("pythia8mc")

import awkward as ak

from jetlab.cli.main import main
from jetlab.data.jetclass.convert import convert
from jetlab.data.pythia import simulation_chain
from jetlab.data.pythia.campaign import Campaign, ProductionJob
from jetlab.data.store import describe
from jetlab.runs import production
from jetlab.runs.dispatch import Unfinished
from jetlab.runs.production import produce
from jetlab.runs.resumable_output import ResumableOutput

SMALL = Campaign(jets=24, classes=("Zqq", "Wqq"), seed=5)


def written(out: Path, campaign: Campaign = SMALL, **where: Any) -> dict[str, Any]:
    content = produce(campaign, out, **where)
    assert content is not None
    return content


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """The small campaign, its store, and the files of its jobs as they were written."""
    out, files = tmp_path_factory.mktemp("local") / "jets", {}
    original = production.run_job

    def recorded(job: ProductionJob, folder: Path) -> dict[str, float]:
        seconds = original(job, folder)
        files[job] = (folder / job.file).read_bytes()
        return seconds

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(production, "run_job", recorded)
        content = written(out)
    return out, content, files


@pytest.fixture
def ready_jobs(local, monkeypatch):
    """Jobs of the small campaign write the files that were simulated once."""

    def run_job(job: ProductionJob, folder: Path) -> dict[str, float]:
        (folder / job.file).write_bytes(local[2][job])
        return {"Pythia": 3.0, "writing": 1.0}

    monkeypatch.setattr(production, "run_job", run_job)


def test_a_campaign_becomes_a_store(local):
    out, content, _ = local
    assert content["jets"] == 24
    assert (content["classes"]["Zqq"], content["classes"]["Wqq"]) == (12, 12)
    assert content["origin"]["simulator"].startswith("pythia-8.")
    assert content["origin"]["seed"] == 5
    assert content["identity"] == describe(out)["identity"]
    assert [path.name for path in out.parent.iterdir()] == ["jets"]  # no pieces left


def test_the_log_has_the_rate_and_the_stages(ready_jobs, tmp_path, caplog):
    """24 jets in twice 3 s of Pythia and 1 s of writing."""
    with caplog.at_level(logging.INFO, logger="jetlab"):
        produce(SMALL, tmp_path / "jets", shard=(1, 1))
    assert "3.0 jets per core-second (Pythia 75.0%, writing 25.0%)" in caplog.messages


def test_shards_make_the_same_store(ready_jobs, local, tmp_path):
    out = tmp_path / "jets"
    for number in (1, 2):
        assert produce(SMALL, out, shard=(number, 2)) is None
        assert not out.exists()
    files = list((tmp_path / "jets.pieces").glob("*.parquet"))
    times = [path.stat().st_mtime_ns for path in files]
    assert len(files) == 2
    assert produce(SMALL, out, shard=(1, 2)) is None  # once more: nothing to do
    assert [path.stat().st_mtime_ns for path in files] == times
    assert written(out)["hash"] == local[1]["hash"]


def test_the_seed_of_the_campaign_shuffles_the_store(ready_jobs, local, tmp_path):
    produce(SMALL, tmp_path / "jets", shard=(1, 1))
    folder = tmp_path / "jets.pieces"
    files = [folder / job.file for job in SMALL.jobs]
    for seed, same in ((5, True), (0, False)):
        store = convert(files, tmp_path / f"store{seed}", seed=seed)
        assert (store["hash"] == local[1]["hash"]) is same


def test_only_missing_jobs_are_run(ready_jobs, local, tmp_path, monkeypatch):
    out = tmp_path / "jets"
    produce(SMALL, out, shard=(2, 2))
    run, original = [], production.run_job

    def counted(job, folder):
        run.append(job)
        return original(job, folder)

    monkeypatch.setattr(production, "run_job", counted)
    assert written(out)["hash"] == local[1]["hash"]
    assert run == SMALL.jobs[:1]


def test_root_files_convert_to_the_same_jets(ready_jobs, local, tmp_path):
    content = written(tmp_path / "root", form="root")
    assert content["classes"] == {"Zqq": 12, "Wqq": 12}
    files = sorted((tmp_path / "root").iterdir())
    assert [path.name for path in files] == ["WToQQ_000.root", "ZToQQ_000.root"]
    store = convert(files, tmp_path / "store")
    assert store["particles"] == local[1]["particles"]


def test_jobs_of_another_campaign_are_refused(ready_jobs, tmp_path):
    produce(SMALL, tmp_path / "jets", shard=(1, 2))
    other = Campaign(jets=24, classes=("Zqq", "Wqq"), seed=6)
    with pytest.raises(ValueError, match="another request"):
        produce(other, tmp_path / "jets")


def test_a_folder_without_finished_files_may_serve_another_request(tmp_path):
    folder = ResumableOutput(tmp_path / "jets", {"seed": 5}).folder
    ResumableOutput(tmp_path / "jets", {"seed": 6})
    (folder / "one").touch()
    with pytest.raises(ValueError, match=r"another request .seed 6"):
        ResumableOutput(tmp_path / "jets", {"seed": 7})


def test_a_damaged_file_is_found(ready_jobs, tmp_path):
    out = tmp_path / "jets"
    for number in (1, 2):
        produce(SMALL, out, shard=(number, 2))
    first, second = sorted((tmp_path / "jets.pieces").glob("*.parquet"))
    first.write_bytes(second.read_bytes()[:-100])
    with pytest.raises(ValueError, match=first.name):
        produce(SMALL, out)
    assert not out.exists()


def test_a_file_that_lacks_jets_is_found(ready_jobs, tmp_path):
    out = tmp_path / "jets"
    produce(SMALL, out, shard=(1, 1))
    path = out.with_name("jets.pieces") / SMALL.jobs[0].file
    ak.to_parquet(ak.from_parquet(path)[:-1], path)
    with pytest.raises(ValueError, match=f"{path.name}: 11 of 12 jets; delete it"):
        produce(SMALL, out)
    assert not out.exists()


def test_a_full_disk_leaves_nothing_half_written(tmp_path, monkeypatch):
    def full(array, path):
        path.write_bytes(b"PAR1, and no more")
        raise OSError(28, "No space left on device")

    jets = ak.Array([{"jet_pt": 600.0}])
    monkeypatch.setattr(simulation_chain, "_batches", lambda *job: iter([jets]))
    monkeypatch.setattr(simulation_chain.ak, "to_parquet", full)
    with pytest.raises(Unfinished, match=r"2 of 2 tasks failed 3 times.*No space left"):
        produce(Campaign(jets=2, classes=("Zqq", "Wqq")), tmp_path / "jets")
    left = [path.name for path in tmp_path.rglob("*")]
    assert sorted(left) == ["jets.pieces", "request.json"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--jets", "5"], "5 jets of 10 classes"),
        (["--jets", "0"], "not in the range"),
        (["--jets", "20", "--classes", "Hbb,top"], "no class 'top': choose from QCD"),
        (["--jets", "20", "--seed", "-1"], "not in the range"),
        (["--jets", "20", "--on", "grid"], "choose local, processes"),
        (["--jets", "20", "--shard", "3/2"], "3/2"),
        (["--jets", "20", "--workers", "2"], "--on local is one process"),
        (["--jets", "20", "--format", "hdf5"], "'hdf5' is not one of"),
    ],
)
def test_an_impossible_command_is_refused_in_one_line(
    options, message, tmp_path, capsys
):
    command = ["simulate", "pythia", "--out", str(tmp_path / "jets"), *options]
    assert main(command) == 2
    refusal = capsys.readouterr().err
    assert message in refusal
    assert refusal.count("\n") == 1
    assert not any(tmp_path.iterdir())


def test_without_pythia_the_error_names_the_package_to_install(tmp_path, monkeypatch):
    def missing(package):
        raise production.importlib.metadata.PackageNotFoundError(package)

    monkeypatch.setattr(production.importlib.metadata, "version", missing)
    with pytest.raises(ValueError, match=r"pip install 'jetlab\[pythia\]'"):
        produce(SMALL, tmp_path / "jets")


def test_the_cost_is_estimated_beforehand():
    estimate = production.cost_estimate(Campaign(jets=1_000_000, classes=("Zqq",)))
    expected = "1000000 jets of 1 classes in 1000 jobs: about 4.4 core-hours"
    assert estimate == expected


@pytest.mark.slow
def test_workers_make_the_same_store(local, tmp_path):
    pytest.importorskip("distributed")
    content = written(tmp_path / "jets", on="processes", workers=2)
    assert content["hash"] == local[1]["hash"]


def busy_workers(client: psutil.Process) -> list[psutil.Process]:
    """The workers of a client, once they simulate."""
    for _ in range(600):
        workers = [
            child
            for child in client.children(recursive=True)
            if "spawn_main" in " ".join(child.cmdline())
        ]
        if workers and min(w.cpu_times().user for w in workers) > 4:
            return workers
        time.sleep(0.1)
    raise AssertionError("no worker simulates")


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """Hash of the store that the killed campaigns should give."""
    larger = Campaign(jets=1200, classes=("Zqq", "Wqq"), seed=5)
    out = tmp_path_factory.mktemp("uninterrupted") / "jets"
    return written(out, campaign=larger)["hash"]


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["client", "workers"])
def test_a_killed_campaign_resumes_to_the_same_store(victim, uninterrupted, tmp_path):
    pytest.importorskip("distributed")
    out = tmp_path / "jets"
    command = [sys.executable, "-m", "jetlab.cli.main", "simulate", "pythia"]
    command += ["--jets", "1200", "--classes", "Zqq,Wqq", "--seed", "5"]
    command += ["--out", str(out), "--on", "processes", "--workers", "2"]
    running = subprocess.Popen(command)
    workers = busy_workers(psutil.Process(running.pid))
    if victim == "client":
        running.kill()
        running.wait()
        assert not out.exists()
        assert subprocess.run(command, timeout=200).returncode == 0
    else:
        workers[0].kill()
        assert running.wait(timeout=200) == 0
    assert describe(out)["hash"] == uninterrupted
