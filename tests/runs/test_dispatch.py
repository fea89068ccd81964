"""Tasks give the same results on every backend, and none is lost."""

import itertools
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from jetlab.runs.dask_backend import batch_cluster
from jetlab.runs.dispatch import Unfinished, check, map_tasks, take_shard

settings = pytest.importorskip("dask.config")
distributed = pytest.importorskip("distributed")

SQUARES = {number: number**2 for number in range(8)}


def count_try(folder: Path, number: int) -> int:
    """Count a try by a file; the number of earlier tries."""
    before = len(list(folder.glob(f"{number}-*")))
    (folder / f"{number}-{before}").touch()
    return before


def tries(folder: Path, number: int) -> int:
    return len(list(folder.glob(f"{number}-*")))


def square(number: int, folder: Path) -> int:
    count_try(folder, number)
    return number**2


def square_or_raise(number: int, folder: Path) -> int:
    before = count_try(folder, number)
    if number == 3 or (number == 5 and before == 0):
        raise RuntimeError(f"no {number}, after {before}")
    return number**2


def square_or_die(number: int, folder: Path) -> int:
    before = count_try(folder, number)
    if number == 3 or (number == 5 and before == 0):
        os.kill(os.getpid(), signal.SIGKILL)
    return number**2


def slow_square(number: int, folder: Path) -> int:
    time.sleep(0.3)
    return square(number, folder)


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    """A running cluster with settings of its own."""
    with distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=False,
        protocol="tcp",
        dashboard_address="127.0.0.1:0",  # a free port, beside other clusters
    ) as cluster:
        yield cluster.scheduler_address.replace("tcp://", "dask://")


@pytest.mark.parametrize("where", ["local", "scheduler"])
def test_every_task_runs_once(where, tmp_path, request):
    on = where if where == "local" else request.getfixturevalue(where)
    done = map_tasks(partial(square, folder=tmp_path), list(SQUARES), on=on)
    assert dict(done) == SQUARES
    assert [tries(tmp_path, number) for number in SQUARES] == [1] * len(SQUARES)


@pytest.mark.parametrize("where", ["local", "scheduler"])
def test_a_task_that_raises_is_tried_three_times_and_named(where, tmp_path, request):
    on = where if where == "local" else request.getfixturevalue(where)
    done = {}
    with pytest.raises(Unfinished, match=r"1 of 8 .* task 3: RuntimeError: no 3") as e:
        collect(square_or_raise, tmp_path, on=on, into=done)
    assert done == {n: square for n, square in SQUARES.items() if n != 3}
    assert e.value.failed == [("task 3", "RuntimeError: no 3, after 2")]
    assert tries(tmp_path, 3) == 3
    assert tries(tmp_path, 5) == 2


def collect(task, folder: Path, *, on: str, into: dict, **options) -> dict:
    describe = "task {}".format
    task = partial(task, folder=folder)
    numbers = list(SQUARES)
    for n, result in map_tasks(task, numbers, on=on, describe=describe, **options):
        into[n] = result
    return into


@pytest.mark.slow
def test_the_task_of_a_dead_worker_is_tried_again(tmp_path):
    """Task 5 kills its worker once, task 3 three times."""
    done = {}
    with pytest.raises(Unfinished, match=r"1 of 8 .* task 3: its worker died"):
        collect(square_or_die, tmp_path, on="processes", workers=2, into=done)
    assert done == {n: square for n, square in SQUARES.items() if n != 3}
    assert tries(tmp_path, 3) == 3
    assert tries(tmp_path, 5) == 2


