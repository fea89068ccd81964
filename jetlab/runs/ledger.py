"""The results of a study on disk: one JSON line a run, appended, never rewritten.

A line is whole once its newline is written: a process killed while it wrote leaves a
torn last line, which the next writer cuts off. Each file has one writer; readers take
all files together.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from jetlab.atomic import write_text
from jetlab.records import Record


class Ledger:
    """Records in `folder/records.jsonl`, the study's plan in `folder/plan.json`.

    A shard (i, n) of a study writes `records.IofN.jsonl`. A worker writes the records
    of its group into the group's folder of checkpoints, until the client merges them.
    """

    def __init__(self, folder: Path | str, shard: tuple[int, int] | None = None):
        self.folder = Path(folder)
        self._suffix = f".{shard[0]}of{shard[1]}" if shard else ""
        self.path = self.folder / f"records{self._suffix}.jsonl"

    def records(self) -> dict[str, Record]:
        """The latest record of each run by its id; a failed retry never replaces a
        success from another file.

        Raises:
          ValueError: for a whole line that is not a record, with its number.
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
        """The folder of a group's checkpoints."""
        return self.folder / "checkpoints" / group

    @property
    def weights(self) -> Path:
        """The folder of the weights of finished runs."""
        return self.folder / "weights"

    def weights_file(self, record: Record) -> Path | None:
        """The weights that have the loss of the record: those of the lowest validation
        loss where a run stopped early, the averaged ones where it averaged, else those
        after the last step; None for a run that left none."""
        left = record.weights
        name = left.get("best") or left.get("averaged") or left.get("final")
        return self.weights / name if name else None

    def merge(self) -> None:
        """Move the records of workers into this file; delete empty folders of
        checkpoints, and weights without a record. The caller holds the lock."""
        own = _read(self.path)
        for path in self.folder.glob("checkpoints/*/records.jsonl"):
            group = Ledger(path.parent)
            if group.is_locked():
                continue  # a worker that lost its scheduler still trains
            for name, record in group.records().items():
                if name not in own or own[name].status == "failed":
                    self.add(record)
            path.unlink()
            (path.parent / "lock").unlink(missing_ok=True)
        inside = sorted((self.folder / "checkpoints").glob("**/"), reverse=True)
        for path in inside:
            if not any(path.iterdir()):
                path.rmdir()
        if not (self.folder / "checkpoints").exists():  # else a worker may still train
            self._delete_orphans()

    def _delete_orphans(self) -> None:
        """Delete weights whose process died before it wrote their record."""
        known = {
            name
            for record in self.records().values()
            for name in record.weights.values()
        }
        for path in self.weights.glob("*"):
            if path.name not in known:
                path.unlink()

    def write_plan(self, plan: dict[str, Any]) -> None:
        """Write `plan.json`, completely or not at all."""
        write_text(self.folder / "plan.json", json.dumps(plan, indent=1))

    def plan(self) -> dict[str, Any]:
        """Study, size, source, and the ids and arms of the planned runs.

        Raises:
          ValueError: where the folder holds no study.
        """
        path = self.folder / "plan.json"
        if not path.exists():
            raise ValueError(
                f"{self.folder} holds no study: give the --out of a 'jetlab run'"
            )
        return json.loads(path.read_text())

    def planned_records(self) -> list[Record]:
        """The records of the planned runs in order: one for each run and arm, so a run
        under two arms has two.

        Raises:
          ValueError: where the folder holds no study, or one of a version without arms.
        """
        plan, records = self.plan(), self.records()
        if "arms" not in plan:
            raise ValueError(
                f"{self.folder} was made by a version without arms: repeat its"
                " 'jetlab run' command, which keeps finished runs and adds the arms"
            )
        return [
            replace(records[name], arm=arm)
            for name, arm in zip(plan["runs"], plan["arms"], strict=True)
            if name in records
        ]

    @contextmanager
    def lock(self, *, wait: bool = False) -> Iterator[None]:
        """Hold the folder for writing; the system releases it when the process ends.

        Shards hold the folder together, and each its own file. With `wait` this waits
        for the process that holds it.

        Raises:
          ValueError: where another process holds it, unless `wait`.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        files = {"lock": not self._suffix, f"lock{self._suffix}": True}
        with ExitStack() as stack:
            for name, exclusive in files.items():
                file = stack.enter_context((self.folder / name).open("a+"))
                if not _lock(file, exclusive=exclusive, wait=wait):
                    raise ValueError(
                        f"another jetlab run is training in {self.folder}: wait for it,"
                        " or choose another --out"
                    )
            self._refuse_other_shards()
            self._repair()
            yield

    def is_locked(self) -> bool:
        """Whether a process holds the folder."""
        return _is_locked(self.folder / "lock")

    def status(self) -> dict[str, int]:
        """Numbers of planned runs that are done, running, failed and pending."""
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
        """Raises ValueError where shards of another n are training: they divide the
        same groups differently."""
        ours = "of" + self._suffix.partition("of")[2]
        for path in self.folder.glob("lock.*of*"):
            if not path.name.endswith(ours) and _is_locked(path):
                raise ValueError(
                    f"shards I/N of another N are training in {self.folder}: wait for"
                    " them, or give the same N"
                )

    def _files(self) -> list[Path]:
        own = [self.folder / "records.jsonl"]
        shards = sorted(self.folder.glob("records.*of*.jsonl"))
        return own + shards + sorted(self.folder.glob("checkpoints/*/records.jsonl"))

    def _repair(self) -> None:
        """Cut off a torn last line."""
        if self.path.exists():
            content = self.path.read_bytes()
            os.truncate(self.path, content.rfind(b"\n") + 1)


def _read(path: Path) -> dict[str, Record]:
    """The latest record of each run in a file, without a torn last line."""
    if not path.exists():
        return {}
    whole, _, _ = path.read_bytes().rpartition(b"\n")
    found = {}
    for number, line in enumerate(whole.splitlines(), start=1):
        try:
            record = Record.from_json(line.decode())
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ValueError(
                f"{path}, line {number}: not a record ({error}): delete the line, and"
                " its run is trained again"
            ) from error
        found[record.id] = record
    return found


def _lock(file: IO[str], *, exclusive: bool = True, wait: bool = False) -> bool:
    """Whether the lock was taken."""
    kind = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
    try:
        fcntl.flock(file, kind if wait else kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_locked(path: Path) -> bool:
    if not path.exists():
        return False
    with path.open() as lock:
        return not _lock(lock)
