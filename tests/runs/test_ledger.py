"""No finished run is lost, and no torn line counts as a record."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from jetlab.runs import ledger as module
from jetlab.runs.ledger import Ledger
from tests.runs.records import make_record as record


@pytest.fixture
def ledger(tmp_path) -> Ledger:
    ledger = Ledger(tmp_path)
    ledger.write_plan(
        {"runs": ["a", "b", "c"], "arms": ["one", "one", "one"], "at_once": 2}
    )
    return ledger


def statuses(ledger: Ledger) -> dict[str, str]:
    return {name: found.status for name, found in ledger.records().items()}


def test_records_are_read_back_as_written(ledger):
    kept = record("a", loss=0.123456789012345, curve=((50, 2.25), (100, 2.0)))
    with ledger.lock():
        ledger.add(kept)
        ledger.add(record("b", "diverged", message="nan"))
    assert ledger.records()["a"] == kept


def test_a_record_is_on_disk_before_add_returns(ledger, monkeypatch):
    contents = []

    def fsync(descriptor: int) -> None:
        assert os.path.samestat(os.fstat(descriptor), os.stat(ledger.path))
        contents.append(ledger.path.read_text())

    monkeypatch.setattr(module.os, "fsync", fsync)
    one, other = record("a", loss=1.0), record("b", loss=2.0)
    with ledger.lock():
        ledger.add(one)
        ledger.add(other)
    first = one.to_json() + "\n"
    assert contents == [first, first + other.to_json() + "\n"]


def test_a_torn_last_line_is_ignored_and_then_cut_off(ledger):
    with ledger.lock():
        ledger.add(record("a", loss=1.0))
        ledger.add(record("b", loss=2.0))
    whole = ledger.path.read_bytes()
    for torn in (whole[:-10], whole[:-1]):  # the newline is the last byte of a record
        ledger.path.write_bytes(torn)
        assert list(ledger.records()) == ["a"]
        with ledger.lock():
            ledger.add(record("b", loss=2.0))
        assert ledger.path.read_bytes() == whole


def test_a_line_that_is_not_a_record_is_named(ledger):
    with ledger.lock():
        ledger.add(record("a", loss=1.0))
    ledger.path.write_bytes(ledger.path.read_bytes() + b"rubbish\n")
    with pytest.raises(ValueError, match=r"records.jsonl, line 2: not a record"):
        ledger.records()


def test_a_nan_is_not_written(ledger):
    with ledger.lock(), pytest.raises(ValueError, match="JSON"):
        ledger.add(record("a", loss=float("nan")))
    assert ledger.records() == {}


def test_the_latest_line_of_a_file_counts(ledger):
    with ledger.lock():
        ledger.add(record("a", "failed", message="memory"))
        ledger.add(record("a", loss=1.0))
        ledger.add(record("b", loss=2.0))
        ledger.add(record("b", "failed"))
        ledger.add(record("c", loss=3.0))
        ledger.add(record("c", loss=4.0))
    assert statuses(ledger) == {"a": "done", "b": "failed", "c": "done"}
    assert ledger.records()["c"].loss == 4.0


def test_a_failure_never_replaces_a_success_of_another_file(tmp_path):
    """Files are read in the order of the shards: both orders are tried."""
    first, second = (Ledger(tmp_path, (number, 2)) for number in (1, 2))
    with first.lock(), second.lock():
        first.add(record("a", loss=1.0))
        second.add(record("a", "failed", message="memory"))
        first.add(record("b", "failed", message="memory"))
        second.add(record("b", loss=2.0))
        first.add(record("c", "failed"))
        second.add(record("c", "diverged"))
    found = Ledger(tmp_path)
    assert statuses(found) == {"a": "done", "b": "done", "c": "diverged"}
    assert found.records()["a"].loss == 1.0


def test_two_processes_do_not_share_a_folder(ledger):
    with (
        ledger.lock(),
        pytest.raises(ValueError, match="another jetlab run is training in"),
        Ledger(ledger.folder).lock(),
    ):
        pass
    assert not ledger.is_locked()


@pytest.mark.parametrize("other", [None, (1, 2), (3, 8)])
def test_shards_refuse_processes_that_would_train_their_runs(tmp_path, other):
    with (
        Ledger(tmp_path, (1, 2)).lock(),
        pytest.raises(ValueError, match=r"another jetlab run|shards I/N of another N"),
        Ledger(tmp_path, other).lock(),
    ):
        pass


def test_a_folder_without_a_study_is_named(tmp_path):
    with pytest.raises(ValueError, match="holds no study"):
        Ledger(tmp_path / "nowhere").status()


def test_the_status_counts_planned_runs(ledger):
    ledger.write_plan({"runs": ["a", "b", "c", "d", "e", "a"], "at_once": 2})
    with ledger.lock():
        ledger.add(record("a", loss=1.0))
        ledger.add(record("b", "diverged"))
        ledger.add(record("another", loss=1.0))  # of an earlier study of the folder
        counts = {"done": 1, "failed": 1, "running": 2, "pending": 1}
        assert ledger.status() == counts
    assert ledger.status() == counts | {"running": 0, "pending": 3}


def test_every_shard_runs_its_number_at_once(tmp_path):
    Ledger(tmp_path).write_plan({"runs": list("abcde"), "at_once": 2})
    with Ledger(tmp_path, (1, 3)).lock():
        assert Ledger(tmp_path).status()["running"] == 2
        with Ledger(tmp_path, (3, 3)).lock():
            assert Ledger(tmp_path).status()["running"] == 4


def test_planned_records_are_in_order_and_one_for_each_arm(ledger):
    ledger.write_plan(
        {"runs": ["b", "a", "b", "c"], "arms": ["fixed", "fixed", "tuned", "tuned"]}
    )
    with ledger.lock():
        ledger.add(record("a", loss=1.0, arm="old"))
        ledger.add(record("b", loss=2.0, arm="old"))
        ledger.add(record("d", loss=3.0))
    found = [(one.id, one.arm, one.loss) for one in ledger.planned_records()]
    assert found == [("b", "fixed", 2.0), ("a", "fixed", 1.0), ("b", "tuned", 2.0)]


def test_weights_of_the_lowest_validation_loss_come_first(ledger):
    both = record("a", weights={"final": "f", "best": "b"})
    assert ledger.weights_file(both) == ledger.folder / "weights" / "b"
    final = record("a", weights={"final": "f"})
    assert ledger.weights_file(final) == ledger.folder / "weights" / "f"
    assert ledger.weights_file(record("a")) is None


def worker(ledger: Ledger, group: str, *records) -> Ledger:
    """The folder of a group with the records of a worker."""
    folder = ledger.checkpoints(group)
    folder.mkdir(parents=True, exist_ok=True)
    for one in records:
        Ledger(folder).add(one)
    return Ledger(folder)


def test_a_merge_moves_the_records_of_workers(ledger):
    with ledger.lock():
        ledger.add(record("a", loss=1.0))
        ledger.add(record("b", "failed"))
        worker(ledger, "one", record("a", loss=9.0), record("b", loss=2.0))
        with worker(ledger, "two", record("c", loss=3.0)).lock():
            pass  # its lock file stays behind
        ledger.merge()
    lines = [json.loads(line) for line in ledger.path.read_text().splitlines()]
    found = [(line["id"], line["loss"]) for line in lines]
    assert found == [("a", 1.0), ("b", None), ("b", 2.0), ("c", 3.0)]
    assert not (ledger.folder / "checkpoints").exists()


def test_a_merge_leaves_the_group_of_a_worker_that_trains(ledger):
    ledger.weights.mkdir()
    (ledger.weights / "not-yet-recorded").touch()
    with worker(ledger, "one", record("a", loss=1.0)).lock(), ledger.lock():
        ledger.merge()
        assert not ledger.path.exists()
        assert list(ledger.records()) == ["a"]
    assert ledger.checkpoints("one").exists()
    assert (ledger.weights / "not-yet-recorded").exists()


def test_a_merge_deletes_weights_without_a_record(ledger):
    ledger.weights.mkdir()
    for name in ("final", "best", "orphan"):
        (ledger.weights / name).touch()
    with ledger.lock():
        ledger.add(record("a", weights={"final": "final", "best": "best"}))
        ledger.merge()
    assert {path.name for path in ledger.weights.iterdir()} == {"final", "best"}


def test_a_merge_deletes_empty_folders_of_checkpoints(tmp_path):
    ledger = Ledger(tmp_path)
    ledger.merge()  # nothing there yet
    ledger.checkpoints("done").mkdir(parents=True)
    ledger.merge()
    assert not (tmp_path / "checkpoints").exists()
    ledger.checkpoints("open").mkdir(parents=True)
    (ledger.checkpoints("open") / "state").write_text("kept")
    (ledger.checkpoints("done") / "inner").mkdir(parents=True)
    ledger.merge()
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["open"]


def test_a_killed_writer_loses_at_most_its_last_line(tmp_path):
    """kill -9 at random moments of a process that does nothing but add records."""
    script = textwrap.dedent(
        """
        import json, pathlib, sys
        from jetlab.records import Record
        from jetlab.runs.ledger import Ledger
        line = json.loads(sys.argv[2])
        ledger = Ledger(pathlib.Path(sys.argv[1]))
        with ledger.lock():
            number = len(ledger.records())
            while True:
                ledger.add(Record.from_json(json.dumps({**line, "id": f"run{number}"})))
                print(number, flush=True)
                number += 1
        """
    )
    fields = json.dumps(dataclasses.asdict(record("x", curve=[(1, 2.0)] * 400)))
    command = [sys.executable, "-c", script, str(tmp_path), fields]
    reported = 0
    for patience in (0.02, 0.05, 0.01):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == f"{reported}\n"
        time.sleep(patience)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        with process.stdout as rest:
            reported += 1 + len(rest.read().splitlines())
        kept = Ledger(tmp_path).records()
        assert list(kept) == [f"run{i}" for i in range(len(kept))]
        # every reported record is there; one more may be, not yet reported
        assert reported <= len(kept) <= reported + 1
        reported = len(kept)
