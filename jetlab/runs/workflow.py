"""From an experiment's file to a folder with records, figures, tables and a report."""

import platform
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType

from jetlab.data.source import open_source
from jetlab.records import Record
from jetlab.runs import programs, report
from jetlab.runs.dispatch import share
from jetlab.runs.groups import (
    NOMINAL_PARTICLES,
    at_once,
    groups_of,
    run_study,
    total_cost,
)
from jetlab.runs.ledger import Ledger, write_whole
from jetlab.runs.remote import at_once_on, run_elsewhere
from jetlab.runs.study import Findings, Study, load_experiment
from jetlab.types import Source


def plan(experiment: Path, size: str, source: Source) -> Study:
    """The study of an experiment's file. Raises ValueError for an unknown size."""
    module = load_experiment(experiment)
    if size not in module.SIZES:
        known = ", ".join(module.SIZES)
        raise ValueError(f"{experiment} has no size {size!r}: choose from {known}")
    return module.study(size, source)


def perform(
    study: Study,
    experiment: Path,
    size: str,
    source: str,
    out: Path,
    *,
    on: str = "local",
    workers: int | None = None,
) -> list[Record]:
    """Train what is missing in `out`, here or elsewhere; the records of the study."""
    ledger = Ledger(out)
    jets = open_source(source)
    with ledger.at_work():
        here = at_once() if on == "local" else at_once_on(on, workers)
        _prepare(ledger, study, experiment, size, jets, here)
        programs.keep(out / "programs")
        if on == "local":
            run_study(study, jets, ledger)
        else:
            run_elsewhere(study, source, ledger, on=on, workers=workers)
        ledger.tidy()
    records = ledger.records()
    return [records[run.id] for run in study.runs]


def perform_shard(
    study: Study,
    experiment: Path,
    size: str,
    source: str,
    out: Path,
    shard: tuple[int, int],
) -> int:
    """Train what is missing of every n-th group of runs, beside other processes that
    do the other groups; how many runs of the study are open when it ends."""
    groups = share(groups_of(study), shard)
    part = replace(study, runs=tuple(run for group in groups for run in group))
    ledger = Ledger(out, shard)
    jets = open_source(source)
    with ledger.at_work():
        _prepare(ledger, study, experiment, size, jets, at_once())
        # machines may differ in their processors: each keeps programs of its own
        programs.keep(out / "programs" / platform.node())
        run_study(part, jets, ledger)
    known = ledger.records()
    return sum(run.id not in known for run in study.runs)


def _prepare(
    ledger: Ledger,
    study: Study,
    experiment: Path,
    size: str,
    source: Source,
    at_once: int,
) -> None:
    """Say in the study's folder what it will hold."""
    # the experiment goes with its records, so that the report can be made again
    write_whole(ledger.folder / "experiment.py", experiment.read_text())
    _forget(ledger.folder)
    ledger.write_plan(
        {
            "study": study.name,
            "size": size,
            "source": source.identity,
            "at_once": at_once,
            "runs": [run.id for run in study.runs],
        }
    )


def announce(study: Study) -> str:
    """What a study will cost, in one line."""
    return (
        f"{study.name}: {len(study.runs)} runs, {total_cost(study):.2g} FLOPs"
        f" at most (6 n_p N D, n_p up to {NOMINAL_PARTICLES} particles a jet)"
    )


def conclude(out: Path) -> tuple[Path, Findings]:
    """Analyse what the ledger in `out` holds; figures, tables and `report.html`.

    Raises:
      ValueError: where `out` holds no study, or no run of it has finished.
    """
    ledger = Ledger(out)
    asked = ledger.plan()
    records = ledger.records()
    done = [records[i] for i in asked["runs"] if i in records]
    if not any(record.status == "done" for record in done):
        raise ValueError(f"no run in {out} has finished: see 'jetlab status {out}'")
    programs.keep(out / "programs")
    module = load_experiment(out / "experiment.py")
    findings = module.analyse(done)
    findings.save(out)
    page = report.page(_title(module), findings, _facts(asked, done))
    write_whole(out / "report.html", page)
    return out / "report.html", findings


def _forget(out: Path) -> None:
    """Remove what an earlier study made of its records: it may be another one."""
    for pattern in ("*.png", "*.pdf", "tables.*", "fit*.json", "report.html"):
        for path in out.glob(pattern):
            path.unlink(missing_ok=True)  # another shard may do the same


def _title(module: ModuleType) -> str:
    return (module.__doc__ or module.__name__).strip().splitlines()[0]


def _facts(asked: dict, records: Sequence[Record]) -> dict[str, str]:
    done = [record for record in records if record.status == "done"]
    others = [r for r in records if r.status != "done"]
    facts = {
        "jets": asked["source"],
        "size": asked["size"],
        "runs": f"{len(done)} done of {len(asked['runs'])}",
        "compute": f"{sum(r.C for r in done):.2e} FLOPs (6 n_p N D)",
        "device": ", ".join(sorted({record.device for record in done})),
        "jetlab": ", ".join(sorted({record.version for record in done})),
    }
    for record in others:
        facts[f"run {record.id}"] = f"{record.status}: {record.message}"
    return facts
