"""Tasks run in this process, in other processes, or on a cluster through Dask.

Tasks write their results to a file system that all workers share; little is sent over
the network. Dask is imported only when it is used.
"""

import re
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from functools import partial
from typing import Any, TypeVar

from tqdm import tqdm

from jetlab.runs.dask_backend import SUBMITS, TRIES, Tried, map_on_dask

P = TypeVar("P")
R = TypeVar("R")


class Unfinished(ValueError):
    """Some tasks failed at every attempt; the others have finished."""

    def __init__(self, failed: Sequence[tuple[str, str]], asked: int):
        self.failed = failed
        shown = "; ".join(f"{name}: {error}" for name, error in failed[:10])
        more = f"; and {len(failed) - 10} more" if len(failed) > 10 else ""
        super().__init__(
            f"{len(failed)} of {asked} tasks failed {TRIES} times each, the others have"
            f" finished: {shown}{more}. Run the same command again to retry them"
        )


def check(on: str, workers: int | None) -> None:
    """Raises ValueError unless `on` is known and takes this number of workers."""
    external = on.startswith("dask://")
    if on not in ("local", "processes", *SUBMITS) and not external:
        raise ValueError(
            f"--on {on}: choose local, processes, dask://HOST:PORT, slurm or htcondor"
        )
    if external and not re.fullmatch(r"dask://(\[[\da-fA-F:]+\]|[^\s:/]+):\d+", on):
        raise ValueError(f"--on {on}: give host and port, as in dask://HOST:PORT")
    if on in SUBMITS and workers is None:
        raise ValueError(f"--on {on}: give the number of --workers to start")
    if workers is not None and (on == "local" or external):
        reason = "is one process" if on == "local" else "has its own workers"
        raise ValueError(f"--workers {workers}: omit it, --on {on} {reason}")
    if workers is not None and workers < 1:
        raise ValueError(f"--workers {workers}: at least one")


def map_tasks(
    function: Callable[[P], R],
    tasks: Sequence[P],
    *,
    on: str = "local",
    workers: int | None = None,
    describe: Callable[[P], str] = str,
    size: Callable[[P], float] = lambda task: 1,
    unit: str = "tasks",
    label: str = "work",
) -> Iterator[tuple[P, R]]:
    """Pairs (task, `function(task)`) in the order in which tasks finish.

    A task that raises, or whose worker dies, is tried three times in all.

    Args:
      function: picklable, as are the tasks and results.
      tasks: its arguments.
      on: "local", "processes", "dask://HOST:PORT", "slurm" or "htcondor".
      workers: number of workers, where `on` starts them.
      describe: a task's name in errors.
      size: a task's size in `unit`, for the progress bar.
      unit: of the progress bar.
      label: of the progress bar.

    Raises:
      ValueError: for an unknown `on`, or if packages that it needs are missing.
      Unfinished: after all other tasks have finished, with those that failed.
      OSError: if the cluster cannot be reached, or is lost.
    """
    check(on, workers)
    return _map_tasks(function, tasks, on, workers, describe, size, unit, label)


def take_shard(tasks: Sequence[P], shard: tuple[int, int] | None) -> list[P]:
    """Every n-th task, beginning with the i-th, of a shard (i, n); all without one.

    Raises:
      ValueError: unless 1 <= i <= n.
    """
    if shard is None:
        return list(tasks)
    number, shards = shard
    if not 1 <= number <= shards:
        raise ValueError(f"--shard {number}/{shards}: count from 1/{shards}")
    return list(tasks[number - 1 :: shards])


def _map_tasks(
    function: Callable,
    tasks: Sequence,
    on: str,
    workers: int | None,
    describe: Callable,
    size: Callable,
    unit: str,
    label: str,
) -> Iterator[tuple[Any, Any]]:
    if not tasks:
        return
    failed: list[tuple[str, str]] = []
    amount = sum(map(size, tasks))
    # smoothing=0: the mean rate since the start, as tasks end in bursts
    with tqdm(
        total=amount, desc=label, unit=f" {unit}", unit_scale=True, smoothing=0
    ) as bar:
        if on == "local":
            tried = _map_here(function, tasks)
        else:
            on_workers = partial(_show_workers, bar, failed)
            tried = map_on_dask(function, tasks, on, workers, on_workers)
        with closing(tried):
            for task, result, error in tried:
                if error is None:
                    bar.update(size(task))
                    yield task, result
                else:
                    failed.append((describe(task), _reason(error)))
    if failed:
        raise Unfinished(failed, len(tasks))


def _show_workers(bar: tqdm, failed: Sequence, workers: int) -> None:
    now = "1 worker" if workers == 1 else f"{workers} workers"
    if workers == 0:
        now = "waiting for workers"
        bar.unpause()  # time without workers does not count for the rate
    bar.set_postfix_str(now + (f", {len(failed)} failed" if failed else ""))


def _map_here(function: Callable, tasks: Sequence) -> Generator[Tried]:
    for task in tasks:
        yield _try(function, task)


def _try(function: Callable, task: Any) -> Tried:
    error = None
    for _ in range(TRIES):
        try:
            return task, function(task), None
        except Exception as raised:  # any error of a task is reported at the end
            error = raised
    return task, None, error


def _reason(error: BaseException) -> str:
    if type(error).__name__ == "KilledWorker":
        return "its worker died each time (out of memory or time? see its log)"
    return f"{type(error).__name__}: {error}"
