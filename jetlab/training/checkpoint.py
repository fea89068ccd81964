"""Checkpoints: the state of training on disk, from which a killed process resumes.

The leaves of a state are written as one vector of bytes, beside a list of their names,
dtypes and shapes: exact for every dtype, and in a third of the time of one array per
leaf for small states.
"""

import json
import re
import shutil
import textwrap
import warnings
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jetlab.training.serialization import Bytes, Leaves, digest, leaves_of, pack, unpack

CHECKPOINT_INTERVAL = 20.0
"""Seconds between the checkpoints of a trainer, which a killed run may lose."""

UNFINISHED = r"\d+\.orbax-checkpoint-tmp.*"
DAMAGED = r"\d+\.damaged"


class Saved(NamedTuple):
    """A restored checkpoint."""

    step: int
    state: Any
    notes: dict[str, Any]


class Checkpoints:
    """The latest `keep` checkpoints, each in `folder/<step>`, complete or absent.

    One thread of one process uses a folder. A state may be sharded over the devices of
    that process; an array that several processes share must be replicated.
    """

    def __init__(self, folder: Path, keep: int = 2):
        self.folder = folder.resolve()
        self.keep = keep
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._writing: Future[None] | None = None

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        try:
            self.wait()
        except OSError as failed:
            if error is None:
                raise
            error.add_note(str(failed))
        finally:
            self._worker.shutdown()

    def save(self, step: int, state: Any, notes: dict[str, Any]) -> None:
        """Copy the state and the notes now, and write them in the background.

        Waits for the previous save. The notes are JSON values.

        Raises:
          OSError: if the previous save failed.
          TypeError: for a leaf or a note that cannot be written.
          ValueError: if the folder already holds this or a later step.
        """
        self.wait()
        newest = max(self._steps(), default=-1)
        if step <= newest:
            raise ValueError(
                f"{self.folder} already holds step {newest}, so step {step} cannot be"
                " saved: resume from latest(), or clear() the folder"
            )
        leaves, data = leaves_of(state), pack(state)
        copied = json.loads(json.dumps(notes))
        self._writing = self._worker.submit(self._write, step, leaves, data, copied)

    def wait(self) -> None:
        """Wait until the last save is on the disk.

        Raises:
          OSError: if it could not be written.
        """
        if self._writing is not None:
            failed = self._writing.exception()
            self._writing = None
            if failed is not None:
                raise failed

    def latest(self, like: Any) -> Saved | None:
        """The latest undamaged checkpoint; None without one.

        A damaged checkpoint is renamed, with a warning, and the one before it is tried.

        Args:
          like: a pytree of arrays or `jax.ShapeDtypeStruct`s with the structure and the
            devices of the state, or a function from the notes to such a pytree.

        Raises:
          ValueError: if the checkpoint holds a state of another structure.
        """
        self.wait()
        for path in self._named(UNFINISHED):
            warnings.warn(f"{path} is incomplete and is not used", stacklevel=2)
        for step in reversed(self._steps()):
            if (found := self._read(step, like)) is not None:
                return found
        return None

    def clear(self) -> None:
        """Delete the checkpoints, the latest last, and the folder if it is empty."""
        self.wait()
        steps = [self.folder / str(step) for step in self._steps()]
        for path in self._named(UNFINISHED) + self._named(DAMAGED) + steps:
            shutil.rmtree(path)
        if self.folder.exists() and not any(self.folder.iterdir()):
            self.folder.rmdir()

    def _steps(self) -> list[int]:
        return sorted(int(path.name) for path in self._named(r"\d+"))

    def _named(self, pattern: str) -> list[Path]:
        found = self.folder.iterdir() if self.folder.exists() else ()
        return [path for path in found if re.fullmatch(pattern, path.name)]

    def _manager(self) -> Any:
        """An Orbax manager of the folder as it is now, for this process alone."""
        import orbax.checkpoint as ocp  # takes a second: not at the top

        own = jax.process_index()
        alone = ocp.options.MultiprocessingOptions(own, active_processes={own})
        options = ocp.CheckpointManagerOptions(
            preservation_policy=ocp.checkpoint_managers.LatestN(self.keep),
            create=False,
            enable_async_checkpointing=False,  # `_worker` hashes and writes
            save_root_metadata=False,
            lightweight_initialize=True,
            multiprocessing_options=alone,
        )
        return ocp.CheckpointManager(self.folder, options=options)

    def _write(
        self, step: int, leaves: Leaves, data: Bytes, notes: dict[str, Any]
    ) -> None:
        import orbax.checkpoint as ocp

        header = {"leaves": leaves, "notes": notes}
        items = ocp.args.Composite(
            state=ocp.args.StandardSave({"bytes": data}),
            header=ocp.args.JsonSave(header | {"digest": digest(data, header)}),
        )
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._sweep()
            with self._manager() as manager:
                if not manager.save(step, args=items):
                    raise RuntimeError("Orbax skipped the save")
        except Exception as error:
            self._sweep()
            raise OSError(
                f"{self.folder}: the checkpoint of step {step} could not be written "
                f"({_short(error)}). Earlier checkpoints are kept: free space if the "
                "disk is full, and run the same command again to resume from them"
            ) from error

    def _sweep(self) -> None:
        for path in self._named(UNFINISHED):
            shutil.rmtree(path)

    def _read(self, step: int, like: Any) -> Saved | None:
        import orbax.checkpoint as ocp

        items = ocp.args.Composite(
            state=ocp.args.StandardRestore({"bytes": np.empty(0, np.uint8)}),
            header=ocp.args.JsonRestore(),
        )
        with self._manager() as manager:
            try:
                found = manager.restore(step, args=items)
                header, data = found.header, found.state["bytes"]
                if header.pop("digest") != digest(data, header):
                    raise ValueError("its digest does not match its content")
            except MemoryError:
                raise
            except Exception as error:  # damage raises errors of many types
                self._set_aside(step, error)
                return None
        try:
            template = like(header["notes"]) if callable(like) else like
            state = unpack(template, header["leaves"], data)
        except ValueError as error:
            raise ValueError(
                f"{self.folder}: the checkpoint of step {step} is of another run: "
                f"{error}; use that run's settings, or another folder"
            ) from error
        return Saved(step, state, header["notes"])

    def _set_aside(self, step: int, error: Exception) -> None:
        aside = self.folder / f"{step}.damaged"
        if aside.exists():
            shutil.rmtree(aside)
        (self.folder / str(step)).rename(aside)
        rest = "the one before it is used" if self._steps() else "there is none before"
        warnings.warn(
            f"{self.folder}: the checkpoint of step {step} is damaged "
            f"({_short(error)}) and renamed to {aside.name}; {rest}",
            stacklevel=4,
        )


def _short(error: Exception) -> str:
    return textwrap.shorten(f"{type(error).__name__}: {error}", 300)
