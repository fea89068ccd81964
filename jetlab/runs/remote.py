"""Groups of runs that workers train elsewhere, in a folder that all of them share.

A worker keeps records and checkpoints in the group's folder until the client has them:
whoever comes after one that died goes on where it was.
"""

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

from jetlab.data.source import absolute_name, open_source
from jetlab.records import Record
from jetlab.runs import programs
from jetlab.runs.dispatch import carry_out
from jetlab.runs.groups import ended, folder_of, groups_of
from jetlab.runs.ledger import Ledger
from jetlab.runs.study import Study
from jetlab.training.dataset import Feed, open_feed
from jetlab.training.run_config import RunConfig
from jetlab.training.trainer import Group


@dataclass(frozen=True, kw_only=True)
class Errand:
    """A group of runs, the ids of those that have ended, and where it is trained."""

    study: str
    one_trajectory: bool
    runs: Sequence[RunConfig]
    known: frozenset[str]
    folder: Path

    @property
    def open(self) -> int:
        return sum(run.id not in self.known for run in self.runs)

    def __str__(self) -> str:
        first = self.runs[0]
        return f"{self.open} runs with d={first.model.width}, {first.inputs}"


def run_elsewhere(
    study: Study, source: str, ledger: Ledger, *, on: str, workers: int | None
) -> None:
    """Train the runs that a ledger held by this process lacks.

    Raises:
      Unfinished: when the others are finished, with the groups that failed.
      ValueError, OSError: for a cluster that cannot be had or is lost.
    """
    known = ended(ledger)
    errands = [
        Errand(
            study=study.name,
            one_trajectory=study.one_trajectory,
            runs=group,
            known=frozenset(run.id for run in group if run.id in known),
            folder=folder_of(group, ledger).resolve(),
        )
        for group in groups_of(study)
    ]
    tasks = carry_out(
        partial(train, source=absolute_name(source)),
        [errand for errand in errands if errand.open],
        on=on,
        workers=workers,
        weigh=lambda errand: errand.open,
        unit="runs",
        label=f"{len(study.runs)} runs ({sum(r.id in known for r in study.runs)} kept)",
    )
    for errand, records in tasks:
        for record in records:
            if record.id not in errand.known:
                ledger.add(record)


def at_once_on(on: str, workers: int | None) -> int:
    """Groups that train side by side, as far as it is known here."""
    if on == "processes":
        return workers or os.cpu_count() or 1
    return workers or 1


def train(errand: Errand, *, source: str) -> list[Record]:
    """Train what is missing of a group; its records. Waits for who still trains it.

    Raises:
      ValueError: where this machine finds other jets, or too few.
    """
    # machines may differ in their processors: each keeps programs of its own
    programs.keep(errand.folder.parents[1] / "programs" / platform.node())
    kept = Ledger(errand.folder)
    with kept.at_work(patient=True):
        known = errand.known | ended(kept)
        if any(run.id not in known for run in errand.runs):
            group = Group(
                errand.runs,
                _feed(source, errand.runs[0]),
                errand.study,
                one_trajectory=errand.one_trajectory,
                known=known,
                folder=errand.folder,
            )
            for record in group:
                kept.add(record)
        return list(kept.records().values())


def _feed(source: str, run: RunConfig) -> Feed:
    return _opened(source, run.source, run.inputs, run.pool, run.num_valid)


@lru_cache(1)  # the next group reads the same jets, as often as not
def _opened(name: str, expected: str, inputs: str, pool: int, valid: int) -> Feed:
    source = open_source(name)
    if source.identity != expected:
        raise ValueError(
            f"{platform.node()} finds other jets in {name}: {source.identity}, not "
            f"{expected}; use a folder that all workers share"
        )
    return open_feed(source, inputs, pool, valid)
