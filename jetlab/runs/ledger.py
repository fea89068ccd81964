"""The results of a study on disk: one line a run, appended once, never rewritten.

A line counts only when its newline has arrived: a run killed while it wrote leaves a
torn last line, which is cut off before the next one is added. Each file has one writer;
readers take all files together.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

from jetlab.atomic import write_text
from jetlab.records import Record


class Ledger:
    """Records in `folder/records.jsonl`, the study's plan in `folder/plan.json`.

    A shard (i, n) of a study writes a file of its own, and so does a worker that trains
    a group of runs, in the group's folder of checkpoints.
    """

    def __init__(self, folder: Path | str, shard: tuple[int, int] | None = None):
        self.folder = Path(folder)
        self._suffix = f".{shard[0]}of{shard[1]}" if shard else ""
        self.path = self.folder / f"records{self._suffix}.jsonl"

    def records(self) -> dict[str, Record]:
        """The latest whole record of each run by its id; a failed retry never replaces
        a success from another file.

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

    def checkpoints(self, group: str) -> Path:
        """The folder of a group's unfinished runs."""
        return self.folder / "checkpoints" / group

    @property
    def weights(self) -> Path:
        """The folder of the weights of finished runs."""
        return self.folder / "weights"

    def merge(self) -> None:
        """Take over the records of workers and remove what is left over: empty folders
        of checkpoints, weights without a record. For a process that holds the lock of
        the whole folder."""
        own = _read(self.path)
        for path in self.folder.glob("checkpoints/*/records.jsonl"):
            left = Ledger(path.parent)
            if left.is_locked():
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
        if not (self.folder / "checkpoints").exists():  # else a worker still trains
            self._remove_orphans()

    def _remove_orphans(self) -> None:
        """Weights whose process died before it wrote the record."""
        known = {
            name
            for record in self.records().values()
            for name in record.weights.values()
        }
        for path in self.weights.glob("*"):
            if path.name not in known:
                path.unlink()

    def write_plan(self, plan: dict[str, Any]) -> None:
        """Write `plan.json`, whole."""
        write_text(self.folder / "plan.json", json.dumps(plan, indent=1))

    def plan(self) -> dict[str, Any]:
        """What was asked for: study, size, source, the ids of the runs and their arms.

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
    def lock(self, *, patient: bool = False) -> Iterator[None]:
        """Hold the folder for writing; the system releases it when the process ends.

        Shards of a study hold it together, each its own file of it. `patient` waits
        for the process that holds it.

        Raises:
          ValueError: where another process holds it.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        wanted = {"lock": not self._suffix, f"lock{self._suffix}": True}
        with ExitStack() as stack:
            for name, alone in wanted.items():
                file = stack.enter_context((self.folder / name).open("a+"))
                if not _lock(file, alone=alone, patient=patient):
                    raise ValueError(
                        f"another jetlab run is at work in {self.folder}: wait for it, "
                        "or choose another --out"
                    )
            self._refuse_other_shards()
            self._repair()
            yield

    def is_locked(self) -> bool:
        """Whether a process holds the folder."""
        return _is_locked(self.folder / "lock")

    def status(self) -> dict[str, int]:
        """How many of the planned runs are done, running, failed and pending."""
        plan, records = self.plan(), self.records()
        ids = list(dict.fromkeys(plan["runs"]))
        ended = [records[i].status for i in ids if i in records]
        done = ended.count("done")
        unfinished = len(ids) - len(ended)
        shards = sum(map(_is_locked, self.folder.glob("lock.*of*")))
        at_once = plan["at_once"] * max(1, shards)
        running = min(unfinished, at_once) if self.is_locked() else 0
        return {
            "done": done,
            "running": running,
            "failed": len(ended) - done,
            "pending": unfinished - running,
        }

    def _refuse_other_shards(self) -> None:
        """Shards of another number would train the same groups."""
        ours = "of" + self._suffix.partition("of")[2]
        for path in self.folder.glob("lock.*of*"):
            if not path.name.endswith(ours) and _is_locked(path):
                raise ValueError(
                    f"shards of another number are at work in {self.folder}: wait "
                    "for them, or divide by the same number"
                )

    def _files(self) -> list[Path]:
        kept = [self.folder / "records.jsonl"]
        shards = sorted(self.folder.glob("records.*of*.jsonl"))
        return kept + shards + sorted(self.folder.glob("checkpoints/*/records.jsonl"))

    def _repair(self) -> None:
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
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ValueError(
                f"{path}, line {number}: not a record ({error}); "
                "move the line elsewhere to go on without it"
            ) from error
        found[record.id] = record
    return found


def _lock(file: IO[str], *, alone: bool = True, patient: bool = False) -> bool:
    kind = fcntl.LOCK_EX if alone else fcntl.LOCK_SH
    try:
        fcntl.flock(file, kind if patient else kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_locked(path: Path) -> bool:
    if not path.exists():
        return False
    with path.open() as lock:
        return not _lock(lock)
