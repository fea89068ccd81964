"""Retention of the weights of finished runs."""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from jetlab.records import Record
from jetlab.training.run_config import RunConfig

Keep = Literal["best", "all", "none"]
"""Keep the weights of the run of the lowest loss of each width and inputs, of all runs,
or of none. Parents (`init_from` of another run) are always kept."""


class Retention:
    """Deletes the weights that a study does not keep, as its records come in.

    Only weights of recorded runs are deleted: others may belong to a process that is
    still training.
    """

    def __init__(self, folder: Path, runs: Iterable[RunConfig], keep: Keep):
        self._folder, self._keep = folder, keep
        self._parents = {run.init_from.id for run in runs if run.init_from}
        self._best: dict[tuple[str, str, int], Record] = {}

    @property
    def saves(self) -> bool:
        """Whether any weights are written."""
        return self._keep != "none" or bool(self._parents)

    def add(self, record: Record) -> None:
        """Delete the weights of this record, or of the one that it beats."""
        if self._keep == "all" or record.loss is None:
            return
        key = record.task, record.inputs, record.width
        best = self._best.get(key)
        if self._keep == "none" or (best and record.loss >= (best.loss or 0.0)):
            worse = record
        else:
            self._best[key], worse = record, best
        if worse and worse.id != getattr(self._best.get(key), "id", None):
            self._delete(worse)

    def _delete(self, record: Record) -> None:
        if record.id not in self._parents:
            for name in record.weights.values():
                (self._folder / name).unlink(missing_ok=True)
