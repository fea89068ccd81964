"""The results of a study on disk: one line a run, appended once, never rewritten.

A line counts only when its newline has arrived: a run killed while it wrote leaves a
torn last line, which is cut off before the next one is added. Each file has one writer;
who reads takes all of them together.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

from jetlab.data.atomic import atomic_file
from jetlab.records import Record


class Ledger:
    """Records in `folder/records.jsonl`, the study's plan in `folder/plan.json`.

    A shard (i, n) of a study writes a file of its own, and so does the worker that
    trains a group of runs elsewhere, in the group's folder of checkpoints.
    """

    def __init__(self, folder: Path | str, shard: tuple[int, int] | None = None):
        self.folder = Path(folder)
        self._suffix = f".{shard[0]}of{shard[1]}" if shard else ""
        self.path = self.folder / f"records{self._suffix}.jsonl"

    def records(self) -> dict[str, Record]:
        """Every whole record by its id; the last word where a run was tried again, but
        a failure in one file does not take back what another one has.

        Raises:
          ValueError: for a line in the middle that is no record, naming it.
        """
        found: dict[str, Record] = {}
        for path in self._files():
            for name, record in _read(path).items():
                if name not in found or record.status != "failed":
                    found[name] = record
        return found

    def add(self, record: Record) -> None:
        """Append a record; it is on the disk when this returns."""
        with self.path.open("ab") as file:
            file.write(record.to_json().encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def checkpoints(self, name: str) -> Path:
        """Where unfinished runs of one shape are kept."""
        return self.folder / "checkpoints" / name

    def tidy(self) -> None:
        """Take over what workers left, remove the folders of unfinished runs that are
        empty. For who holds the folder alone."""
        own = _read(self.path)
        for path in self.folder.glob("checkpoints/*/records.jsonl"):
            left = Ledger(path.parent)
            if left.held():
                continue  # by a worker that lost its scheduler and trains on
            for name, record in left.records().items():
                if name not in own or own[name].status == "failed":
                    self.add(record)
            path.unlink()
            (path.parent / "lock").unlink()
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
    def at_work(self, *, patient: bool = False) -> Iterator[None]:
        """Hold the folder for writing; the system lets go when the process dies.

        Shards of a study hold it together, each its own file of it. `patient` waits
        for who holds it.

        Raises:
          ValueError: where another process holds it.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        wanted = {"lock": not self._suffix, f"lock{self._suffix}": True}
        with ExitStack() as stack:
            for name, alone in wanted.items():
                lock = stack.enter_context((self.folder / name).open("a+"))
                if not _lock(lock, alone=alone, patient=patient):
                    raise ValueError(
                        f"another jetlab run is at work in {self.folder}: wait for it, "
                        "or choose another --out"
                    )
            self._refuse_other_shares()
            self._mend()
            yield

    def held(self) -> bool:
        """Whether a process is at work in the folder."""
        return _held(self.folder / "lock")

    def status(self) -> dict[str, int]:
        """How many of the planned runs are done, running, failed and pending."""
        ids = self.plan()["runs"]
        records = self.records()
        ended = [records[i].status for i in ids if i in records]
        done = ended.count("done")
        open_runs = len(ids) - len(ended)
        shards = sum(map(_held, self.folder.glob("lock.*of*")))
        at_once = self.plan()["at_once"] * max(1, shards)
        running = min(open_runs, at_once) if self.held() else 0
        return {
            "done": done,
            "running": running,
            "failed": len(ended) - done,
            "pending": open_runs - running,
        }

    def _refuse_other_shares(self) -> None:
        """Shards of another number would do the same groups."""
        ours = "of" + self._suffix.partition("of")[2]
        for path in self.folder.glob("lock.*of*"):
            if not path.name.endswith(ours) and _held(path):
                raise ValueError(
                    f"shards of another number are at work in {self.folder}: wait "
                    "for them, or divide by the same number"
                )

    def _files(self) -> list[Path]:
        kept = [self.folder / "records.jsonl"]
        shards = sorted(self.folder.glob("records.*of*.jsonl"))
        return kept + shards + sorted(self.folder.glob("checkpoints/*/records.jsonl"))

    def _mend(self) -> None:
        """Cut off a line that a killed process left half-written."""
        if self.path.exists():
            content = self.path.read_bytes()
            os.truncate(self.path, content.rfind(b"\n") + 1)


def _read(path: Path) -> dict[str, Record]:
    """The whole records of a file."""
    if not path.exists():
        return {}
    whole, _, _ = path.read_bytes().rpartition(b"\n")
    found = {}
    for number, line in enumerate(whole.splitlines(), start=1):
        try:
            record = Record.from_json(line.decode())
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(
                f"{path}, line {number}: not a record ({error}); "
                "move the line elsewhere to go on without it"
            ) from error
        found[record.id] = record
    return found


def write_whole(path: Path, text: str) -> None:
    """Write a file that is there whole or not at all, whoever else writes it."""
    with atomic_file(path) as partial:
        partial.write_text(text)


def _lock(file: IO[str], *, alone: bool = True, patient: bool = False) -> bool:
    kind = fcntl.LOCK_EX if alone else fcntl.LOCK_SH
    try:
        fcntl.flock(file, kind if patient else kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _held(path: Path) -> bool:
    if not path.exists():
        return False
    with path.open() as lock:
        return not _lock(lock)
