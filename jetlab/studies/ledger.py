"""The results of a study on disk: one line a run, appended once, never rewritten.

A line counts only when its newline has arrived: a run killed while it wrote leaves a
torn last line, which is cut off before the next one is added.
"""

import dataclasses
import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from jetlab.records import Record, Rejected


class Ledger:
    """Records in `folder/records.jsonl`, the study's plan in `folder/plan.json`."""

    def __init__(self, folder: Path | str):
        self.folder = Path(folder)
        self.path = self.folder / "records.jsonl"

    def records(self) -> dict[str, Record]:
        """Every whole record by its id; the last word where a run was tried again.

        Raises:
          ValueError: for a line in the middle that is no record, naming it.
        """
        if not self.path.exists():
            return {}
        whole, _, _ = self.path.read_bytes().rpartition(b"\n")
        found = {}
        for number, line in enumerate(whole.splitlines(), start=1):
            try:
                record = _record(json.loads(line))
            except (ValueError, TypeError, KeyError) as error:
                raise ValueError(
                    f"{self.path}, line {number}: not a record ({error}); "
                    "move the line elsewhere to go on without it"
                ) from error
            found[record.id] = record
        return found

    def add(self, record: Record) -> None:
        """Append a record; it is on the disk when this returns."""
        line = json.dumps(dataclasses.asdict(record), allow_nan=False) + "\n"
        with self.path.open("ab") as file:
            file.write(line.encode())
            file.flush()
            os.fsync(file.fileno())

    def checkpoints(self, name: str) -> Path:
        """Where unfinished runs of one shape are kept."""
        return self.folder / "checkpoints" / name

    def tidy(self) -> None:
        """Remove the folders of unfinished runs that are empty."""
        inside = sorted((self.folder / "checkpoints").glob("**/"), reverse=True)
        for path in inside:
            if not any(path.iterdir()):
                path.rmdir()

    def write_plan(self, plan: dict[str, Any]) -> None:
        write_whole(self.folder / "plan.json", json.dumps(plan, indent=1))

    def plan(self) -> dict[str, Any]:
        """What was asked for: study, size, source and the ids of the runs.

        Raises:
          ValueError: where the folder holds no study.
        """
        path = self.folder / "plan.json"
        if not path.exists():
            raise ValueError(
                f"{self.folder} holds no study: give the --out of a 'jetlab run'"
            )
        return json.loads(path.read_text())

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Hold the folder for writing; the system lets go when the process dies.

        Raises:
          ValueError: where another process holds it.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("a+") as lock:
            if not _lock(lock):
                raise ValueError(
                    f"another jetlab run is at work in {self.folder}: wait for it, "
                    "or choose another --out"
                )
            self._mend()
            yield

    def held(self) -> bool:
        """Whether a process is at work in the folder."""
        path = self.folder / "lock"
        if not path.exists():
            return False
        with path.open() as lock:
            return not _lock(lock)

    def status(self) -> dict[str, int]:
        """How many of the planned runs are done, running, failed and pending."""
        ids = self.plan()["runs"]
        records = self.records()
        ended = [records[i].status for i in ids if i in records]
        done = ended.count("done")
        open_runs = len(ids) - len(ended)
        running = min(open_runs, self.plan()["at_once"]) if self.held() else 0
        return {
            "done": done,
            "running": running,
            "failed": len(ended) - done,
            "pending": open_runs - running,
        }

    def _mend(self) -> None:
        """Cut off a line that a killed process left half-written."""
        if self.path.exists():
            content = self.path.read_bytes()
            os.truncate(self.path, content.rfind(b"\n") + 1)


def _record(fields: dict[str, Any]) -> Record:
    for name in ("curve", "valid_curve"):
        fields[name] = tuple((step, loss) for step, loss in fields.get(name, ()))
    fields["rejections"] = tuple(Rejected(*r) for r in fields.get("rejections", ()))
    return Record(**fields)


def write_whole(path: Path, text: str) -> None:
    """Write a file that is there whole or not at all."""
    partial = path.with_name(path.name + ".partial")
    with partial.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def _lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
