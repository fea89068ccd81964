"""Groups of runs on eight devices give the records of one device."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from jetlab.training.trainer import Trainer
from tests.training.group_on_devices import CASES, NINE, seeds

MODULE = "tests.training.group_on_devices"


pytestmark = pytest.mark.slow  # eight devices compile all programs again


@pytest.fixture(scope="module")
def results(store, tmp_path_factory) -> tuple[dict, Path]:
    """Records of eight devices, and the folder of an interrupted group."""
    folder = tmp_path_factory.mktemp("devices")
    command = [sys.executable, "-m", MODULE, str(store.path), str(folder)]
    flags = (
        "--xla_force_host_platform_device_count=8"
        " --xla_backend_optimization_level=0"  # compiles in a third of the time
    )
    # Devices that wait for one another hold eight threads. XLA has as many by default,
    # and a further task on a busy machine would block them all.
    threads = {"NPROC": "32"}
    env = os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags} | threads
    process = subprocess.run(
        command, env=env, capture_output=True, text=True, timeout=300
    )
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout.splitlines()[-1]), folder


def assert_same(here: list, others: list, rtol: float = 1e-5) -> None:
    by_id = {record["id"]: record for record in others}
    assert len(by_id) == len(here)
    for record in here:
        other = by_id[record.id]
        assert (record.status, record.steps) == (other["status"], other["steps"])
        assert record.loss == pytest.approx(other["loss"], rel=rtol)
        assert record.metrics["accuracy"] == pytest.approx(
            other["metrics"]["accuracy"], abs=0.011
        )
        np.testing.assert_allclose(record.curve, other["curve"], rtol=rtol)


@pytest.mark.parametrize("case", CASES)
def test_eight_devices_give_the_records_of_one(case, results, dataset):
    assert_same(list(Trainer(CASES[case], dataset, "")), results[0][case])


def test_streamed_jets_train_on_all_devices(results, dataset):
    assert_same(list(Trainer(seeds(2), dataset, "")), results[0]["streamed"])


def test_a_resumed_group_gives_the_same_bits(results):
    whole, resumed = (
        {r["id"]: r for r in results[0][name]}
        for name in ("one device per run", "resumed")
    )
    for one in (*whole.values(), *resumed.values()):
        one["seconds"] = 0
    assert resumed
    assert resumed == {key: whole[key] for key in resumed}


def test_one_device_resumes_a_group_of_eight(results, dataset):
    """The same records to rounding, and runs in training are not restarted."""
    group = Trainer(NINE, dataset, "", folder=results[1] / "there")
    found = list(group)
    ended = {record.id for record in found}
    assert_same(
        found, [r for r in results[0]["one device per run"] if r["id"] in ended]
    )
    assert group.busy < sum(run.steps for run in NINE if run.id in ended)
