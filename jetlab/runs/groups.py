"""Groups of runs that train together, and what they take from a study's folder.

Runs of one compiled program on the same jets are a group: they train as replicas and
share a folder of checkpoints.
"""

import json
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from typing import Any, TypeVar

from jetlab.atomic import write_text
from jetlab.records import Record
from jetlab.runs.grid import FORECAST
from jetlab.runs.ledger import Ledger
from jetlab.runs.retention import Retention
from jetlab.runs.study import Study
from jetlab.training.run_config import RunConfig, length_groups
from jetlab.training.weights import load_weights, params_of

T = TypeVar("T")

logger = logging.getLogger(__name__)


def groups_of(study: Study) -> list[list[RunConfig]]:
    """The groups of a study by stage, then by decreasing cost. A run under several arms
    appears once."""
    distinct = list({run.id: run for run in study.runs}.values())
    groups = group_by(distinct, lambda run: (stage(run), run.group)).values()
    return sorted(groups, key=lambda group: (stage(group[0]), -sum(map(work, group))))


def stage(run: RunConfig) -> tuple[int, bool]:
    """Runs of a later stage need the results of earlier ones: children the weights of
    their parents (`init_from`), and a forecast the records of the grid."""
    return generation(run), run.arm == FORECAST


def generation(run: RunConfig) -> int:
    """The number of ancestors of a run (`init_from`)."""
    return 0 if run.init_from is None else 1 + generation(run.init_from)


def dataset_key(run: RunConfig) -> tuple[Any, ...]:
    """Runs of equal keys share one `Dataset`, one generation at a time."""
    return generation(run), run.data_key, run.task, length_groups(run.model)


def work(run: RunConfig) -> float:
    """Training time in arbitrary units: a share of each jet's time does not depend on
    the width."""
    return run.num_train * run.epochs * (8 + run.model.width)


def group_by(items: Iterable[T], key: Callable[[T], Any]) -> dict[Any, list[T]]:
    """Items by key, in the order of their first appearance."""
    groups: dict[Any, list[T]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups


def ended(ledger: Ledger) -> set[str]:
    """Ids of runs that need no training. Failed runs are retried; diverged ones are
    not, as they would diverge again."""
    return {r.id for r in ledger.records().values() if r.status != "failed"}


def label(runs: Iterable[RunConfig], known: set[str]) -> str:
    """The label of a progress bar."""
    ids = {run.id for run in runs}
    return f"{len(ids - known)} runs ({len(ids & known)} finished)"


def retention_of(study: Study, ledger: Ledger) -> Retention:
    """The retention of a study, which has seen the records of the ledger."""
    retention = Retention(ledger.weights, study.runs, study.keep)
    for record in ledger.records().values():
        retention.add(record)
    return retention


def initial_params(ledger: Ledger, run: RunConfig) -> Any:
    """The parent's parameters (`init_from`); None for a run without a parent.

    Raises:
      ValueError: where the parent has left no weights in the folder.
    """
    if run.init_from is None:
        return None
    parent = ledger.records().get(run.init_from.id)
    path = ledger.weights_file(parent) if parent else None
    if path is None:
        raise ValueError(
            f"run {run.id} begins with the weights of run {run.init_from.id}, which has"
            f" none in {ledger.folder}: {_state(parent)}"
        )
    return params_of(load_weights(path), run.model)


def _state(parent: Record | None) -> str:
    if parent is None:
        return "it has not finished; its shard, or a study that holds it, goes first"
    return f"its status is {parent.status}"


def foretell(
    study: Study, ledger: Ledger, groups: Iterable[Sequence[RunConfig]]
) -> None:
    """Write the forecasts of the runs in these groups to `forecast.json`, before they
    are trained; nothing for other runs."""
    runs = [run for group in groups for run in group if run.arm == FORECAST]
    if not runs or study.foretell is None:
        return
    records, made = ledger.planned_records(), []
    for run in runs:
        try:
            made.append(study.foretell(records, run))
        except ValueError as error:
            logger.warning("no forecast for D=%d: %s", run.num_train, error)
    for forecast in made:
        logger.info(forecast.sentence)
    text = json.dumps([asdict(forecast) for forecast in made], indent=1)
    write_text(ledger.folder / "forecast.json", text)
