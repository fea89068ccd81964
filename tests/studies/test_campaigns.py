"""Campaigns give the same jets wherever they are made, whole or not at all."""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

pytest.importorskip("fastjet")
pytest.importorskip("pythia8mc")

from jetlab.cli.main import main
from jetlab.data.pythia.campaign import Campaign
from jetlab.data.store import describe
from jetlab.runs import simulation
from jetlab.runs.dispatch import Unfinished
from jetlab.runs.pieces import Pieces
from jetlab.runs.simulation import simulate

SMALL = Campaign(jets=24, classes=("Zqq", "Wqq"), seed=5)


def made(out: Path, campaign: Campaign = SMALL, **where: Any) -> dict[str, Any]:
    content = simulate(campaign, out, **where)
    assert content is not None
    return content


@pytest.fixture(scope="module")
def locally(tmp_path_factory):
    out = tmp_path_factory.mktemp("local") / "jets"
    said = []
    content = made(out, say=said.append)
    return out, content, said


def test_a_campaign_becomes_a_store(locally):
    out, content, said = locally
    assert content["jets"] == 24
    assert (content["classes"]["Zqq"], content["classes"]["Wqq"]) == (12, 12)
    assert content["origin"]["simulator"].startswith("pythia-8.")
    assert content["identity"] == describe(out)["identity"]
    assert [path.name for path in out.parent.iterdir()] == ["jets"]  # no pieces left
    assert "jets a second and core (Pythia" in said[0]


def test_shards_make_the_same_store(locally, tmp_path):
    out = tmp_path / "jets"
    for number in (1, 2):
        assert simulate(SMALL, out, shard=(number, 2)) is None
        assert not out.exists()
    blocks = list((tmp_path / "jets.pieces").glob("*.parquet"))
    times = [path.stat().st_mtime_ns for path in blocks]
    assert len(blocks) == 2
    assert simulate(SMALL, out, shard=(1, 2)) is None  # once more: nothing to do
    assert [path.stat().st_mtime_ns for path in blocks] == times
    assert made(out)["hash"] == locally[1]["hash"]


def test_root_files_turn_into_the_same_jets(locally, tmp_path):
    from jetlab.data.jetclass.convert import convert

    content = made(tmp_path / "root", form="root")
    assert content["classes"] == {"Zqq": 12, "Wqq": 12}
    files = sorted((tmp_path / "root").iterdir())
    assert [path.name for path in files] == ["WToQQ_000.root", "ZToQQ_000.root"]
    store = convert(files, tmp_path / "store")
    assert store["particles"] == locally[1]["particles"]


def test_pieces_of_another_campaign_are_not_taken(tmp_path):
    simulate(SMALL, tmp_path / "jets", shard=(1, 2))
    other = Campaign(jets=24, classes=("Zqq", "Wqq"), seed=6)
    with pytest.raises(ValueError, match="another request"):
        simulate(other, tmp_path / "jets")


def test_a_request_without_pieces_binds_nobody(tmp_path):
    folder = Pieces(tmp_path / "jets", {"seed": 5}).folder
    Pieces(tmp_path / "jets", {"seed": 6})
    (folder / "one").touch()
    with pytest.raises(ValueError, match=r"another request .seed 6"):
        Pieces(tmp_path / "jets", {"seed": 7})


def test_a_piece_that_lacks_jets_is_found(tmp_path):
    out = tmp_path / "jets"
    for number in (1, 2):
        simulate(SMALL, out, shard=(number, 2))
    first, second = sorted((tmp_path / "jets.pieces").glob("*.parquet"))
    first.write_bytes(second.read_bytes()[:-100])
    with pytest.raises(ValueError, match=first.name):
        simulate(SMALL, out)
    assert not out.exists()


def test_a_full_disk_leaves_nothing_half_written(tmp_path, monkeypatch):
    from jetlab.data.pythia import jets

    def full(array, path):
        path.write_bytes(b"PAR1, and no more")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(jets.ak, "to_parquet", full)
    with pytest.raises(
        Unfinished, match=r"2 of 2 pieces failed 3 times.*No space left"
    ):
        simulate(Campaign(jets=2, classes=("Zqq", "Wqq")), tmp_path / "jets")
    left = [path.name for path in tmp_path.rglob("*")]
    assert sorted(left) == ["jets.pieces", "request.json"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--jets", "5"], "5 jets of 10 classes"),
        (["--jets", "0"], "not in the range"),
        (["--jets", "20", "--classes", "Hbb,top"], "no class 'top': choose from QCD"),
        (["--jets", "20", "--seed", "-1"], "not in the range"),
        (["--jets", "20", "--on", "grid"], "choose local, processes"),
        (["--jets", "20", "--shard", "3/2"], "3/2"),
        (["--jets", "20", "--workers", "2"], "--on local is this process alone"),
        (["--jets", "20", "--format", "hdf5"], "'hdf5' is not one of"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(options, said, tmp_path, capsys):
    command = ["simulate", "pythia", "--out", str(tmp_path / "jets"), *options]
    assert main(command) == 2
    refusal = capsys.readouterr().err
    assert said in refusal
    assert refusal.count("\n") == 1
    assert not any(tmp_path.iterdir())


def test_without_pythia_one_line_says_what_to_install(tmp_path, monkeypatch):
    def missing(package):
        raise simulation.importlib.metadata.PackageNotFoundError(package)

    monkeypatch.setattr(simulation.importlib.metadata, "version", missing)
    with pytest.raises(ValueError, match=r"pip install 'jetlab\[pythia\]'"):
        simulate(SMALL, tmp_path / "jets")


def test_the_cost_is_told_before_it_begins():
    said = simulation.announce(Campaign(jets=1_000_000, classes=("Zqq",)))
    assert said.startswith("1000000 jets of 1 classes in 1000 blocks: about")
    assert said.endswith("core-hours")


@pytest.mark.slow
def test_workers_make_the_same_store(locally, tmp_path):
    pytest.importorskip("distributed")
    content = made(tmp_path / "jets", on="processes", workers=2)
    assert content["hash"] == locally[1]["hash"]


def at_work(client: psutil.Process) -> list[psutil.Process]:
    """Its workers, once they have begun to make jets."""
    for _ in range(600):
        workers = [
            child
            for child in client.children(recursive=True)
            if "spawn_main" in " ".join(child.cmdline())
        ]
        if workers and min(w.cpu_times().user for w in workers) > 4:
            return workers
        time.sleep(0.1)
    raise AssertionError("no worker began")


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["client", "workers"])
def test_what_is_killed_goes_on_to_the_same_store(victim, tmp_path):
    pytest.importorskip("distributed")
    larger = Campaign(jets=1200, classes=("Zqq", "Wqq"), seed=5)
    expected = made(tmp_path / "whole", campaign=larger)
    out = tmp_path / "jets"
    command = [sys.executable, "-m", "jetlab.cli.main", "simulate", "pythia"]
    command += ["--jets", "1200", "--classes", "Zqq,Wqq", "--seed", "5"]
    command += ["--out", str(out), "--on", "processes", "--workers", "2"]
    running = subprocess.Popen(command)
    workers = at_work(psutil.Process(running.pid))
    if victim == "client":
        running.kill()
        running.wait()
        assert not out.exists()
        assert subprocess.run(command, timeout=200).returncode == 0
    else:
        workers[0].kill()
        assert running.wait(timeout=200) == 0
    assert describe(out)["hash"] == expected["hash"]
