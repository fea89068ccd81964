"""Pieces of work, done in this process, in others, or on a cluster through Dask.

The pieces' results lie on a file system that all workers share; what travels is small.
Dask is imported only where it is asked for.
"""

import re
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from functools import partial
from typing import Any, TypeVar

from tqdm import tqdm

from jetlab.runs.dask_backend import SUBMITS, TRIES, Tried, tried_away

P = TypeVar("P")
R = TypeVar("R")


class Unfinished(ValueError):
    """Some pieces failed each time that they were tried, the others are finished."""

    def __init__(self, failed: Sequence[tuple[str, str]], asked: int):
        self.failed = failed
        shown = "; ".join(f"{name}: {error}" for name, error in failed[:10])
        more = f"; and {len(failed) - 10} more" if len(failed) > 10 else ""
        super().__init__(
            f"{len(failed)} of {asked} pieces failed {TRIES} times each, the others "
            f"are finished: {shown}{more}. The same command tries them again"
        )


def check(on: str, workers: int | None) -> None:
    """Raises ValueError unless pieces can be done by so many workers there."""
    external = on.startswith("dask://")
    if on not in ("local", "processes", *SUBMITS) and not external:
        raise ValueError(
            f"--on {on}: choose local, processes, dask://HOST:PORT, slurm or htcondor"
        )
    if external and not re.fullmatch(r"dask://(\[[\da-fA-F:]+\]|[^\s:/]+):\d+", on):
        raise ValueError(f"--on {on}: give host and port, as in dask://HOST:PORT")
    if on in SUBMITS and workers is None:
        raise ValueError(f"--on {on}: say how many --workers to ask for")
    if workers is not None and (on == "local" or external):
        reason = "is this process alone" if on == "local" else "has its own workers"
        raise ValueError(f"--workers {workers}: leave it away, --on {on} {reason}")
    if workers is not None and workers < 1:
        raise ValueError(f"--workers {workers}: at least one")


def carry_out(
    task: Callable[[P], R],
    pieces: Sequence[P],
    *,
    on: str = "local",
    workers: int | None = None,
    describe: Callable[[P], str] = str,
    weigh: Callable[[P], float] = lambda piece: 1,
    unit: str = "pieces",
    label: str = "work",
) -> Iterator[tuple[P, R]]:
    """Do `task(piece)` for every piece, somewhere: (piece, result) in any order.

    A piece whose task raises, or whose worker dies, is tried three times in all. A
    task that kills its worker in this very process (`local`) ends this process.

    Raises:
      ValueError: for an unknown `on`, or without the packages that it needs.
      Unfinished: when all others are finished, with the pieces that are not.
      OSError: where the cluster cannot be reached, or is lost.
    """
    check(on, workers)
    return _carry_out(task, pieces, on, workers, describe, weigh, unit, label)


def share(pieces: Sequence[P], shard: tuple[int, int] | None) -> list[P]:
    """Every n-th piece, beginning with the i-th, of a shard (i, n); or all."""
    if shard is None:
        return list(pieces)
    number, shards = shard
    if not 1 <= number <= shards:
        raise ValueError(f"--shard {number}/{shards}: count from 1/{shards}")
    return list(pieces[number - 1 :: shards])


def _carry_out(
    task: Callable,
    pieces: Sequence,
    on: str,
    workers: int | None,
    describe: Callable,
    weigh: Callable,
    unit: str,
    label: str,
) -> Iterator[tuple[Any, Any]]:
    if not pieces:
        return
    failed: list[tuple[str, str]] = []
    amount = sum(map(weigh, pieces))
    # the rate of the whole time: pieces end in bursts
    with tqdm(
        total=amount, desc=label, unit=f" {unit}", unit_scale=True, smoothing=0
    ) as bar:
        crew = partial(_show, bar, failed)
        if on == "local":
            tried = _here(task, pieces)
        else:
            tried = tried_away(task, pieces, on, workers, crew)
        with closing(tried):
            for piece, result, error in tried:
                if error is None:
                    bar.update(weigh(piece))
                    yield piece, result
                else:
                    failed.append((describe(piece), _said(error)))
    if failed:
        raise Unfinished(failed, len(pieces))


def _show(bar: tqdm, failed: Sequence, workers: int) -> None:
    now = "1 worker" if workers == 1 else f"{workers} workers"
    if workers == 0:
        now = "waiting for workers"
        bar.unpause()  # the clock: time without workers says nothing on the rate
    bar.set_postfix_str(now + (f", {len(failed)} failed" if failed else ""))


def _here(task: Callable, pieces: Sequence) -> Generator[Tried]:
    for piece in pieces:
        yield _try(task, piece)


def _try(task: Callable, piece: Any) -> Tried:
    error = None
    for _ in range(TRIES):
        try:
            return piece, task(piece), None
        except Exception as raised:  # whatever a task raises: told in the end
            error = raised
    return piece, None, error


def _said(error: BaseException) -> str:
    if type(error).__name__ == "KilledWorker":
        return "its worker died each time (of memory or time? the workers' logs say)"
    return f"{type(error).__name__}: {error}"
