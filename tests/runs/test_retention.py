"""Retention: the weight files that stay on the disk, by the study's choice."""

from pathlib import Path

import pytest

from jetlab.records import Record
from jetlab.runs.retention import Retention
from tests.runs.records import make_record
from tests.runs.records import make_run as run


def record(folder: Path, name: str, loss: float | None, **fields) -> Record:
    """A record whose weights, final and best, are on the disk."""
    weights = {} if loss is None else {"final": name, "best": f"{name}-best"}
    for file in weights.values():
        (folder / file).write_text("weights")
    status = "diverged" if loss is None else "done"
    return make_record(name, status, loss=loss, weights=weights, **fields)


def kept(folder: Path) -> set[str]:
    """Names without suffix; final and best weights stay or go together."""
    names = {path.name for path in folder.iterdir()}
    runs = {name.removesuffix("-best") for name in names}
    assert names == runs | {f"{name}-best" for name in runs}
    return runs


LOSSES = {"a": 2.0, "b": 1.5, "c": 1.75, "d": 1.5}


@pytest.mark.parametrize(
    ("keep", "files"),
    [("best", {"b", "wide"}), ("all", {*LOSSES, "wide"}), ("none", set())],
)
def test_files_kept_by_a_study(tmp_path, keep, files):
    """The lowest loss of each width; of equal ones the first."""
    retention = Retention(tmp_path, [run(0)], keep)
    for name, loss in LOSSES.items():
        retention.add(record(tmp_path, name, loss))
    retention.add(record(tmp_path, "wide", 3.0, width=8))
    retention.add(record(tmp_path, "nan", None))
    assert kept(tmp_path) == files


def test_the_best_of_each_task_and_inputs_is_kept(tmp_path):
    retention = Retention(tmp_path, [run(0)], "best")
    retention.add(record(tmp_path, "a", 2.0))
    retention.add(record(tmp_path, "b", 3.0, inputs="full-40"))
    retention.add(record(tmp_path, "c", 4.0, task="mass"))
    retention.add(record(tmp_path, "d", 5.0, task="mass"))
    assert kept(tmp_path) == {"a", "b", "c"}


@pytest.mark.parametrize("keep", ["best", "none"])
def test_weights_of_parents_stay(tmp_path, keep):
    parent = run(1)
    retention = Retention(tmp_path, [run(2, init_from=parent)], keep)
    retention.add(record(tmp_path, "best", 1.0))
    retention.add(record(tmp_path, parent.id, 2.0))
    retention.add(record(tmp_path, "worse", 3.0))
    assert kept(tmp_path) == {parent.id} | ({"best"} if keep == "best" else set())


def test_the_same_record_may_come_twice(tmp_path):
    """A resumed study reads the records that it has."""
    retention = Retention(tmp_path, [run(0)], "best")
    best = record(tmp_path, "a", 1.0)
    for one in (best, best, record(tmp_path, "b", 2.0), best):
        retention.add(one)
    assert kept(tmp_path) == {"a"}


def test_files_that_are_gone_already_are_no_error(tmp_path):
    retention = Retention(tmp_path, [run(0)], "none")
    one = record(tmp_path, "a", 1.0)
    for name in one.weights.values():
        (tmp_path / name).unlink()
    retention.add(one)
    assert kept(tmp_path) == set()


def test_weights_are_saved_if_any_may_be_kept(tmp_path):
    child = run(2, init_from=run(1))
    assert Retention(tmp_path, [run(0)], "best").saves
    assert Retention(tmp_path, [run(0)], "all").saves
    assert Retention(tmp_path, [child], "none").saves
    assert not Retention(tmp_path, [run(0)], "none").saves
