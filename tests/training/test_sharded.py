"""Runs on a mesh of devices give the losses that they give one by one on one device."""

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
    "lanes": (8, 1, "whole"),
    "data": (1, 8, "cut"),
    "both": (2, 4, "accelerator"),
}


def started(**asked) -> subprocess.Popen[str]:
    command = [sys.executable, str(SCRIPT), json.dumps(asked)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True)


def said(process: subprocess.Popen[str]) -> dict:
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return json.loads(out.splitlines()[-1])


@pytest.fixture(scope="module")
def results() -> dict:
    return said(started(devices=8, cases={"alone": (0, 0, "whole"), **MESHES}))


def assert_same(one: dict, other: dict) -> None:
    np.testing.assert_allclose(one["losses"], other["losses"], rtol=1e-6)
    # to rounding, which sums of nearly cancelling terms enlarge
    np.testing.assert_allclose(one["squares"], other["squares"], rtol=1e-4)


@pytest.mark.parametrize("mesh", MESHES)
def test_a_mesh_changes_neither_losses_nor_gradients(results, mesh):
    """With dropout, over two calls, each lane with its own seed and rates."""
    assert_same(results[mesh], results["alone"])


def test_the_lanes_differ_and_some_batches_were_cut(results):
    losses = np.array(results["alone"]["losses"])
    assert len(np.unique(losses)) == losses.size
    assert 0 < results["data"]["cut"] < results["data"]["batches"]


@pytest.mark.slow
def test_two_processes_give_the_same_losses(results):
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    cases = {"lanes": (2, 1, "whole"), "data": (1, 2, "cut")}
    processes = [
        started(devices=1, process=number, port=port, cases=cases)
        for number in range(2)
    ]
    try:
        first, second = map(said, processes)
    finally:
        for process in processes:
            process.kill()
    assert first == second
    for case in cases:
        assert_same(first[case], results["alone"])


def test_a_mesh_that_does_not_cover_the_devices_is_refused():
    with pytest.raises(
        ValueError, match=r"3 replicas x 2 data shards .* the 1 devices"
    ):
        make_mesh(3, 2)


def test_lanes_that_do_not_spread_evenly_are_refused():
    mesh = Mesh(np.array(3 * jax.devices()).reshape(3, 1), (REPLICA, DATA))
    with pytest.raises(ValueError, match="multiple of 3"):
        put_schedules(
            [MicroBatches(np.zeros((1, 4)), np.zeros(1), np.ones(1))] * 4, mesh
        )


def test_shares_of_different_size_are_refused():
    with pytest.raises(ValueError, match="multiple of 3"):
        choose_packing(np.full(100, 5), 16, 10, grouped=False, num_shards=3)
