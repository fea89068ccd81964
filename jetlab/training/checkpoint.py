"""States of a run on disk, so that a killed one goes on where it was.

The leaves of a state are written as one vector of bytes beside a list of their names,
types and shapes: bit for bit for every type, and in a third of the time that an array
of its own for each leaf of a small state takes.
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

UNFINISHED = r"\d+\.orbax-checkpoint-tmp.*"
DAMAGED = r"\d+\.damaged"


class Saved(NamedTuple):
    """What a checkpoint gives back."""

    step: int
    state: Any
    notes: dict[str, Any]


class Checkpoints:
    """The newest `keep` states of a run, each whole, in `folder/<step>`.

    One thread of one process uses a folder. A state may lie on several devices of that
    process; an array that several processes share must be replicated.
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
        """Copy arrays and JSON-able notes now, write them in the background.

        A save that is still being written is waited for.

        Raises:
          OSError: where the save before this one failed.
          TypeError: for a leaf or a note that cannot be written.
          ValueError: where the folder holds this or a later step already.
        """
        self.wait()
        newest = max(self._steps(), default=-1)
        if step <= newest:
            raise ValueError(
                f"{self.folder} holds step {newest} already, so step {step} cannot "
                "follow: go on from latest(), or clear() the folder"
            )
        leaves, data = leaves_of(state), pack(state)
        copied = json.loads(json.dumps(notes))
        self._writing = self._worker.submit(self._write, step, leaves, data, copied)

    def wait(self) -> None:
        """Return when the last save is on the disk.

        Raises:
          OSError: where it could not be written.
        """
        if self._writing is not None:
            failed = self._writing.exception()
            self._writing = None
            if failed is not None:
                raise failed

    def latest(self, like: Any) -> Saved | None:
        """The newest whole checkpoint, in the structure and on the devices of `like`.

        The leaves of `like` are arrays or `jax.ShapeDtypeStruct`s; or it is a function
        that makes them from the notes. A damaged checkpoint
        is set aside with a warning, and the one before it is tried.

        Raises:
          ValueError: where a whole checkpoint holds a state of another structure.
        """
        self.wait()
        for path in self._named(UNFINISHED):
            warnings.warn(f"{path} was left half-written: not used", stacklevel=2)
        for step in reversed(self._steps()):
            if (found := self._read(step, like)) is not None:
                return found
        return None

    def clear(self) -> None:
        """Remove the checkpoints, the newest last, and the folder if empty."""
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
        """Orbax's view of the folder as it is now, of this process alone."""
        import orbax.checkpoint as ocp  # a second or more, and only now needed

        own = jax.process_index()
        alone = ocp.options.MultiprocessingOptions(own, active_processes={own})
        options = ocp.CheckpointManagerOptions(
            preservation_policy=ocp.checkpoint_managers.LatestN(self.keep),
            create=False,
            enable_async_checkpointing=False,  # hashing wants a thread in any case
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
                    raise RuntimeError("Orbax passed it over")
        except Exception as error:
            self._sweep()
            raise OSError(
                f"{self.folder}: the checkpoint of step {step} could not be written "
                f"({_short(error)}). What was written before is kept: free space on "
                "that disk if it is full, and the same command goes on from there"
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
                    raise ValueError("its content is not what was written")
            except MemoryError:
                raise
            except Exception as error:  # damage shows in as many ways as there are bits
                self._set_aside(step, error)
                return None
        try:
            form = like(header["notes"]) if callable(like) else like
            state = unpack(form, header["leaves"], data)
        except ValueError as error:
            raise ValueError(
                f"{self.folder}: the checkpoint of step {step} is of another run: "
                f"{error}; go on with its settings, or take another folder"
            ) from error
        return Saved(step, state, header["notes"])

    def _set_aside(self, step: int, error: Exception) -> None:
        aside = self.folder / f"{step}.damaged"
        if aside.exists():
            shutil.rmtree(aside)
        (self.folder / str(step)).rename(aside)
        left = "the one before it is used" if self._steps() else "there is none before"
        warnings.warn(
            f"{self.folder}: the checkpoint of step {step} is damaged "
            f"({_short(error)}) and set aside as {aside.name}; {left}",
            stacklevel=4,
        )


def _short(error: Exception) -> str:
    return textwrap.shorten(f"{type(error).__name__}: {error}", 300)
