"""Dask: tasks run by workers in other processes or on a cluster.

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
"""The command that submits a job to each batch system."""
NEEDED = {"slurm": ("memory",), "htcondor": ("memory", "disk")}
"""Settings of jobs without a default."""
PATIENCE = 10.0
"""Seconds after which a scheduler that does not answer is given up."""
RESUBMIT_AFTER = 60.0
"""Seconds after which jobs that a batch system has ended are submitted again."""

SETTINGS = {
    "distributed.scheduler.worker-saturation": 1.0,  # one task at a time on a worker
    "distributed.scheduler.allowed-failures": TRIES - 1,
    # Without Dask's MALLOC_TRIM_THRESHOLD_, which returns memory to the system and asks
    # for it again all the time: Pythia takes half as long.
    "distributed.nanny.pre-spawn-environ": {
        "OMP_NUM_THREADS": 1,
        "MKL_NUM_THREADS": 1,
        "OPENBLAS_NUM_THREADS": 1,
    },
}
"""Dask's settings on clusters that this process starts."""

Tried = tuple[Any, Any, BaseException | None]
"""A task with its result, or with its last error."""


def map_on_dask(
    function: Callable,
    tasks: Sequence,
    on: str,
    workers: int | None,
    on_workers: Callable[[int], None],
) -> Generator[Tried]:
    """Every task with its result or last error, in the order in which they finish.

    No more tasks are submitted at a time than the workers have threads: Dask counts the
    death of a worker as a failure of all tasks that were sent to it.

    Args:
      function: of a task.
      tasks: its arguments.
      on: "processes", "dask://HOST:PORT", or a key of `SUBMITS`.
      workers: number of workers to start.
      on_workers: called about every second with the number of workers.

    Raises:
      ValueError: if packages, or settings of the batch system, are missing.
      OSError: if the scheduler cannot be reached, or is lost.
    """
    call = uuid.uuid4().hex[:8]
    waiting = deque(enumerate(tasks))
    submitted = {}
    on_workers(0)
    with _connected(on, workers) as (client, resubmit):
        on_workers(0)
        try:
            while waiting or submitted:
                resubmit()
                threads = client.nthreads()
                on_workers(len(threads))
                while waiting and len(submitted) < max(1, sum(threads.values())):
                    number, task = waiting.popleft()
                    key = f"jetlab-{call}", number
                    future = client.submit(
                        function, task, key=key, pure=False, retries=TRIES - 1
                    )
                    submitted[future] = task
                for future in _ended(submitted):
                    yield _outcome(submitted.pop(future), future)
        except (CancelledError, OSError) as error:
            raise OSError(
                f"the scheduler of --on {on} is gone: finished tasks are kept, and the"
                " same command resumes from them"
            ) from error


def _outcome(task: Any, future: Any) -> Tried:
    if future.status == "error":
        return task, None, future.exception()
    return task, future.result(), None


def _ended(futures: Iterable) -> list:
    """The futures that end within a second."""
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
    """A client, and a function that resubmits jobs which the batch system has ended."""
    try:
        import dask.config
        import distributed
    except ImportError as error:
        raise ValueError(f"--on {on} needs Dask: pip install 'jetlab[dask]'") from error
    with ExitStack() as stack:
        stack.enter_context(_quiet())
        where, resubmit = on.replace("dask://", "tcp://"), lambda: None
        if not on.startswith("dask://"):
            stack.enter_context(dask.config.set(SETTINGS))
            where = cluster = stack.enter_context(_cluster(on, workers))
            if on in SUBMITS:
                resubmit = _rate_limited(partial(cluster.scale, workers))
        try:
            client = distributed.Client(where, timeout=PATIENCE)
        except OSError as error:
            raise OSError(f"--on {on}: no scheduler answers there ({error})") from error
        yield stack.enter_context(client), resubmit


def _cluster(on: str, workers: int | None) -> AbstractContextManager[Any]:
    from distributed import LocalCluster

    if on in SUBMITS:
        return _batch(on, workers)
    try:
        return LocalCluster(
            n_workers=workers or os.cpu_count() or 1,
            threads_per_worker=1,
            memory_limit=0,  # Dask sets none: the system's limit holds
            dashboard_address="127.0.0.1:0",  # a free port, beside other clusters
            silence_logs=logging.CRITICAL,
        )
    except RuntimeError as error:
        raise OSError(f"--on {on}: no workers could be started ({error})") from error


@contextmanager
def _batch(on: str, workers: int | None) -> Iterator[Any]:
    """A cluster of a batch system, with `workers` jobs submitted."""
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
                job.status = Status.failed  # otherwise the cluster does not close
            for job in refused:
                await job.start()  # again, to raise the reason

        try:
            cluster.sync(submitted)
        except (RuntimeError, OSError) as error:
            raise OSError(f"--on {on}: no job was accepted: {error}") from error
        yield cluster


def batch_cluster(on: str) -> Any:
    """A cluster of a batch system, without workers yet. A job has one core and one
    process unless the user's Dask configuration says otherwise; memory, account and all
    other settings come from that configuration.

    Raises:
      ValueError: where the configuration lacks a setting of `NEEDED`.
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
            "~/.config/dask/jobqueue.yaml, and further settings that your site requires"
        )
    cores = known["cores"] or 1
    return kinds[on](
        cores=cores,
        processes=known["processes"] or cores,  # one thread each
        scheduler_options={"dashboard_address": ":0", **known["scheduler-options"]},
        silence_logs=logging.CRITICAL,
    )


def _rate_limited(call: Callable[[], Any]) -> Callable[[], None]:
    """The call, made at most once in `RESUBMIT_AFTER` seconds."""
    last = time.monotonic()

    def limited() -> None:
        nonlocal last
        if time.monotonic() - last > RESUBMIT_AFTER:
            last = time.monotonic()
            call()

    return limited


@contextmanager
def _quiet() -> Iterator[None]:
    """Silences Dask's messages on workers that come and go: the bar counts them."""
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
