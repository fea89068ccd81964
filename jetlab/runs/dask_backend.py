"""Dask: workers in other processes or on a cluster, and pieces of work given to them.

Dask is imported only when it is used.
"""

import logging
import os
import shutil
import time
import uuid
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from typing import Any

TRIES = 3
SUBMITS = {"slurm": "sbatch", "htcondor": "condor_submit"}
"""Batch systems, and the command with which each takes a job."""
NEEDED = {"slurm": ("memory",), "htcondor": ("memory", "disk")}
"""What the user has to say of a job."""
PATIENCE = 10.0
"""Seconds in which a scheduler has to answer."""
AGAIN = 60.0
"""Seconds after which jobs that a batch system has ended are asked for again."""

OURS = {
    "distributed.scheduler.worker-saturation": 1.0,  # one piece at a time at a worker
    "distributed.scheduler.allowed-failures": TRIES - 1,
    # Without Dask's MALLOC_TRIM_THRESHOLD_, by which memory goes back to the system and
    # comes again all the time: Pythia takes half as long.
    "distributed.nanny.pre-spawn-environ": {
        "OMP_NUM_THREADS": 1,
        "MKL_NUM_THREADS": 1,
        "OPENBLAS_NUM_THREADS": 1,
    },
}
"""Dask's settings on clusters that are started here."""

Tried = tuple[Any, Any, BaseException | None]
"""A piece with its result, or with its last error."""


def tried_away(
    task: Callable,
    pieces: Sequence,
    on: str,
    workers: int | None,
    crew: Callable[[int], None],
) -> Generator[Tried]:
    """Every piece, tried. `crew` is told now and then how many workers there are.

    As many pieces as the workers have threads are given out at a time and the others
    wait here: Dask blames the death of a worker on all pieces that lie with it.

    Raises:
      ValueError: without the packages, or what the batch system must be told.
      OSError: where the scheduler cannot be reached, or is lost.
    """
    call = uuid.uuid4().hex[:8]
    waiting = deque(enumerate(pieces))
    flight = {}
    crew(0)
    with _connected(on, workers) as (client, again):
        crew(0)
        try:
            while waiting or flight:
                again()
                threads = client.nthreads()
                crew(len(threads))
                while waiting and len(flight) < max(1, sum(threads.values())):
                    number, piece = waiting.popleft()
                    key = f"jetlab-{call}", number
                    future = client.submit(
                        task, piece, key=key, pure=False, retries=TRIES - 1
                    )
                    flight[future] = piece
                for future in _ended(flight):
                    yield _outcome(flight.pop(future), future)
        except (CancelledError, OSError) as error:
            raise OSError(
                f"the scheduler of --on {on} is gone: what was finished is kept, and "
                "the same command goes on from there"
            ) from error


def _outcome(piece: Any, future: Any) -> Tried:
    if future.status == "error":
        return piece, None, future.exception()
    return piece, future.result(), None


def _ended(futures: Iterable) -> list:
    """Those that end within a second."""
    from distributed import wait

    try:
        waited: Any = wait(list(futures), timeout=1, return_when="FIRST_COMPLETED")
    except TimeoutError:
        return []
    return list(waited.done)


@contextmanager
def _connected(
    on: str, workers: int | None
) -> Iterator[tuple[Any, Callable[[], None]]]:
    """A client, and what asks once more for workers that a batch system has ended."""
    try:
        import dask.config
        import distributed
    except ImportError as error:
        raise ValueError(f"--on {on} needs Dask: pip install 'jetlab[dask]'") from error
    with ExitStack() as stack:
        stack.enter_context(_quiet())
        where, again = on.replace("dask://", "tcp://"), lambda: None
        if not on.startswith("dask://"):
            stack.enter_context(dask.config.set(OURS))
            where = cluster = stack.enter_context(_cluster(on, workers))
            if on in SUBMITS:
                again = _now_and_then(partial(cluster.scale, workers))
        try:
            client = distributed.Client(where, timeout=PATIENCE)
        except OSError as error:
            raise OSError(f"--on {on}: no scheduler answers there ({error})") from error
        yield stack.enter_context(client), again


def _cluster(on: str, workers: int | None) -> AbstractContextManager[Any]:
    from distributed import LocalCluster

    if on in SUBMITS:
        return _batch(on, workers)
    try:
        return LocalCluster(
            n_workers=workers or os.cpu_count() or 1,
            threads_per_worker=1,
            memory_limit=0,  # none: the system's own is the one that counts
            dashboard_address="127.0.0.1:0",  # any port: there may be other clusters
            silence_logs=logging.CRITICAL,
        )
    except RuntimeError as error:
        raise OSError(f"--on {on}: no workers could be started ({error})") from error


@contextmanager
def _batch(on: str, workers: int | None) -> Iterator[Any]:
    """Jobs of a batch system, by the user's own settings for it."""
    from distributed import Status

    if shutil.which(SUBMITS[on]) is None:
        raise ValueError(f"--on {on}: there is no {SUBMITS[on]} here")
    try:
        cluster = batch_cluster(on)
    except ImportError as error:
        raise ValueError(f"--on {on} needs Dask: pip install 'jetlab[dask]'") from error
    with cluster:
        cluster.scale(workers)

        async def submitted() -> None:
            await cluster
            jobs = cluster.workers.values()
            refused = [job for job in jobs if job.status == Status.created]
            for job in refused:
                job.status = Status.failed  # or the cluster would not close
            for job in refused:
                await job.start()  # once more, to hear why

        try:
            cluster.sync(submitted)
        except (RuntimeError, OSError) as error:
            raise OSError(f"--on {on}: no job was taken: {error}") from error
        yield cluster


def batch_cluster(on: str) -> Any:
    """A cluster of a batch system without workers: one core and one process a job,
    all else, and memory above all, as the user's Dask configuration has it.

    Raises:
      ValueError: where that lacks what the batch system must be told.
    """
    import dask.config
    from dask_jobqueue.htcondor import HTCondorCluster
    from dask_jobqueue.slurm import SLURMCluster

    kinds = {"slurm": SLURMCluster, "htcondor": HTCondorCluster}
    known = dask.config.get(f"jobqueue.{on}")
    lacking = [name for name in NEEDED[on] if known[name] is None]
    if lacking:
        raise ValueError(
            f"--on {on}: set {' and '.join(lacking)} under jobqueue.{on} in "
            "~/.config/dask/jobqueue.yaml, as well as what else your site asks of a job"
        )
    cores = known["cores"] or 1
    return kinds[on](
        cores=cores,
        processes=known["processes"] or cores,  # one thread each
        scheduler_options={"dashboard_address": ":0", **known["scheduler-options"]},
        silence_logs=logging.CRITICAL,
    )


def _now_and_then(call: Callable[[], Any]) -> Callable[[], None]:
    """Makes a call, but no sooner than `AGAIN` seconds after the last."""
    last = time.monotonic()

    def again() -> None:
        nonlocal last
        if time.monotonic() - last > AGAIN:
            last = time.monotonic()
            call()

    return again


@contextmanager
def _quiet() -> Iterator[None]:
    """One bar is the view: what Dask says of workers that come and go stays unsaid."""
    loggers = [
        logging.getLogger(name) for name in ("distributed", "distributed.client")
    ]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
