"""Experiments: their inputs, their folder, and folders of earlier versions."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jaxtyping
import numpy as np
import pytest

from jetlab.cli.main import main
from jetlab.data.shower.source import Shower
from jetlab.records import Table
from jetlab.runs import api, experiment, workers
from jetlab.runs.api import read_runs, train
from jetlab.runs.experiment import Experiment, train_study
from jetlab.runs.grid import Grid, grid
from jetlab.runs.groups import initial_params
from jetlab.runs.ledger import Ledger
from jetlab.runs.study import Findings, Study
from jetlab.runs.study_report import make_report
from tests.runs.records import make_record, make_run

TINY = Path(__file__).with_name("tiny.py")
IDS = ["933cb2c9b474", "b7015ceef7a9"]
"""Of its runs, by commit e0d5424."""

OLD_PLAN = {"study": "tiny", "size": "smoke", "source": Shower().identity, "at_once": 2}
OLD_RECORD = dict(
    status="done", study="tiny", source=Shower().identity, inputs="full-10", width=4,
    N=394, epochs=1, n_p=9.9921875, seed=0, batch=64, learning_rate=1e-4,
    weight_decay=0.01, classes=10, loss=2.669, loss_error=0.029, accuracy=0.095,
    auc=0.514, valid=200,
    rejections=[["Hbb", 0.1, 20.0, 4.1, 115.2], ["H4q", 0.1, 18.1, 18.1, None]],
    curve=[[1, 2.688]], valid_curve=[], steps=1, trajectory="", cut=0,
    precision="float32", patience=0, seconds=3.1, device="cpu", version="0.1.0",
    message="",
)  # fmt: skip
"""A record as commit e0d5424 wrote it, with two of its rejections."""


def tiny(out: Path, **fields) -> Experiment:
    return Experiment(file=TINY, size="smoke", source="shower", out=out, **fields)


@pytest.fixture
def old(tmp_path) -> Path:
    """A finished folder of a version without arms."""
    folder = tmp_path / "old"
    folder.mkdir()
    plan = json.dumps(OLD_PLAN | {"runs": IDS}, indent=1)
    (folder / "plan.json").write_text(plan)
    (folder / "experiment.py").write_text(TINY.read_text())
    lines = [
        json.dumps({"id": name, "D": size, "C": 23621.5 * size, **OLD_RECORD})
        for name, size in zip(IDS, (64, 128), strict=True)
    ]
    (folder / "records.jsonl").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def nothing_trains(monkeypatch):
    def fail(*arguments, **options):
        raise AssertionError("a finished run is trained again")

    monkeypatch.setattr("jetlab.runs.runner.Trainer", fail)


def test_the_report_of_an_old_folder_names_the_remedy(old, capsys):
    assert main(["status", str(old), "--json"]) == 0
    counts = json.loads(capsys.readouterr().out)
    assert counts == {"done": 2, "running": 0, "failed": 0, "pending": 0}
    assert main(["report", str(old)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "made by a version without arms: repeat its 'jetlab run' command" in line
    assert not (old / "report.html").exists()
    with pytest.raises(ValueError, match="without arms"):
        read_runs(old)


def test_an_old_folder_goes_on(old, nothing_trains, capsys):
    before = (old / "records.jsonl").read_bytes()
    assert main(["run", str(TINY), "--size", "smoke", "--out", str(old)]) == 0
    out = capsys.readouterr().out
    assert out == f"2 records\nreport: {old / 'report.html'}\n"
    assert (old / "records.jsonl").read_bytes() == before
    assert "2 done of 2" in (old / "report.html").read_text()
    table = read_runs(old)
    assert list(table["id"]) == IDS
    assert list(table["D"]) == [64, 128]
    assert list(table["L"]) == [2.669, 2.669]
    assert list(table["auc"]) == [0.514, 0.514]
    assert table["chance_loss"] == pytest.approx(np.log(10))
    assert main(["report", str(old)]) == 0


def test_the_cost_is_one_line(tmp_path):
    words = tiny(tmp_path).cost_estimate()
    # one trajectory of 128 jets: 6 x 394 parameters x 10 particles x 128
    assert words.startswith("tiny: 2 runs, 3e+06 FLOPs at most")
    assert list(tmp_path.iterdir()) == []


def test_own_inputs_take_the_place_of_the_experiments(tmp_path):
    own = tiny(tmp_path, inputs=("full-40", "kinematics-40")).study(Shower())
    labels = [(run.input_config.label, run.num_train) for run in own.runs]
    assert labels == [
        ("full-40", 64), ("full-40", 128), ("kinematics-40", 64), ("kinematics-40", 128)
    ]  # fmt: skip
    assert [run.id for run in tiny(tmp_path).study(Shower()).runs] == IDS


def test_inputs_of_the_command_line_are_planned(tmp_path, monkeypatch, caplog):
    """At the size that a study of the paper has; nothing is trained."""
    planned = []
    monkeypatch.setattr(experiment, "run_study", lambda s, *_: planned.extend(s.runs))
    file = Path(__file__).parents[2] / "experiments" / "compute_optimal.py"
    own = "angles=20:part_deta,part_dphi"
    command = ["run", str(file), "--size", "smoke", "--out", str(tmp_path / "out")]
    with caplog.at_level("INFO", logger="jetlab"):
        status = main([*command, "--inputs", own, "--inputs", "full-10"])
    assert status == 2  # no run has finished
    assert caplog.messages[0].startswith("compute-optimal: 16 runs, ")
    configs = {run.input_config.label: run.input_config for run in planned}
    assert list(configs) == ["angles", "full-10"]
    assert configs["angles"].particles == 20
    assert configs["angles"].features == ("part_deta", "part_dphi")
    assert {run.model.features for run in planned} == {2, 21}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ("full-11", "full-11"),
        ("angles=0:part_deta", "particles is 0: choose 1 to 128"),
        ("angles=129:part_deta", "particles is 129: choose 1 to 128"),
        ("angles=many:part_deta", "angles=many:part_deta"),
        ("angles=20", "angles=20"),
        ("angles=20:", "choose from"),
        ("angles=20:part_mass", "unknown features part_mass"),
        ("angles=20:part_deta,part_deta", "duplicate features part_deta"),
        ("full-40=20:part_deta", "names another input configuration"),
        ("a/b=20:part_deta", "label 'a/b'"),
        ("", "inputs ''"),
    ],
)
def test_bad_inputs_are_one_line(inputs, words, tmp_path, capsys):
    out = tmp_path / "out"
    command = ["run", str(TINY), "--size", "smoke", "--out", str(out)]
    assert main([*command, "--inputs", inputs]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line
    assert not out.exists()


def test_inputs_of_equal_labels_are_refused(tmp_path, capsys):
    file = Path(__file__).parents[2] / "experiments" / "inputs.py"
    command = ["run", str(file), "--size", "smoke", "--out", str(tmp_path / "out")]
    twice = ["--inputs", "a=20:part_deta", "--inputs", "a=20:part_dphi"]
    assert main([*command, *twice]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_an_experiment_without_inputs_takes_none(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("SIZES = {'smoke': 1}\ndef study(size, source): ...\n")
    one = Experiment(
        file=file, size="smoke", source="shower", out=tmp_path, inputs=("full-10",)
    )
    with pytest.raises(ValueError, match="its sizes have no inputs"):
        one.study(Shower())


@pytest.fixture
def untrained(monkeypatch):
    """Studies are prepared and not trained."""
    monkeypatch.setattr(experiment, "run_study", lambda *arguments: None)
    return Grid(Shower(), (make_run(source=Shower().identity),))


def test_results_of_an_earlier_study_are_deleted(untrained, tmp_path):
    stale = ("fig.png", "fig.pdf", "tables.md", "fit.json", "report.html")
    for name in (*stale, "notes.txt"):
        (tmp_path / name).touch()
    tiny(tmp_path).run()
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"notes.txt", "experiment.py", "plan.json", "lock"}
    for name in stale:
        (tmp_path / name).touch()
    train(untrained, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == left - {"experiment.py"}
    with pytest.raises(ValueError, match=r"no run in .* has finished"):
        make_report(tmp_path)


def test_training_from_python_keeps_the_users_figures(untrained, tmp_path):
    (tmp_path / "law.png").touch()
    train(untrained, tmp_path)
    assert (tmp_path / "law.png").exists()


def test_a_grid_without_an_analysis_has_no_report(untrained, tmp_path):
    train(untrained, tmp_path)
    with Ledger(tmp_path).lock():
        Ledger(tmp_path).add(make_record(untrained[0].id, loss=1.0, loss_error=0.1))
    with pytest.raises(ValueError, match="a grid without an analysis"):
        make_report(tmp_path)
    assert list(read_runs(tmp_path)["L"]) == [1.0]


def test_a_folder_in_use_is_one_clear_error(untrained, tmp_path, capsys):
    with Ledger(tmp_path).lock():
        before = {path.name for path in tmp_path.iterdir()}
        assert main(["run", str(TINY), "--size", "one", "--out", str(tmp_path)]) == 2
        with pytest.raises(ValueError, match="another jetlab run is training in"):
            train(untrained, tmp_path)
        assert {path.name for path in tmp_path.iterdir()} == before
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"jetlab: another jetlab run is training in {tmp_path}: wait for it, or choose"
        " another --out"
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"on": "grid"}, "--on grid"),
        ({"workers": 2}, "--workers 2"),
        ({"keep": "some"}, "keep is 'some': choose from best, all, none"),
    ],
)
def test_a_bad_option_leaves_no_folder(options, words, tmp_path, monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # as for users
    runs = grid(Shower(), inputs="full-10", width=4, num_train=128, num_valid=100)
    with pytest.raises(ValueError, match=words):
        train(runs, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_workers_open_a_source_by_its_name(monkeypatch, tmp_path):
    """The shower of seed 0 has a name; that of another seed has none."""
    asked = []
    monkeypatch.setattr(api, "train_study", lambda *_, **options: asked.append(options))
    monkeypatch.setattr(api, "read_runs", lambda folder: Table())
    options: dict[str, Any] = dict(
        inputs="full-10", width=4, num_train=128, num_valid=100
    )
    train(grid(Shower(), **options), tmp_path / "out", on="processes", workers=3)
    assert asked == [{"name": "shower", "on": "processes", "workers": 3}]
    with pytest.raises(ValueError, match="workers cannot open shower-v1:seed=5"):
        train(grid(Shower(seed=5), **options), tmp_path / "out", on="processes")


def test_a_child_waits_for_its_parent(tmp_path):
    ledger, parent = Ledger(tmp_path), make_run(1)
    child = make_run(2, init_from=parent)
    assert initial_params(ledger, parent) is None
    with pytest.raises(ValueError, match="it has not finished; its shard"):
        initial_params(ledger, child)
    with ledger.lock():
        ledger.add(make_record(parent.id, "diverged"))
    with pytest.raises(ValueError, match="its status is diverged"):
        initial_params(ledger, child)


def test_a_command_counts_unfinished_and_failed_runs(tmp_path, monkeypatch, capsys):
    """One of two runs is done, the other missing, diverged or failed."""
    command = ["run", str(TINY), "--size", "smoke", "--out", str(tmp_path)]
    monkeypatch.setattr(experiment, "run_study", lambda *arguments: None)
    with Ledger(tmp_path, (1, 2)).lock():
        Ledger(tmp_path, (1, 2)).add(make_record(IDS[0], loss=1.0, loss_error=0.1))
    with Ledger(tmp_path, (2, 3)).lock():
        pass  # its lock file stays behind
    assert main([*command, "--shard", "1/2"]) == 0
    assert capsys.readouterr().out == "1 of 2 runs are unfinished\n"
    with Ledger(tmp_path, (1, 2)).lock():
        assert main([*command, "--shard", "2/2"]) == 0  # beside a shard that trains
    assert capsys.readouterr().out == "1 of 2 runs are unfinished\n"
    for status, exit_status in (("diverged", 0), ("failed", 2)):
        (tmp_path / "records.jsonl").unlink(missing_ok=True)
        with Ledger(tmp_path).lock():
            Ledger(tmp_path).add(make_record(IDS[1], status, message="out of memory"))
        assert main(command) == exit_status
    assert capsys.readouterr().err.splitlines()[-1] == (
        "jetlab: 1 runs failed, the first: out of memory"
    )


@pytest.fixture(scope="module")
def family() -> Study:
    """A parent, a better run of the same width, and a child of the parent."""
    fields: dict[str, Any] = dict(
        source=Shower().identity, pool=128, num_train=64, batch=64, num_valid=100
    )
    parent = make_run(0, **fields, learning_rate=1e-6)
    better = make_run(1, **fields, learning_rate=1e-2)
    child = make_run(2, **fields, init_from=parent)
    runs = (parent, better, child)
    return Study(
        name="family", runs=runs, analyse=lambda records: Findings(sentences=[])
    )


def losses(folder: Path) -> dict[str, float | None]:
    return {name: record.loss for name, record in Ledger(folder).records().items()}


@pytest.fixture(scope="module")
def trained_family(family, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("family")
    train_study(family, Shower(), out, name="shower")
    assert len(losses(out)) == 3
    return out


def test_shards_keep_the_weights_of_parents(family, trained_family, tmp_path):
    """The child's group is in the second shard; the first has its parent."""
    with pytest.raises(ValueError, match="it has not finished; its shard"):
        train_study(family, Shower(), tmp_path, name="shower", shard=(2, 2))
    orphan = Ledger(tmp_path).weights / "of-another-shard"
    orphan.parent.mkdir(exist_ok=True)
    orphan.touch()
    for number in (1, 2):
        train_study(family, Shower(), tmp_path, name="shower", shard=(number, 2))
    assert orphan.exists()  # until no other shard may be training
    assert losses(tmp_path) == losses(trained_family)
    kept = Ledger(trained_family).weights
    train_study(family, Shower(), tmp_path, name="shower")
    files = {path.name for path in Ledger(tmp_path).weights.iterdir()}
    assert files == {path.name for path in kept.iterdir()}


