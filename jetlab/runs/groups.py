"""Groups of runs that are trained together; those of a study in this process."""

import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path

import jax
from tqdm import tqdm

from jetlab.records import Record
from jetlab.runs.ledger import Ledger
from jetlab.runs.study import Study
from jetlab.training.dataset import Dataset, open_dataset
from jetlab.training.run_config import RunConfig, cost, length_groups
from jetlab.training.trainer import Trainer
from jetlab.training.trajectory import trajectories_of
from jetlab.types import Source

NOMINAL_PARTICLES = 40
"""n_p of arXiv:2602.15781, for a cost that is told before any jet is read."""


class Stopped(Exception):
    """Another run failed or the user interrupted: this one ends where it is."""


def at_once() -> int:
    """Groups of runs that train side by side: one on accelerators, two on a CPU.

    One tiny run cannot keep two cores busy; more than two compete for the caches.
    Programs of several devices wait for one another if two of them begin at once.
    """
    if jax.default_backend() != "cpu" or jax.device_count() > 1:
        return 1
    return min(2, os.cpu_count() or 1)


def total_cost(study: Study) -> float:
    """FLOPs of what is trained by the paper's estimate, repeated runs with all passes
    that they may take; 40 particles a jet, or as many as its inputs show."""
    jobs = trajectories_of(study.runs, one_trajectory=study.one_trajectory)
    shown = [min(NOMINAL_PARTICLES, job.run.input_config.particles) for job in jobs]
    return sum(cost(job.run, n_p) for job, n_p in zip(jobs, shown, strict=True))


def groups_of(study: Study) -> list[list[RunConfig]]:
    """Runs of one shape on the same jets, which train together; the costliest first."""
    groups = _by(study.runs, lambda run: run.group)
    return sorted(groups, key=lambda group: -sum(map(_work, group)))


def folder_of(group: Sequence[RunConfig], ledger: Ledger) -> Path:
    """Where a group's checkpoints are kept."""
    return ledger.checkpoints(group[0].group)


def ended(ledger: Ledger) -> set[str]:
    """Runs that need no more training: a failed one is tried again; a diverged one
    would diverge again."""
    return {r.id for r in ledger.records().values() if r.status != "failed"}


def run_study(study: Study, source: Source, ledger: Ledger) -> None:
    """Train the runs that a ledger held by this process lacks.

    Raises:
      ValueError: where the source has too few jets.
    """
    known = ended(ledger)
    for group in groups_of(study):
        if Ledger(folder := folder_of(group, ledger)).held():
            raise ValueError(f"a worker is still at work in {folder}: wait for it")
    with _progress(study, known) as bar:
        for runs in _by(study.runs, _data):
            if all(run.id in known for run in runs):
                continue
            first = runs[0]
            bar.set_postfix_str(f"reading {first.pool + first.num_valid} jets")
            feed = open_dataset(source, first)
            bar.set_postfix_str("compiling")
            _train(replace(study, runs=tuple(runs)), feed, ledger, known, bar)


def _train(
    study: Study, feed: Dataset, ledger: Ledger, known: set[str], bar: tqdm
) -> None:
    """Groups on the same jets side by side, the costliest first."""
    lock, stop = threading.Lock(), threading.Event()

    def advance(run: RunConfig, steps: int) -> None:
        if stop.is_set():
            raise Stopped
        with lock:
            bar.update(_work(run) * steps / run.steps)

    def train(runs: Sequence[RunConfig]) -> None:
        group = Trainer(
            runs,
            feed,
            study.name,
            one_trajectory=study.one_trajectory,
            known=known,
            folder=folder_of(runs, ledger),
            weights=ledger.weights,
            on_steps=advance,
        )
        for record in group:
            with lock:
                ledger.add(record)
                bar.set_postfix_str(_outcome(record))

    groups = [g for g in groups_of(study) if any(r.id not in known for r in g)]
    with ThreadPoolExecutor(at_once()) as pool:
        pending = [pool.submit(train, group) for group in groups]
        try:
            for future in as_completed(pending):
                future.result()
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise


def _data(run: RunConfig) -> tuple:
    """Runs that agree in this read the same jets."""
    return run.data_key, run.task, length_groups(run.model)


def _by(runs: Sequence[RunConfig], key) -> list[list[RunConfig]]:
    groups = {}
    for run in runs:
        groups.setdefault(key(run), []).append(run)
    return list(groups.values())


def _work(run: RunConfig) -> float:
    """Time in arbitrary units: tiny models pay for their jets, large ones for d."""
    return run.num_train * run.epochs * (8 + run.model.width)


def _progress(study: Study, known: set[str]) -> tqdm:
    jobs = trajectories_of(study.runs, one_trajectory=study.one_trajectory)
    open_ = [job for job in jobs if any(run.id not in known for run in job.runs)]
    kept = sum(run.id in known for run in study.runs)
    return tqdm(
        total=sum(_work(job.run) for job in open_),
        desc=f"{len(study.runs) - kept} runs ({kept} kept)",
        bar_format="{desc} {percentage:3.0f}%|{bar:24}|{elapsed}<{remaining}{postfix}",
    )


def _outcome(record: Record) -> str:
    reached = record.status if record.loss is None else f"loss {record.loss:.3f}"
    return f"d={record.width} D={record.D}: {reached}"
