"""From an experiment's file to a folder with records, figures, tables and a report."""

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from jetlab.data.shower import Shower
from jetlab.data.store import Store
from jetlab.records import Record
from jetlab.studies import programs, report
from jetlab.studies.dispatch import NOMINAL_PARTICLES, at_once, run_study, total_cost
from jetlab.studies.ledger import Ledger, write_whole
from jetlab.studies.study import Findings, Study, load_experiment
from jetlab.types import Source


def open_source(name: str) -> Source:
    """`shower`, or the store in a folder. Raises ValueError where it is neither."""
    return Shower() if name == "shower" else Store(name)


def plan(experiment: Path, size: str, source: Source) -> Study:
    """The study of an experiment's file. Raises ValueError for an unknown size."""
    module = load_experiment(experiment)
    if size not in module.SIZES:
        known = ", ".join(module.SIZES)
        raise ValueError(f"{experiment} has no size {size!r}: choose from {known}")
    return module.study(size, source)


def perform(
    study: Study, experiment: Path, size: str, source: Source, out: Path
) -> list[Record]:
    """Train what is missing in `out`; the records of the whole study."""
    ledger = Ledger(out)
    with ledger.at_work():
        # the experiment goes with its records, so that the report can be made again
        write_whole(out / "experiment.py", experiment.read_text())
        _forget(out)
        ledger.write_plan(
            {
                "study": study.name,
                "size": size,
                "source": source.identity,
                "at_once": at_once(),
                "runs": [run.id for run in study.runs],
            }
        )
        programs.keep(out / "programs")
        records = run_study(study, source, ledger)
        ledger.tidy()
        return records


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
            path.unlink()


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
