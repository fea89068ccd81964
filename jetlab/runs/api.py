"""Training from Python: a grid into a folder, and its table."""

from pathlib import Path

from jetlab.data.store import Store
from jetlab.records import Table
from jetlab.runs.experiment import train_study
from jetlab.runs.grid import Grid
from jetlab.runs.ledger import Ledger
from jetlab.runs.retention import Keep
from jetlab.runs.sources import SHOWER, TAUGHT, open_source
from jetlab.runs.study import Study
from jetlab.types import Source


def train(
    runs: Grid,
    out: str | Path,
    *,
    keep: Keep = "best",
    on: str = "local",
    workers: int | None = None,
) -> Table:
    """Train the runs of a grid that the folder `out` lacks.

    Finished runs are kept, and unfinished ones resume from their checkpoints: after an
    interruption the same call continues.

    Args:
      runs: the grid.
      out: folder of records, weights and checkpoints.
      keep: whose weights stay in `out`: "best" of each width and inputs, "all" or
        "none". Those that other runs begin with (`init_from`) always stay.
      on: "local", "processes", "dask://HOST:PORT", "slurm" or "htcondor".
      workers: number of workers, where `on` starts them.

    Returns:
      One row for each finished run of the grid and arm.

    Raises:
      ValueError: where another process trains in `out`, for an unknown `keep` or `on`,
        or for workers and a source that they cannot open.
      Unfinished: after all other groups have finished, with the groups that failed on
        workers.
    """
    study = Study(
        name=Path(out).name,
        runs=runs.runs,
        one_trajectory=runs.one_trajectory,
        keep=keep,
    )
    name = "" if on == "local" else _name(runs.source)
    train_study(study, runs.source, Path(out), name=name, on=on, workers=workers)
    return read_runs(out)


def read_runs(folder: str | Path) -> Table:
    """The finished runs of a folder, one row a run and arm.

    Raises:
      ValueError: where the folder holds no study, or one of a version without arms.
    """
    return Table.of_records(Ledger(folder).planned_records())


def _name(source: Source) -> str:
    """The name by which workers open a source."""
    if isinstance(source, Store):
        return str(source.path)
    for name in (SHOWER, TAUGHT):
        if source.identity == open_source(name).identity:
            return name
    raise ValueError(
        f"workers cannot open {source.identity}: write its jets into a store, or train"
        " with on='local'"
    )
