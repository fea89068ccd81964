"""The main job, end to end, as a user runs it: from jets to a report."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from jetlab.cli.main import main
from jetlab.runs.ledger import Ledger

EXPERIMENT = Path(__file__).parents[1] / "experiments" / "compute_optimal.py"
COMMAND = ("run", str(EXPERIMENT), "--size", "smoke", "--out")


def results(folder: Path) -> dict[str, tuple]:
    """Everything of the records that an interruption must not change."""
    return {
        record.id: (record.N, record.D, record.loss, record.metrics, record.curve)
        for record in Ledger(folder).records().values()
    }


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("job") / "smoke"
    assert main([*COMMAND, str(folder)]) == 0
    return folder


def test_it_leaves_records_figures_tables_and_a_report(finished):
    status = Ledger(finished).status()
    assert status == {"done": 8, "running": 0, "failed": 0, "pending": 0}
    assert all(1.0 < loss < 3.5 for _, _, loss, _, _ in results(finished).values())
    fit = json.loads((finished / "fit.json").read_text())
    assert fit["rows"] >= 5
    page = (finished / "report.html").read_text()
    assert "Compute-optimal scaling of jet tagging" in page
    assert "known floor" in page
    assert "http" not in page.replace("http-equiv", "")
    for name in ("fig_1a_loss_surface", "fig_1b_iso_flops", "loss_against_data"):
        assert (finished / f"{name}.png").stat().st_size > 10_000
        assert page.count(f'alt="{name}"') == 1


def test_a_second_run_trains_nothing_and_writes_the_same_report(finished):
    before = (finished / "records.jsonl").read_bytes()
    page = (finished / "report.html").read_text()
    assert main([*COMMAND, str(finished)]) == 0
    assert (finished / "records.jsonl").read_bytes() == before
    assert (finished / "report.html").read_text() == page


@pytest.mark.slow
@pytest.mark.filterwarnings("default:.* was left half-written")
def test_a_killed_study_resumes_to_the_same_table(finished, tmp_path):
    folder = tmp_path / "killed"
    for kept in (1, 3):
        _kill_after(folder, kept)
    assert main([*COMMAND, str(folder)]) == 0
    assert results(folder) == results(finished)
    for name in ("fit.json", "tables.md"):
        assert (folder / name).read_text() == (finished / name).read_text()


@pytest.mark.slow
def test_a_study_killed_twenty_times_ends_with_the_same_table(finished, tmp_path):
    """A checkpoint every 0.2 s and kill -9 after 6 to 14 s."""
    folder, rng = tmp_path / "killed", np.random.default_rng(0)
    Ledger(folder).folder.mkdir()
    # programs come from the tests' cache, so a life of seconds reaches training
    script = (
        "from jetlab.cli.main import main; from jetlab.training import trainer; "
        "trainer.CHECKPOINT_INTERVAL = 0.2; "
        f"raise SystemExit(main({[*COMMAND, str(folder)]!r}))"
    )
    killed = 0
    while True:
        process = subprocess.Popen(
            [sys.executable, "-c", script], stderr=subprocess.DEVNULL
        )
        try:
            alive = None if killed == 20 else 6 + rng.uniform(0, 8)
            assert process.wait(timeout=alive) == 0
            break
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            killed += 1
    assert results(folder) == results(finished)
    assert (folder / "tables.md").read_text() == (finished / "tables.md").read_text()


def _kill_after(folder: Path, kept: int) -> None:
    """Run the study in another process and kill -9 it once it has `kept` records."""
    process = subprocess.Popen(
        [sys.executable, "-m", "jetlab.cli.main", *COMMAND, str(folder)],
        stderr=subprocess.DEVNULL,
    )
    deadline = time.time() + 300
    while len(Ledger(folder).records()) < kept and process.poll() is None:
        assert time.time() < deadline
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
