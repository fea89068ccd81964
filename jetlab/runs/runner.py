"""The runner: trains the runs that a study's folder lacks, here or on workers.

Runs of one compiled program on the same jets are a group: they train together and share
a folder of checkpoints. A worker elsewhere keeps records and checkpoints in the group's
folder until the client has taken them over, so its successor resumes where it ended.
"""

import platform
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

from jetlab.data.source import absolute_name, open_source
from jetlab.records import Record
from jetlab.runs.compilation_cache import enable_compilation_cache
from jetlab.runs.cost import at_once
from jetlab.runs.dispatch import map_tasks
from jetlab.runs.ledger import Ledger
from jetlab.runs.retention import Retention
from jetlab.runs.study import Study
from jetlab.training.dataset import Dataset, open_dataset
from jetlab.training.run_config import RunConfig, length_groups
from jetlab.training.trainer import Trainer
from jetlab.training.trajectory import trajectories_of
from jetlab.training.weights import load_weights, params_of
from jetlab.types import Source

T = TypeVar("T")


class Stopped(Exception):
    """Another run failed or the user interrupted: this one ends where it is."""


def groups_of(study: Study) -> list[list[RunConfig]]:
    """The groups of a study, parents before the runs that begin with their weights, and
    the costliest first. A run that stands under several arms is trained once."""
    distinct = list({run.id: run for run in study.runs}.values())
    groups = _by(distinct, lambda run: (_generation(run), run.group)).values()
    return sorted(
        groups, key=lambda group: (_generation(group[0]), -sum(map(_work, group)))
    )


def ended(ledger: Ledger) -> set[str]:
    """Runs that need no more training: a failed one is tried again; a diverged one
    would diverge again."""
    return {r.id for r in ledger.records().values() if r.status != "failed"}


def run_study(study: Study, source: Source, ledger: Ledger) -> None:
    """Train the missing runs in this process, which holds the ledger.

    Raises:
      ValueError: where the source has too few jets, or a worker trains a group.
    """
    known, groups = ended(ledger), groups_of(study)
    for group in groups:
        folder = ledger.checkpoints(group[0].group)
        if Ledger(folder).is_locked():
            raise ValueError(f"a worker still trains in {folder}: wait for it")
    retention = _retention(study, ledger)
    with _progress(study, known) as bar:
        for parts in _by(groups, lambda group: _reads(group[0])).values():
            missing = [g for g in parts if any(run.id not in known for run in g)]
            if missing:
                first = missing[0][0]
                bar.set_postfix_str(f"reading {first.pool + first.num_valid} jets")
                dataset = open_dataset(source, first)
                bar.set_postfix_str("compiling")
                _train_here(study, missing, dataset, ledger, known, retention, bar)


def _train_here(
    study: Study,
    groups: Sequence[Sequence[RunConfig]],
    dataset: Dataset,
    ledger: Ledger,
    known: set[str],
    retention: Retention,
    bar: tqdm,
) -> None:
    """Groups on the same jets, a few side by side."""
    lock, stop = threading.Lock(), threading.Event()

    def advance(run: RunConfig, steps: int) -> None:
        if stop.is_set():
            raise Stopped
        with lock:
            bar.update(_work(run) * steps / run.steps)

    def train(runs: Sequence[RunConfig]) -> None:
        trainer = Trainer(
            runs,
            dataset,
            study.name,
            one_trajectory=study.one_trajectory,
            known=known,
            folder=ledger.checkpoints(runs[0].group),
            weights=ledger.weights if retention.saves else None,
            on_steps=advance,
            initial_params=partial(_initial_params, ledger),
        )
        for record in trainer:
            with lock:
                ledger.add(record)
                retention.add(record)
                bar.set_postfix_str(_outcome(record))

    with ThreadPoolExecutor(at_once()) as pool:
        pending = [pool.submit(train, group) for group in groups]
        try:
            for future in as_completed(pending):
                future.result()
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise


@dataclass(frozen=True, kw_only=True)
class GroupTask:
    """A group of runs for a worker, the ids of those that have ended, and the study's
    folder on the shared file system."""

    study: str
    one_trajectory: bool
    runs: Sequence[RunConfig]
    known: frozenset[str]
    folder: Path
    saves: bool = True

    @property
    def size(self) -> int:
        """Number of runs to train."""
        return sum(run.id not in self.known for run in self.runs)

    def __str__(self) -> str:
        first = self.runs[0]
        label = first.input_config.label
        return f"{self.size} runs with d={first.model.width}, {label}"


