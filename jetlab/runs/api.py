"""Training from Python: a grid into a folder, and its table."""

from pathlib import Path
from typing import Any

from jetlab.data.store import Store
from jetlab.records import Table
from jetlab.runs.cost import at_once
from jetlab.runs.experiment import planned_records, train_study, write_plan
from jetlab.runs.grid import Grid
from jetlab.runs.ledger import Ledger
from jetlab.runs.retention import Keep
from jetlab.runs.study import Study


def train(
    runs: Grid,
    out: str | Path,
    *,
    keep: Keep = "best",
    on: str = "local",
    workers: int | None = None,
) -> Table:
    """Train what is missing of a grid in the folder `out`; one row a finished run.

    Finished runs in `out` are kept, and unfinished ones resume from their checkpoints:
    the same call goes on where it was stopped. `keep` says whose weights stay on the
    disk, `on` and `workers` where the runs train (`jetlab run --on`).

    Raises:
      ValueError: where another process trains in `out`, or with workers for jets that
        are neither the built-in shower nor a store.
    """
    ledger, source = Ledger(out), runs.source
    study = Study(
        name=Path(out).name,
        runs=runs.runs,
        one_trajectory=runs.one_trajectory,
        keep=keep,
    )
    with ledger.lock():
        write_plan(ledger, study, source, workers or at_once())
        name = _name(source, on)
        train_study(study, source, name, ledger, on=on, workers=workers)
    return read_runs(out)


def read_runs(folder: str | Path) -> Table:
    """The finished runs of a folder, one row a run and arm.

    Raises:
      ValueError: where the folder holds no study.
    """
    return Table.of_records(planned_records(Ledger(folder)))


def _name(source: Any, on: str) -> str:
    """The name by which workers open a source."""
    if on == "local":
        return ""
    if isinstance(source, Store):
        return str(source.path)
    if getattr(source, "simulator", None):
        return "shower"
    raise ValueError(f"--on {on} needs a store, so that workers find the same jets")
