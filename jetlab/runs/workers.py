"""Training by workers: groups of runs in other processes or on a cluster.

A worker keeps records and checkpoints in the group's folder until the client has taken
over the records, so a second worker resumes where the first one ended.
"""

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from jetlab.records import Record
from jetlab.runs.compilation_cache import enable_compilation_cache
from jetlab.runs.dispatch import map_tasks
from jetlab.runs.groups import (
    dataset_key,
    ended,
    foretell,
    group_by,
    groups_of,
    initial_params,
    label,
    retention_of,
    stage,
)
from jetlab.runs.ledger import Ledger
from jetlab.runs.sources import absolute_name, open_source
from jetlab.runs.study import Study
from jetlab.runs.study_report import ProgressPage
from jetlab.training.dataset import Dataset, open_dataset
from jetlab.training.run_config import RunConfig
from jetlab.training.trainer import Trainer


@dataclass(frozen=True, kw_only=True)
class GroupTask:
    """A group of runs for a worker.

    Attributes:
      study: its name.
      one_trajectory: see `Grid`.
      runs: the group.
      known: ids of its runs that have ended.
      folder: of the study, on a file system that all workers share.
      saves: whether weights are written.
    """

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


def run_on_workers(
    study: Study, source: str, ledger: Ledger, *, on: str, workers: int | None
) -> None:
    """Train the missing runs on workers; the caller holds the ledger's lock.

    Raises:
      Unfinished: after all other groups have finished, with the groups that failed.
      ValueError, OSError: for a cluster that cannot be started or is lost.
    """
    retention, page = retention_of(study, ledger), ProgressPage(ledger, study.name)
    for groups in group_by(groups_of(study), lambda group: stage(group[0])).values():
        foretell(study, ledger, groups)
        known = ended(ledger)
        tasks = [
            _task(study, group, ledger, known, retention.saves) for group in groups
        ]
        finished = map_tasks(
            partial(train_group, source=absolute_name(source)),
            [task for task in tasks if task.size],
            on=on,
            workers=workers,
            size=lambda task: task.size,
            unit="runs",
            label=label(study.runs, known),
        )
        for task, records in finished:
            for record in records:
                if record.id not in task.known:
                    ledger.add(record)
                    retention.add(record)
                    page.update()


def _task(
    study: Study,
    group: Sequence[RunConfig],
    ledger: Ledger,
    known: set[str],
    saves: bool,
) -> GroupTask:
    return GroupTask(
        study=study.name,
        one_trajectory=study.one_trajectory,
        runs=group,
        known=frozenset(run.id for run in group if run.id in known),
        folder=ledger.folder.resolve(),
        saves=saves,
    )


def train_group(task: GroupTask, *, source: str) -> list[Record]:
    """Train the missing runs of a group, on a worker. Waits for a process that still
    trains it.

    Returns:
      The records of the group that the client may lack.

    Raises:
      ValueError: where the source of this name holds other jets here, or too few.
    """
    # machines may differ in their processors: each has a cache of its own
    enable_compilation_cache(task.folder / "programs" / platform.node())
    study = Ledger(task.folder)
    group = Ledger(study.checkpoints(task.runs[0].group))
    with group.lock(wait=True):
        known = task.known | ended(group)
        if any(run.id not in known for run in task.runs):
            trainer = Trainer(
                task.runs,
                _dataset(source, task.runs[0]),
                task.study,
                one_trajectory=task.one_trajectory,
                known=known,
                folder=group.folder,
                weights=study.weights if task.saves else None,
                initial_params=partial(initial_params, study),
            )
            for record in trainer:
                group.add(record)
        return list(group.records().values())


_last_dataset: dict[Any, Dataset] = {}
"""The last dataset of this process: the next group often reads the same jets."""


def _dataset(source: str, run: RunConfig) -> Dataset:
    """The jets of a run, which must be those that the client has."""
    key = source, run.source, dataset_key(run)
    if key not in _last_dataset:
        _last_dataset.clear()
        opened = open_source(source)
        if opened.identity != run.source:
            raise ValueError(
                f"{platform.node()} finds other jets in {source}: {opened.identity},"
                f" not {run.source}; use a folder that all workers share"
            )
        _last_dataset[key] = open_dataset(opened, run)
    return _last_dataset[key]
