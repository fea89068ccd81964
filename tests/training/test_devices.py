"""Groups of runs on eight devices: the records that one device gives."""

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


pytestmark = pytest.mark.slow  # eight devices compile everything anew


@pytest.fixture(scope="module")
def there(store, tmp_path_factory) -> tuple[dict, Path]:
    """Records from eight devices, and the folder of a group that was left there."""
    folder = tmp_path_factory.mktemp("devices")
    command = [sys.executable, "-m", MODULE, str(store.path), str(folder)]
    flags = (
        "--xla_force_host_platform_device_count=8"
        " --xla_backend_optimization_level=0"  # compiles in a third of the time
    )
    # eight devices that wait for each other hold eight threads; XLA has no more by
    # default, and whatever else it has to do on a busy machine then stops them all
    threads = {"NPROC": "32"}
    env = os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags} | threads
    process = subprocess.run(
        command, env=env, capture_output=True, text=True, timeout=300
    )
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout.splitlines()[-1]), folder


def assert_same(here: list, there: list, rtol: float = 1e-5) -> None:
    by_id = {record["id"]: record for record in there}
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
def test_eight_devices_give_the_records_of_one(case, there, dataset):
    assert_same(list(Trainer(CASES[case], dataset, "")), there[0][case])


def test_a_stream_feeds_all_devices(there, dataset):
    assert_same(list(Trainer(seeds(2), dataset, "")), there[0]["streamed"])


def test_a_group_goes_on_where_it_was_on_all_devices(there):
    """Bit for bit what it would have been."""
    whole, taken = (
        {r["id"]: r for r in there[0][name]} for name in ("a device each", "taken up")
    )
    for one in (*whole.values(), *taken.values()):
        one["seconds"] = 0
    known = whole.keys() - taken.keys()
    assert len(known) < len(whole)
    assert taken == {key: whole[key] for key in taken}


def test_one_device_goes_on_with_what_eight_left(there, dataset):
    """Other devices, the same runs to rounding, and nothing begun anew."""
    group = Trainer(NINE, dataset, "", folder=there[1] / "there")
    found = list(group)
    ended = {record.id for record in found}
    assert_same(found, [r for r in there[0]["a device each"] if r["id"] in ended])
    assert group.busy < sum(run.steps for run in NINE if run.id in ended)