@pytest.fixture
def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def start(*command: str) -> subprocess.Popen:
    """A Dask process that can import the tasks of this file."""
    return subprocess.Popen(
        [sys.executable, "-m", *command, "--no-dashboard"],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


@pytest.mark.slow
def test_finished_tasks_outlive_a_lost_scheduler(tmp_path, free_port):
    address, port = f"127.0.0.1:{free_port}", str(free_port)
    scheduler = start(
        "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", port
    )
    options = f"tcp://{address}", "--nthreads", "1"
    worker = start("distributed.cli.dask_worker", *options)

    def kill_it_half_way() -> None:
        while tries(tmp_path, 3) == 0:
            time.sleep(0.05)
        scheduler.kill()

    killer = threading.Thread(target=kill_it_half_way)
    killer.start()
    done = {}
    try:
        with pytest.raises(OSError, match="finished tasks are kept"):
            collect(slow_square, tmp_path, on=f"dask://{address}", into=done)
    finally:
        killer.join()
        worker.terminate()
        worker.wait()
        scheduler.wait()
    assert set(done) >= {0, 1, 2}
    assert done == {number: SQUARES[number] for number in done}
    assert len(done) < len(SQUARES)


@pytest.mark.slow
def test_workers_end_with_a_killed_client(tmp_path):
    script = (
        "import time, sys, os; from jetlab.runs.dispatch import map_tasks\n"
        "def task(n):\n"
        "    open(os.path.join(sys.argv[1], str(os.getpid())), 'w').close()\n"
        "    time.sleep(60)\n"
        "if __name__ == '__main__':\n"
        "    list(map_tasks(task, [1, 2], on='processes', workers=2))\n"
    )
    path = tmp_path / "script.py"
    path.write_text(script)
    folder = tmp_path / "workers"
    folder.mkdir()
    command = [sys.executable, str(path), str(folder)]
    client = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 90
    while len(list(folder.iterdir())) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    client.kill()
    client.wait()
    workers = [int(path.name) for path in folder.iterdir()]
    assert len(workers) == 2
    deadline = time.monotonic() + 20
    while any(map(alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(map(alive, workers))


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("shards", [1, 3, 8, 11])
def test_every_task_is_in_one_shard(shards):
    parts = [take_shard(range(10), (number, shards)) for number in range(1, shards + 1)]
    assert parts[0][:1] == [0]
    assert sorted(itertools.chain(*parts)) == list(range(10))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize(
    ("on", "workers", "words"),
    [
        ("foo", None, "choose local, processes"),
        ("dask://nohost", None, "host and port"),
        ("dask://:8786", None, "host and port"),
        ("local", 2, "omit it"),
        ("dask://host:8786", 2, "its own workers"),
        ("slurm", None, "number of --workers"),
        ("processes", 0, "at least one"),
    ],
)
def test_impossible_options_are_refused(on, workers, words):
    with pytest.raises(ValueError, match=words):
        check(on, workers)


def test_a_scheduler_that_does_not_answer_is_an_error(free_port, monkeypatch):
    monkeypatch.setattr("jetlab.runs.dask_backend.PATIENCE", 0.5)
    with pytest.raises(OSError, match="no scheduler answers there"):
        list(map_tasks(str, [1], on=f"dask://127.0.0.1:{free_port}"))


def test_a_missing_batch_system_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    for on, command in (("slurm", "sbatch"), ("htcondor", "condor_submit")):
        with pytest.raises(ValueError, match=f"there is no {command} here"):
            list(map_tasks(str, [1], on=on, workers=2))


def test_jobs_have_the_users_settings():
    pytest.importorskip("dask_jobqueue")
    set_by_user = {
        "jobqueue.slurm.memory": "3GB",
        "jobqueue.slurm.account": "jets",
        "jobqueue.htcondor.memory": "3GB",
        "jobqueue.htcondor.disk": "1GB",
    }
    with pytest.raises(ValueError, match=r"set memory under jobqueue\.slurm"):
        batch_cluster("slurm")
    with settings.set(set_by_user):
        with batch_cluster("slurm") as cluster:
            script = cluster.job_script()
        assert "#SBATCH -A jets" in script
        assert "#SBATCH --cpus-per-task=1" in script
        assert "--nthreads 1" in script
        with batch_cluster("htcondor") as cluster:
            assert "DaskWorkerCores = 1" in cluster.job_script()
    with (
        settings.set({**set_by_user, "jobqueue.slurm.cores": 4}),
        batch_cluster("slurm") as cluster,
    ):
        assert "--nworkers 4" in cluster.job_script()
        assert "--nthreads 1" in cluster.job_script()


def batch_system(folder: Path, submit: str) -> None:
    """The two commands of SLURM that are used."""
    for name, text in (("sbatch", submit), ("scancel", 'kill "$1"\n')):
        (folder / name).write_text(f"#!/bin/sh\n{text}")
        (folder / name).chmod(0o755)


def test_a_refused_job_is_an_error_with_its_reason(tmp_path, monkeypatch):
    pytest.importorskip("dask_jobqueue")
    batch_system(tmp_path, "echo 'invalid account' >&2; exit 1\n")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with (
        settings.set({"jobqueue.slurm.memory": "1GB"}),
        pytest.raises(OSError, match=r"(?s)no job was accepted: .*invalid account"),
    ):
        list(map_tasks(str, [1], on="slurm", workers=2))


@pytest.mark.slow
def test_jobs_of_a_batch_system_run_the_tasks(tmp_path, monkeypatch):
    pytest.importorskip("dask_jobqueue")
    submit = 'sh "$1" >/dev/null 2>&1 &\necho Submitted batch job $!\nsleep 1\n'
    batch_system(tmp_path, submit)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    with settings.set({"jobqueue.slurm.memory": "1GB"}):
        done = collect(square, tmp_path, on="slurm", workers=2, into={})
    assert done == SQUARES