@pytest.mark.slow
def test_workers_train_children_after_their_parents(family, trained_family, tmp_path):
    train_study(family, Shower(), tmp_path, name="shower", on="processes", workers=1)
    assert losses(tmp_path) == losses(trained_family)
    ledgers = Ledger(tmp_path), Ledger(trained_family)
    files, expected = ({p.name for p in one.weights.iterdir()} for one in ledgers)
    assert files == expected
    assert not (tmp_path / "checkpoints").exists()


def test_a_worker_has_the_weights_of_the_parent(
    family, trained_family, tmp_path, monkeypatch
):
    """The task of a child, done in this process on a copy of the parent's record."""
    parent, _, child = family.runs
    source, ledger = Ledger(trained_family), Ledger(tmp_path)
    record = source.records()[parent.id]
    path = source.weights_file(record)
    assert path is not None
    ledger.weights.mkdir(parents=True)
    (ledger.weights / path.name).write_bytes(path.read_bytes())
    ledger.add(record)
    task = workers.GroupTask(
        study="family",
        one_trajectory=True,
        runs=[child],
        known=frozenset(),
        folder=tmp_path,
    )
    (found,) = workers.train_group(task, source="shower")
    assert found.loss == losses(trained_family)[child.id]
    monkeypatch.setattr(workers, "Trainer", None)  # the group has its record already
    assert workers.train_group(task, source="shower") == [found]


@pytest.mark.slow
def test_a_killed_call_of_train_resumes(tmp_path):
    """kill -9 after the first of two runs; the same call trains the other."""
    script = (
        "import sys, jetlab as jl\n"
        "runs = jl.grid(jl.Shower(), inputs='full-10', width=(4, 8), num_train=4096,"
        " num_valid=100)\n"
        "print(jl.train(runs, out=sys.argv[1], keep='all')['L'].tolist())\n"
    )
    command = [sys.executable, "-c", script]
    whole = subprocess.run([*command, str(tmp_path / "whole")], capture_output=True)
    folder = tmp_path / "killed"
    process = subprocess.Popen([*command, str(folder)], stderr=subprocess.DEVNULL)
    while not Ledger(folder).records() and process.poll() is None:
        pass
    process.kill()
    process.wait()
    again = subprocess.run([*command, str(folder)], capture_output=True)
    assert again.stdout == whole.stdout != b""
    assert len(list((folder / "weights").iterdir())) == 4  # averaged and last, of two
