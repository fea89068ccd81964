"""Records do not depend on where the groups of a study are trained."""

from dataclasses import replace
from pathlib import Path

import pytest

from jetlab.cli.main import main
from jetlab.runs.experiment import Experiment
from jetlab.runs.groups import groups_of
from jetlab.runs.ledger import Ledger
from jetlab.runs.sources import open_source
from jetlab.runs.workers import GroupTask, train_group

EXPERIMENT = '''"""Two widths on a few jets."""
from jetlab.models.tagger import Tagger
import itertools
from jetlab.runs.report import Findings
from jetlab.runs.study import Study
from jetlab.tasks.tagging import Tagging
from jetlab.training.run_config import RunConfig

SIZES = {"smoke": (4, 8)}

def study(size, source):
    def run(width, seed):
        return RunConfig(
            source=source.identity, task=Tagging(), inputs="full-10", pool=256,
            model=Tagger(width=width, layers=1),
            num_train=256, num_valid=200, batch=64, seed=seed,
        )
    runs = tuple(itertools.starmap(run, itertools.product(SIZES[size], (0, 1))))
    return Study(name="two", runs=runs, analyse=analyse)

def analyse(records):
    return Findings(sentences=[f"{len(records)} records"])
'''


@pytest.fixture(scope="module")
def experiment(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("experiment") / "two.py"
    path.write_text(EXPERIMENT)
    return path


def run(experiment: Path, out: Path, *options: str) -> int:
    return main(
        ["run", str(experiment), "--size", "smoke", "--out", str(out), *options]
    )


def study_of(experiment: Path, out: Path):
    asked = Experiment(file=experiment, size="smoke", source="shower", out=out)
    return asked.study(open_source("shower"))


def results(folder: Path) -> dict[str, tuple]:
    """Everything of the records that must not depend on where they were trained."""
    return {
        record.id: (record.loss, record.metrics, record.curve)
        for record in Ledger(folder).records().values()
    }


@pytest.fixture(scope="module")
def here(experiment, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("local") / "out"
    assert run(experiment, folder) == 0
    assert len(results(folder)) == 4
    return folder


@pytest.mark.slow
def test_shards_train_their_part_and_a_last_call_reports(here, experiment, tmp_path):
    assert run(experiment, tmp_path, "--shard", "1/2") == 0
    assert Ledger(tmp_path).status()["pending"] == 2
    assert not (tmp_path / "report.html").exists()
    assert run(experiment, tmp_path, "--shard", "2/2") == 0
    assert run(experiment, tmp_path) == 0
    assert results(tmp_path) == results(here)
    assert (tmp_path / "report.html").exists()
    assert not (tmp_path / "records.jsonl").exists()  # nothing was left to train


@pytest.mark.slow
def test_a_worker_s_records_count_before_the_client_has_them(
    here, experiment, tmp_path
):
    """A worker finishes a group whose client has died: the next call trains the other
    group only."""
    study = study_of(experiment, tmp_path)
    ledger = Ledger(tmp_path)
    group = groups_of(study)[0]
    task = GroupTask(
        study=study.name,
        one_trajectory=True,
        runs=group,
        known=frozenset({group[0].id}),
        folder=tmp_path,
    )
    (first,) = train_group(task, source="shower")
    assert first.id == group[1].id
    assert set(ledger.records()) == {first.id}
    assert run(experiment, tmp_path) == 0
    assert results(tmp_path) == results(here)
    assert not (tmp_path / "checkpoints").exists()


def test_a_worker_with_other_jets_refuses(experiment, tmp_path):
    study = study_of(experiment, tmp_path)
    task = GroupTask(
        study="two",
        one_trajectory=True,
        runs=[replace(study.runs[0], source="store:elsewhere")],
        known=frozenset(),
        folder=tmp_path,
    )
    with pytest.raises(ValueError, match="finds other jets"):
        train_group(task, source="shower")


@pytest.mark.slow
def test_processes_give_the_same_records(here, experiment, tmp_path):
    assert run(experiment, tmp_path, "--on", "processes", "--workers", "2") == 0
    assert results(tmp_path) == results(here)
    assert not (tmp_path / "checkpoints").exists()


@pytest.mark.parametrize(
    "options",
    [
        ["--on", "foo"],
        ["--on", "dask://nohost"],
        ["--shard", "3/2"],
        ["--shard", "0/2"],
        ["--shard", "x"],
        ["--shard", "1/2", "--on", "processes"],
        ["--workers", "2"],
    ],
)
def test_impossible_options_are_refused_in_a_line(
    options, experiment, tmp_path, capsys
):
    assert run(experiment, tmp_path / "out", *options) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "out").exists()