def run_elsewhere(
    study: Study, source: str, ledger: Ledger, *, on: str, workers: int | None
) -> None:
    """Train the missing runs on workers; this process holds the ledger.

    Raises:
      Unfinished: after all other groups have finished, with the groups that failed.
      ValueError, OSError: for a cluster that cannot be started or is lost.
    """
    retention = _retention(study, ledger)
    generations = _by(groups_of(study), lambda group: _generation(group[0]))
    for groups in generations.values():
        known = ended(ledger)
        group_tasks = [
            GroupTask(
                study=study.name,
                one_trajectory=study.one_trajectory,
                runs=group,
                known=frozenset(run.id for run in group if run.id in known),
                folder=ledger.folder.resolve(),
                saves=retention.saves,
            )
            for group in groups
        ]
        finished = map_tasks(
            partial(train_group, source=absolute_name(source)),
            [task for task in group_tasks if task.size],
            on=on,
            workers=workers,
            size=lambda task: task.size,
            unit="runs",
            label=_label(study, known),
        )
        for task, records in finished:
            for record in records:
                if record.id not in task.known:
                    ledger.add(record)
                    retention.add(record)


def train_group(task: GroupTask, *, source: str) -> list[Record]:
    """Train the missing runs of a group on a worker; its records. Waits for a process
    that still trains it.

    Raises:
      ValueError: where this machine finds other jets, or too few.
    """
    # machines may differ in their processors: each keeps programs of its own
    enable_compilation_cache(task.folder / "programs" / platform.node())
    study = Ledger(task.folder)
    kept = Ledger(study.checkpoints(task.runs[0].group))
    with kept.lock(patient=True):
        known = task.known | ended(kept)
        if any(run.id not in known for run in task.runs):
            trainer = Trainer(
                task.runs,
                _dataset(source, task.runs[0]),
                task.study,
                one_trajectory=task.one_trajectory,
                known=known,
                folder=kept.folder,
                weights=study.weights if task.saves else None,
                initial_params=partial(_initial_params, study),
            )
            for record in trainer:
                kept.add(record)
        return list(kept.records().values())


_kept: dict[Any, Dataset] = {}  # the last one: the next group often reads the same


def _dataset(source: str, run: RunConfig) -> Dataset:
    """The jets of a run, from the source that the client saw."""
    key = source, run.source, _reads(run)
    if key not in _kept:
        _kept.clear()
        found = open_source(source)
        if found.identity != run.source:
            raise ValueError(
                f"{platform.node()} finds other jets in {source}: {found.identity}, not"
                f" {run.source}; use a folder that all workers share"
            )
        _kept[key] = open_dataset(found, run)
    return _kept[key]


def _initial_params(ledger: Ledger, run: RunConfig) -> Any:
    """The weights that a run begins with; None for the model's own."""
    if run.init_from is None:
        return None
    parent = ledger.records().get(run.init_from.id)
    if parent is None or not parent.weights:
        raise ValueError(
            f"run {run.id} begins with the weights of run {run.init_from.id}, which"
            f" {ledger.folder} does not hold: train that run in the same study"
        )
    name = parent.weights.get("best") or parent.weights["final"]
    return params_of(load_weights(ledger.weights / name), run.model)


def _retention(study: Study, ledger: Ledger) -> Retention:
    retention = Retention(ledger.weights, study.runs, study.keep)
    for record in ledger.records().values():
        retention.add(record)
    return retention


def _generation(run: RunConfig) -> int:
    """How many runs are trained before it, each from the weights of the last."""
    return 0 if run.init_from is None else 1 + _generation(run.init_from)


def _reads(run: RunConfig) -> tuple[Any, ...]:
    """Runs that agree in this train on one `Dataset`, one generation at a time."""
    return _generation(run), run.data_key, run.task, length_groups(run.model)


def _by(items: Iterable[T], key: Callable[[T], Any]) -> dict[Any, list[T]]:
    groups: dict[Any, list[T]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups


def _work(run: RunConfig) -> float:
    """Time in arbitrary units: tiny models pay for their jets, large ones for d."""
    return run.num_train * run.epochs * (8 + run.model.width)


def _label(study: Study, known: set[str]) -> str:
    ids = {run.id for run in study.runs}
    return f"{len(ids - known)} runs ({len(ids & known)} kept)"


def _progress(study: Study, known: set[str]) -> tqdm:
    trajectories = trajectories_of(study.runs, one_trajectory=study.one_trajectory)
    missing = [t for t in trajectories if any(run.id not in known for run in t.runs)]
    return tqdm(
        total=sum(_work(one.run) for one in missing),
        desc=_label(study, known),
        bar_format="{desc} {percentage:3.0f}%|{bar:24}|{elapsed}<{remaining}{postfix}",
    )


def _outcome(record: Record) -> str:
    reached = record.status if record.loss is None else f"loss {record.loss:.3f}"
    return f"d={record.width} D={record.D}: {reached}"
