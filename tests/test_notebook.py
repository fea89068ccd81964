"""The notebook of first steps runs from top to bottom."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "docs" / "first_steps.ipynb"


def cells() -> list[dict]:
    content = json.loads(NOTEBOOK.read_text())
    return [cell for cell in content["cells"] if cell["cell_type"] == "code"]


def test_it_is_kept_with_its_output():
    last = cells()[-1]["outputs"]
    assert any("Plan for 1e+18 FLOPs" in json.dumps(output) for output in last)
    assert any("image/png" in json.dumps(cell["outputs"]) for cell in cells())
    assert not any("Traceback" in json.dumps(cell["outputs"]) for cell in cells())


@pytest.mark.slow
def test_its_code_runs_as_it_stands(tmp_path):
    lines = "\n".join("".join(cell["source"]) for cell in cells()).splitlines()
    script = "\n".join(line for line in lines if not line.startswith("%"))
    (tmp_path / "runs").mkdir()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", script]
    subprocess.run(command, check=True, cwd=tmp_path, env=environment)
