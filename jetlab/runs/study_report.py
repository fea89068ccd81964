"""The report of a folder of runs: its analysis as files and a page, and the page of a
study that still trains."""

import time
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

from jetlab.atomic import write_text
from jetlab.laws.tables.csv_tables import write_csv
from jetlab.records import Record, Table
from jetlab.runs.compilation_cache import enable_compilation_cache
from jetlab.runs.ledger import Ledger
from jetlab.runs.report import REFRESH, Findings, TextTable, render_html
from jetlab.runs.study import load_experiment

LISTED = 500  # runs in the table of a page; runs.csv has all

CITE = "arXiv:2602.15781, and jetlab with the version above"


def make_report(out: Path) -> tuple[Path, Findings]:
    """Analyse the records in `out` and write figures, tables, `runs.csv` (one row a
    finished run) and `report.html`.

    Returns:
      The path of the page, and the findings.

    Raises:
      ValueError: where `out` holds no study, a study without an analysis or of a
        version without arms, or no finished run.
    """
    ledger = Ledger(out)
    plan, records = ledger.plan(), ledger.planned_records()
    if not any(record.status == "done" for record in records):
        raise ValueError(f"no run in {out} has finished: see 'jetlab status {out}'")
    if not (out / "experiment.py").exists():
        raise ValueError(
            f"{out} holds a grid without an analysis: read it in Python with"
            " jetlab.read_runs"
        )
    write_text(out / "runs.csv", write_csv(Table.of_records(records)))
    enable_compilation_cache(out / "programs")
    module = load_experiment(out / "experiment.py")
    findings = module.analyse(records)
    findings.save(out)
    path = out / "report.html"
    _write(path, title_of(module), findings, plan, records, running=False)
    return path, findings


class ProgressPage:
    """The page of a study that trains: what has finished so far. A shard writes none,
    as others train beside it."""

    def __init__(self, ledger: Ledger, name: str, shard: tuple[int, int] | None = None):
        self._ledger, self._name, self._last = ledger, name, -float(REFRESH)
        self._wanted = shard is None

    def update(self) -> None:
        """Write the page, at most every `REFRESH` seconds; a folder without an
        experiment has none, as nothing would end it."""
        wanted = self._wanted and (self._ledger.folder / "experiment.py").exists()
        if not wanted or time.monotonic() - self._last < REFRESH:
            return
        self._last = time.monotonic()
        plan, records = self._ledger.plan(), self._ledger.planned_records()
        path = self._ledger.folder / "report.html"
        _write(path, self._name, Findings(sentences=[]), plan, records, running=True)


def _write(
    path: Path,
    title: str,
    findings: Findings,
    plan: Mapping[str, Any],
    records: Sequence[Record],
    *,
    running: bool,
) -> None:
    """The page of a study, with the table of all its runs last."""
    findings.tables["All runs"] = runs_table(records)
    ended, planned = len({record.id for record in records}), len(set(plan["runs"]))
    state = f"{ended} of {planned} runs ended; size {plan['size']}; {plan['source']}"
    page = render_html(
        title,
        findings,
        _facts(plan, records),
        state=f"training: {state}" if running else state,
        running=running,
    )
    write_text(path, page)


def title_of(module: ModuleType) -> str:
    """The first line of an experiment's docstring."""
    return (module.__doc__ or module.__name__).strip().splitlines()[0]


def runs_table(records: Iterable[Record]) -> TextTable:
    """Every run as a row, those with the lowest loss first."""
    rows = sorted(records, key=lambda r: (r.loss is None, r.loss or 0.0))
    cells = [
        [
            r.inputs,
            r.arm,
            str(r.width),
            f"{r.N:,}",
            f"{r.D:,}",
            f"{r.epochs}",
            f"{r.seed}",
            f"{r.learning_rate:.2g}",
            f"{r.C:.2e}",
            "" if r.loss is None else f"{r.loss:.4f}",
            _metric(r, "excess"),
            r.status if not r.message else f"{r.status}: {r.message}",
        ]
        for r in rows[:LISTED]
    ]
    headers = [
        "inputs", "arm", "d", "N", "D", "epochs", "seed", "rate", "C [FLOPs]", "loss",
        "above the floor", "status",
    ]  # fmt: skip
    return TextTable(headers, cells)


def _metric(record: Record, name: str) -> str:
    return f"{record.metrics[name]:.4f}" if name in record.metrics else ""


def _facts(plan: Mapping[str, Any], records: Sequence[Record]) -> dict[str, str]:
    """How the results were made."""
    distinct = {record.id: record for record in records}.values()
    done = [record for record in distinct if record.status == "done"]
    whole = [record for record in done if not record.trajectory]
    facts = {
        "jets": plan["source"],
        "size": plan["size"],
        "runs": f"{len(done)} done of {len(set(plan['runs']))}",
        "compute": f"{sum(r.C for r in whole):.2e} FLOPs, 6 n_p N D epochs of every"
        " trajectory",
        "training": f"{sum(r.seconds for r in whole) / 60:.0f} minutes of"
        f" {', '.join(sorted({r.device for r in done}))}, summed over trajectories",
        "versions": f"jetlab {', '.join(sorted({r.version for r in done}))}; jax"
        f" {version('jax')}",
        "files": "runs.csv, records.jsonl, fit.json, tables.tex, figures as PNG, SVG"
        " and PDF, experiment.py",
        "cite": CITE,
    }
    return facts
