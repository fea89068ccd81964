"""Runs on a mesh of devices give the losses of single runs on one device."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from jax.sharding import Mesh

from jetlab.training.batching import choose_packing
from jetlab.training.mesh import DATA, REPLICA, make_mesh, put_schedules
from jetlab.training.scan import MicroBatches

SCRIPT = Path(__file__).with_name("sharded_losses.py")

MESHES = {
    "replicas": (8, 1, "whole"),
    "data": (1, 8, "overflow"),
    "both": (2, 4, "accelerator"),
}


def started(**request) -> subprocess.Popen[str]:
    command = [sys.executable, str(SCRIPT), json.dumps(request)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True)


def results_of(process: subprocess.Popen[str]) -> dict:
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return json.loads(out.splitlines()[-1])


@pytest.fixture(scope="module")
def results() -> dict:
    return results_of(started(devices=8, cases={"alone": (0, 0, "whole"), **MESHES}))


def assert_same(one: dict, other: dict) -> None:
    np.testing.assert_allclose(one["losses"], other["losses"], rtol=1e-6)
    # cancellations amplify rounding
    np.testing.assert_allclose(one["squares"], other["squares"], rtol=1e-4)


@pytest.mark.parametrize("mesh", MESHES)
def test_a_mesh_changes_neither_losses_nor_gradients(results, mesh):
    """With dropout, over two scans, with a seed and a learning rate per replica."""
    assert_same(results[mesh], results["alone"])


def test_replicas_differ_and_some_batches_overflow(results):
    losses = np.array(results["alone"]["losses"])
    assert len(np.unique(losses)) == losses.size
    assert 0 < results["data"]["cut"] < results["data"]["batches"]


@pytest.mark.slow
def test_two_processes_give_the_same_losses(results):
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    cases = {"replicas": (2, 1, "whole"), "data": (1, 2, "overflow")}
    processes = [
        started(devices=1, process=number, port=port, cases=cases)
        for number in range(2)
    ]
    try:
        first, second = map(results_of, processes)
    finally:
        for process in processes:
            process.kill()
    assert first == second
    for case in cases:
        assert_same(first[case], results["alone"])


def test_a_mesh_must_cover_the_devices():
    with pytest.raises(
        ValueError, match=r"3 replicas x 2 data shards .* the 1 devices"
    ):
        make_mesh(3, 2)


def test_replicas_must_divide_evenly_among_devices():
    mesh = Mesh(np.array(3 * jax.devices()).reshape(3, 1), (REPLICA, DATA))
    with pytest.raises(ValueError, match="multiple of 3"):
        put_schedules(
            [MicroBatches(np.zeros((1, 4)), np.zeros(1), np.ones(1))] * 4, mesh
        )


def test_shards_must_divide_the_batch():
    with pytest.raises(ValueError, match="multiple of 3"):
        choose_packing(np.full(100, 5), 16, 10, grouped=False, num_shards=3)
