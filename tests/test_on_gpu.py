"""The script for a machine with a GPU: the experiment's grid, and few libraries."""

import subprocess
import sys
from pathlib import Path

from benchmarks import on_gpu
from jetlab.data.shower.source import Shower
from jetlab.runs.study import load_experiment

ROOT = Path(__file__).parents[1]


def test_the_grid_is_the_gpu_size_of_the_experiment():
    """So that `jetlab run` goes on with its folder."""
    source = Shower()
    study = load_experiment(ROOT / "experiments" / "compute_optimal.py").study
    wanted = [run.id for run in study("gpu", source).runs]
    assert [run.id for run in on_gpu.GPU.runs(source)] == wanted
    assert len(wanted) == 108


def test_it_loads_no_library_for_files_and_fits():
    script = (
        "import sys; import benchmarks.on_gpu, jetlab.runs.runner; "
        "print(*{'grain', 'jaxopt', 'uproot', 'awkward', 'lz4'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", script]
    loaded = subprocess.run(
        command, capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert loaded.stdout.split() == []


def test_shares_of_the_time_are_for_the_parts_that_there_are():
    assert list(on_gpu.SHARES) == list(on_gpu.PARTS)
    assert sum(on_gpu.SHARES.values()) == 1
