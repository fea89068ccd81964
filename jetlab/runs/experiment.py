"""An experiment: a study of a file, trained into a folder and reported."""

import platform
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from jetlab.atomic import write_text
from jetlab.data.features import Inputs
from jetlab.records import Record
from jetlab.runs.compilation_cache import enable_compilation_cache
from jetlab.runs.cost import NOMINAL_PARTICLES, at_once, total_flops
from jetlab.runs.dispatch import check
from jetlab.runs.ledger import Ledger
from jetlab.runs.runner import run_study
from jetlab.runs.sources import SHOWER, open_source
from jetlab.runs.study import Study, load_experiment
from jetlab.runs.workers import run_on_workers
from jetlab.types import Source

RESULTS = (
    "*.png",
    "*.svg",
    "*.pdf",
    "tables.*",
    "fit*.json",
    "runs.csv",
    "report.html",
)
"""Files of a report, which the next study of the folder deletes."""


def default_source(file: Path) -> str:
    """The name of the source of an experiment's file, its `SOURCE`; the shower where it
    has none.

    Raises:
      ValueError: for a file that is not an experiment.
    """
    return getattr(load_experiment(file), "SOURCE", SHOWER)


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """The study of a file at one size on one source, and the folder of its results.

    Attributes:
      file: a Python file with `study` and `SIZES`.
      size: a key of its `SIZES`.
      source: a name of `jetlab.runs.sources.open_source`.
      out: folder of records, weights and report.
      inputs: input configurations in place of the size's own.
    """

    file: Path
    size: str
    source: str
    out: Path
    inputs: Sequence[str | Inputs] = ()

    def study(self, jets: Source) -> Study:
        """The study on these jets.

        Raises:
          ValueError: for a file that is not an experiment, an unknown size, `inputs`
            that its sizes do not have, or an error of its `study`.
        """
        module = load_experiment(self.file)
        if self.size not in module.SIZES:
            known = ", ".join(module.SIZES)
            raise ValueError(
                f"{self.file} has no size {self.size!r}: choose from {known}"
            )
        if self.inputs:
            size = module.SIZES[self.size]
            if not hasattr(size, "inputs"):
                raise ValueError(
                    f"{self.file} takes no --inputs: its sizes have no inputs"
                )
            module.SIZES[self.size] = replace(size, inputs=tuple(self.inputs))
        try:
            return module.study(self.size, jets)
        except (ValueError, OSError):
            raise
        except Exception as error:  # any error of the user's file
            reason = f"{type(error).__name__}: {error}"
            raise ValueError(f"study of {self.file} failed: {reason}") from error

    def cost_estimate(self) -> str:
        """Number of runs and FLOPs, in one line."""
        study = self.study(open_source(self.source))
        flops = total_flops(study.runs, one_trajectory=study.one_trajectory)
        return (
            f"{study.name}: {len(study.runs)} runs, {flops:.2g} FLOPs"
            f" at most (6 n_p N D, n_p up to {NOMINAL_PARTICLES} particles a jet)"
        )

    def run(
        self,
        *,
        on: str = "local",
        workers: int | None = None,
        shard: tuple[int, int] | None = None,
    ) -> list[Record]:
        """Train the missing runs; see `train_study`.

        Returns:
          The records of the study: one for each finished run and arm.
        """
        jets = open_source(self.source)
        train_study(
            self.study(jets),
            jets,
            self.out,
            name=self.source,
            on=on,
            workers=workers,
            shard=shard,
            size=self.size,
            file=self.file,
        )
        return Ledger(self.out).planned_records()


def train_study(
    study: Study,
    jets: Source,
    out: Path,
    *,
    name: str,
    on: str = "local",
    workers: int | None = None,
    shard: tuple[int, int] | None = None,
    size: str = "",
    file: Path | None = None,
) -> None:
    """Train the runs of a study that a folder lacks. Finished runs are kept, and
    unfinished ones resume from their checkpoints.

    Args:
      study: runs and analysis.
      jets: the source that all runs name.
      out: the folder.
      name: of the source, by which workers open it.
      on: "local", "processes", "dask://HOST:PORT", "slurm" or "htcondor".
      workers: number of workers, where `on` starts them.
      shard: (i, n) trains every n-th group, beginning with the i-th, in this process,
        beside other processes that train the others.
      size: recorded in the plan.
      file: an experiment, copied so that the report can be made from the folder alone.

    Raises:
      ValueError: where another process trains in the folder, for an unknown `on`, or a
        source with too few jets.
      Unfinished: after all other groups have finished, with the groups that failed.
      OSError: for a cluster that cannot be started or is lost.
    """
    check(on, workers)
    ledger, programs = Ledger(out, shard), out / "programs"
    if shard:  # machines may differ in their processors: each has a cache of its own
        programs /= platform.node()
    with ledger.lock():
        _prepare(ledger, study, jets, workers or at_once(), size, file)
        enable_compilation_cache(programs)
        if on == "local":
            run_study(study, jets, ledger, shard)
        else:
            run_on_workers(study, name, ledger, on=on, workers=workers)
        if shard is None:
            ledger.merge()


def _prepare(
    ledger: Ledger,
    study: Study,
    jets: Source,
    parallel: int,
    size: str,
    file: Path | None,
) -> None:
    """Replace the plan, the experiment's file and the report of an earlier study."""
    copy = ledger.folder / "experiment.py"
    if file or copy.exists():
        for pattern in RESULTS:
            for path in ledger.folder.glob(pattern):
                path.unlink(missing_ok=True)  # another shard may do the same
    if file:
        write_text(copy, file.read_text())
    else:
        copy.unlink(missing_ok=True)
    ledger.write_plan(
        {
            "study": study.name,
            "size": size,
            "source": jets.identity,
            "at_once": parallel,
            "runs": [run.id for run in study.runs],
            "arms": [run.arm for run in study.runs],
        }
    )
