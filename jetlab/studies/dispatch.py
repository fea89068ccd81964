"""Run what is missing of a study: in this process, finished runs kept at once."""

import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

import jax
from tqdm import tqdm

from jetlab.records import Record
from jetlab.studies.ledger import Ledger
from jetlab.studies.study import Study
from jetlab.training.feed import Feed, open_feed
from jetlab.training.run import Run, cost, execute
from jetlab.types import Source

NOMINAL_PARTICLES = 40
"""n_p of arXiv:2602.15781, for a cost that is told before any jet is read."""


class Stopped(Exception):
    """Another run failed or the user interrupted: this one ends where it is."""


def at_once() -> int:
    """Runs that train side by side: one on an accelerator, two on a CPU.

    One tiny run cannot keep two cores busy; more than two compete for the caches.
    """
    on_cpu = jax.default_backend() == "cpu"
    return min(2, os.cpu_count() or 1) if on_cpu else 1


def total_cost(runs: Sequence[Run]) -> float:
    """FLOPs of the runs by the paper's estimate at 40 particles a jet."""
    return sum(cost(run, NOMINAL_PARTICLES) for run in runs)


def run_study(study: Study, source: Source, ledger: Ledger) -> list[Record]:
    """Train the runs that a ledger held by this process lacks; the records of all.

    Raises:
      ValueError: where the source has too few jets.
    """
    known = ledger.records()
    missing = [run for run in study.runs if not _ended(known.get(run.id))]
    with _progress(study.runs, missing) as bar:
        for runs in _by(missing, lambda run: (run.inputs, run.pool, run.valid)):
            first = runs[0]
            bar.set_postfix_str(f"reading {first.pool + first.valid} jets")
            feed = open_feed(source, first.inputs, first.pool, first.valid)
            bar.set_postfix_str("compiling")
            _train(runs, feed, study.name, ledger, bar)
    known = ledger.records()
    return [known[run.id] for run in study.runs]


def _ended(record: Record | None) -> bool:
    """A failed run is tried again; a diverged one would diverge again."""
    return record is not None and record.status != "failed"


def _train(
    runs: Sequence[Run], feed: Feed, study: str, ledger: Ledger, bar: tqdm
) -> None:
    """Groups of one shape side by side, the costliest first."""
    lock, stop = threading.Lock(), threading.Event()

    def advance(run: Run, steps: int) -> None:
        if stop.is_set():
            raise Stopped
        with lock:
            bar.update(_work(run) * steps / run.steps)

    def train(group: Sequence[Run]) -> None:
        for record in execute(group, feed, study, advance):
            with lock:
                ledger.add(record)
                bar.set_postfix_str(_outcome(record))

    groups = _by(runs, lambda run: run.shape)
    groups.sort(key=lambda group: -sum(map(_work, group)))
    with ThreadPoolExecutor(at_once()) as pool:
        pending = [pool.submit(train, group) for group in groups]
        try:
            for future in as_completed(pending):
                future.result()
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise


def _by(runs: Sequence[Run], key) -> list[list[Run]]:
    groups = {}
    for run in runs:
        groups.setdefault(key(run), []).append(run)
    return list(groups.values())


def _work(run: Run) -> float:
    """Time in arbitrary units: tiny models pay for their jets, large ones for d."""
    return run.examples * run.epochs * (8 + run.model.width)


def _progress(runs: Sequence[Run], missing: Sequence[Run]) -> tqdm:
    total, left = (sum(map(_work, part)) for part in (runs, missing))
    kept = len(runs) - len(missing)
    return tqdm(
        total=total,
        initial=total - left,
        desc=f"{len(missing)} runs ({kept} kept)",
        bar_format="{desc} {percentage:3.0f}%|{bar:24}|{elapsed}<{remaining}{postfix}",
    )


def _outcome(record: Record) -> str:
    reached = record.status if record.loss is None else f"loss {record.loss:.3f}"
    return f"d={record.width} D={record.D}: {reached}"
