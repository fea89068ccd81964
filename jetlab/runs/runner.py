"""The local runner: trains the runs that a study's folder lacks, in this process."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import partial

from tqdm import tqdm

from jetlab.records import Record
from jetlab.runs.cost import at_once
from jetlab.runs.dispatch import take_shard
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
    work,
)
from jetlab.runs.ledger import Ledger
from jetlab.runs.retention import Retention
from jetlab.runs.study import Study
from jetlab.runs.study_report import ProgressPage
from jetlab.training.dataset import Dataset, open_dataset
from jetlab.training.run_config import RunConfig
from jetlab.training.trainer import Trainer
from jetlab.training.trajectory import trajectories_of
from jetlab.types import Source

BAR = "{desc} {percentage:3.0f}%|{bar:24}|{elapsed}<{remaining}{postfix}"

Group = Sequence[RunConfig]


class Stopped(Exception):
    """Another run failed or the user interrupted: this one ends where it is."""


def run_study(
    study: Study, source: Source, ledger: Ledger, shard: tuple[int, int] | None = None
) -> None:
    """Train the missing runs, or those of a shard; the caller holds the ledger's lock.

    Raises:
      ValueError: for a source with too few jets, a group that a worker still trains, or
        a run whose parent left no weights.
    """
    known, groups = ended(ledger), take_shard(groups_of(study), shard)
    for group in groups:
        folder = ledger.checkpoints(group[0].group)
        if Ledger(folder).is_locked():
            raise ValueError(f"a worker is still training in {folder}: wait for it")
    missing = [g for g in groups if any(run.id not in known for run in g)]
    retention = retention_of(study, ledger)
    page = ProgressPage(ledger, study.name, shard)
    page.update()
    with _progress(study, groups, known) as bar:
        for part in group_by(missing, lambda group: dataset_key(group[0])).values():
            first = part[0][0]
            bar.set_postfix_str(f"reading {first.pool + first.num_valid} jets")
            dataset = open_dataset(source, first)
            bar.set_postfix_str("compiling")
            for groups in group_by(part, lambda group: stage(group[0])).values():
                foretell(study, ledger, groups)
                _train(study, groups, dataset, ledger, known, retention, bar, page)


def _train(
    study: Study,
    groups: Sequence[Group],
    dataset: Dataset,
    ledger: Ledger,
    known: set[str],
    retention: Retention,
    bar: tqdm,
    page: ProgressPage,
) -> None:
    """Train groups on the same jets, `at_once()` of them concurrently."""
    lock, stop = threading.Lock(), threading.Event()

    def advance(run: RunConfig, steps: int) -> None:
        if stop.is_set():
            raise Stopped
        with lock:
            bar.update(work(run) * steps / run.steps)

    def train(runs: Group) -> None:
        trainer = Trainer(
            runs,
            dataset,
            study.name,
            one_trajectory=study.one_trajectory,
            known=known,
            folder=ledger.checkpoints(runs[0].group),
            weights=ledger.weights if retention.saves else None,
            on_steps=advance,
            initial_params=partial(initial_params, ledger),
        )
        for record in trainer:
            with lock:
                ledger.add(record)
                retention.add(record)
                page.update()
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


def _progress(study: Study, groups: Sequence[Group], known: set[str]) -> tqdm:
    """A progress bar over the work of all missing trajectories."""
    runs = [run for group in groups for run in group]
    trajectories = trajectories_of(runs, one_trajectory=study.one_trajectory)
    missing = [t for t in trajectories if any(run.id not in known for run in t.runs)]
    total = sum(work(one.run) for one in missing)
    return tqdm(total=total, desc=label(runs, known), bar_format=BAR)


def _outcome(record: Record) -> str:
    reached = record.status if record.loss is None else f"loss {record.loss:.3f}"
    return f"d={record.width} D={record.D}: {reached}"
