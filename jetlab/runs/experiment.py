"""From an experiment's file to a folder with records, figures, tables and a report."""

import platform
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from jetlab.atomic import write_text
from jetlab.data.features import Inputs
from jetlab.data.source import open_source
from jetlab.records import Record
from jetlab.runs import report
from jetlab.runs.compilation_cache import enable_compilation_cache
from jetlab.runs.cost import NOMINAL_PARTICLES, at_once, total_flops
from jetlab.runs.dispatch import take_shard
from jetlab.runs.ledger import Ledger
from jetlab.runs.report import Findings
from jetlab.runs.runner import groups_of, run_elsewhere, run_study
from jetlab.runs.study import Study, load_experiment
from jetlab.types import Source


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """A study of a file at one size on one source, and the folder of its results.

    `source` is "shower" or the folder of a store. With `inputs` the study uses these
    input configurations in place of its own.

    Raises:
      ValueError: for a file that is no experiment, an unknown size or source, or inputs
        that its size does not take.
    """

    file: Path
    size: str
    source: str
    out: Path
    inputs: Sequence[str | Inputs] = ()

    def study(self, jets: Source) -> Study:
        """The study on these jets."""
        module = load_experiment(self.file)
        if self.size not in module.SIZES:
            known = ", ".join(module.SIZES)
            raise ValueError(
                f"{self.file} has no size {self.size!r}: choose from {known}"
            )
        if self.inputs:
            own = module.SIZES[self.size]
            if not hasattr(own, "inputs"):
                raise ValueError(
                    f"{self.file} takes no --inputs: its sizes have no inputs"
                )
            module.SIZES[self.size] = replace(own, inputs=tuple(self.inputs))
        return module.study(self.size, jets)

    def announce(self) -> str:
        """The cost of the study in one line."""
        study = self.study(open_source(self.source))
        flops = total_flops(study.runs, one_trajectory=study.one_trajectory)
        return (
            f"{study.name}: {len(study.runs)} runs, {flops:.2g} FLOPs"
            f" at most (6 n_p N D, n_p up to {NOMINAL_PARTICLES} particles a jet)"
        )

    def run(self, *, on: str = "local", workers: int | None = None) -> list[Record]:
        """Train what is missing, here or on workers; the records of the study."""
        jets = open_source(self.source)
        study, ledger = self.study(jets), Ledger(self.out)
        with ledger.lock():
            parallel = at_once() if on == "local" else workers or at_once()
            self._prepare(ledger, study, jets, parallel)
            train_study(study, jets, self.source, ledger, on=on, workers=workers)
        records = ledger.records()
        return [records[run.id] for run in study.runs]

    def run_shard(self, shard: tuple[int, int]) -> tuple[int, int]:
        """Train the missing runs of every n-th group, beside other processes that train
        the other groups; how many runs of the study are unfinished, and of how many."""
        jets = open_source(self.source)
        study, ledger = self.study(jets), Ledger(self.out, shard)
        groups = take_shard(groups_of(study), shard)
        part = replace(study, runs=tuple(run for group in groups for run in group))
        with ledger.lock():
            self._prepare(ledger, study, jets, at_once())
            # machines may differ in their processors: each keeps programs of its own
            enable_compilation_cache(self.out / "programs" / platform.node())
            run_study(part, jets, ledger)
        known, ids = ledger.records(), {run.id for run in study.runs}
        return len(ids - known.keys()), len(ids)

    def _prepare(
        self, ledger: Ledger, study: Study, source: Source, parallel: int
    ) -> None:
        """The plan, and the experiment's file, so that the report can be made again."""
        write_text(ledger.folder / "experiment.py", self.file.read_text())
        _clear_results(ledger.folder)
        write_plan(ledger, study, source, parallel, size=self.size)


def train_study(
    study: Study,
    jets: Source,
    source: str,
    ledger: Ledger,
    *,
    on: str = "local",
    workers: int | None = None,
) -> None:
    """Train what a locked ledger lacks, in this process or on workers, which open the
    jets by the name `source`."""
    enable_compilation_cache(ledger.folder / "programs")
    if on == "local":
        run_study(study, jets, ledger)
    else:
        run_elsewhere(study, source, ledger, on=on, workers=workers)
    ledger.merge()


def write_plan(
    ledger: Ledger, study: Study, source: Source, parallel: int, *, size: str = ""
) -> None:
    """Write what the folder will hold."""
    ledger.write_plan(
        {
            "study": study.name,
            "size": size,
            "source": source.identity,
            "at_once": parallel,
            "runs": [run.id for run in study.runs],
            "arms": [run.arm for run in study.runs],
        }
    )


def planned_records(ledger: Ledger) -> list[Record]:
    """The records of a folder's study, one for each run and arm, in its order.

    Raises:
      ValueError: where the folder holds no study, or one of a version without arms.
    """
    plan, records = ledger.plan(), ledger.records()
    if "arms" not in plan:
        raise ValueError(
            f"{ledger.folder} was made before studies named their arms: give the"
            " 'jetlab run' that made it once more; it keeps what is finished"
        )
    return [
        replace(records[name], arm=arm)
        for name, arm in zip(plan["runs"], plan["arms"], strict=True)
        if name in records
    ]


def make_report(out: Path) -> tuple[Path, Findings]:
    """Analyse the records in `out`; figures, tables and `report.html`.

    Raises:
      ValueError: where `out` holds no study or a grid without an analysis, or no run of
        it has finished.
    """
    ledger = Ledger(out)
    plan, records = ledger.plan(), planned_records(ledger)
    if not any(record.status == "done" for record in records):
        raise ValueError(f"no run in {out} has finished: see 'jetlab status {out}'")
    if not (out / "experiment.py").exists():
        raise ValueError(
            f"{out} holds a grid without an analysis: read it in Python with"
            " jetlab.read_runs"
        )
    enable_compilation_cache(out / "programs")
    module = load_experiment(out / "experiment.py")
    findings = module.analyse(records)
    findings.save(out)
    page = report.page(_title(module), findings, _facts(plan, records))
    write_text(out / "report.html", page)
    return out / "report.html", findings


def _clear_results(out: Path) -> None:
    """Remove the results of an earlier study of the same folder."""
    for pattern in ("*.png", "*.pdf", "tables.*", "fit*.json", "report.html"):
        for path in out.glob(pattern):
            path.unlink(missing_ok=True)  # another shard may do the same


def _title(module: ModuleType) -> str:
    return (module.__doc__ or module.__name__).strip().splitlines()[0]


def _facts(plan: dict[str, Any], records: Sequence[Record]) -> dict[str, str]:
    distinct = {record.id: record for record in records}.values()
    done = [record for record in distinct if record.status == "done"]
    others = [record for record in distinct if record.status != "done"]
    facts = {
        "jets": plan["source"],
        "size": plan["size"],
        "runs": f"{len(done)} done of {len(set(plan['runs']))}",
        "compute": f"{sum(r.C for r in done):.2e} FLOPs (6 n_p N D)",
        "device": ", ".join(sorted({record.device for record in done})),
        "jetlab": ", ".join(sorted({record.version for record in done})),
    }
    for record in others:
        facts[f"run {record.id}"] = f"{record.status}: {record.message}"
    return facts
