"""The floor plan as a test: who may import whom, and who alone knows which library."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / "jetlab").rglob("*.py"))

MAY_IMPORT = {
    "atomic": set(),
    "types": set(),
    "onset": set(),
    "identity": set(),
    "records": {"onset"},
    "physics": {"types"},
    "data": {"atomic", "types"},
    "models": {"types"},
    "tasks": {"types", "records", "data", "models", "physics"},
    "training": {"atomic", "types", "records", "identity", "data"},
    "laws": {"atomic", "types", "records"},
}
ALL = {*MAY_IMPORT, "runs"}
MAY_IMPORT["runs"] = ALL
MAY_IMPORT |= {"studies": ALL, "cli": {*ALL, "studies"}}

ONLY = {
    "uproot": {"data/jetclass/reader.py", "data/jetclass/writer.py"},
    "orbax": {"training/checkpoint.py"},
    "pythia8mc": {
        f"data/pythia/{name}.py" for name in ("generator", "generator_filter")
    },
    "fastjet": {"data/pythia/jet_finding.py"},
    "pyarrow": {
        "data/jetclass/reader.py",
        "runs/scores.py",
    },
    "grain": {"data/loader.py"},
    "jaxopt": {
        "laws/fitting/solver.py",
        "laws/plans/allocation.py",
        "laws/plans/optimal_epochs.py",
    },
    "matplotlib": {
        str(p.relative_to(ROOT / "jetlab"))
        for p in FILES
        if "figures" in p.stem or "plot" in p.stem
    },
    "click": {
        f"cli/{name}.py"
        for name in (
            "main",
            "options",
            "fit",
            "fit_groups",
            "flops",
            "jets",
            "plans",
            "predict",
            "runs",
        )
    },
    "jinja2": {"runs/report.py"},
    "tabulate": {"runs/report.py", "laws/export.py", "laws/summary.py"},
    "distributed": {"runs/dask_backend.py"},
    "dask": {"runs/dask_backend.py"},
    "dask_jobqueue": {"runs/dask_backend.py"},
}


def imports(path: Path) -> set[str]:
    """Every module that a file imports by its full name, functions' imports too, but
    not those for annotations alone."""
    found, tree = set(), ast.parse(path.read_text())
    tree.body = [node for node in tree.body if not _for_annotations(node)]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import, line {node.lineno}"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def _for_annotations(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def room(path: Path) -> str:
    return path.relative_to(ROOT / "jetlab").with_suffix("").parts[0]


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_rooms_import_only_what_they_may(path):
    if path.name == "__init__.py":  # that of jetlab itself is the front door
        assert path.parent == ROOT / "jetlab" or path.read_text() == ""
        return
    assert "jetlab" not in imports(path), "the front door is for those outside"
    ours = {name.split(".")[1] for name in imports(path) if name.startswith("jetlab.")}
    assert ours - {room(path)} <= MAY_IMPORT[room(path)]


def test_a_library_is_known_to_the_files_that_fence_it():
    for library, allowed in ONLY.items():
        knowing = {
            str(path.relative_to(ROOT / "jetlab"))
            for path in FILES
            if any(name.split(".")[0] == library for name in imports(path))
        }
        assert knowing <= allowed, f"{library} is imported by {knowing - allowed}"


def test_no_experiment_imports_another():
    for path in (ROOT / "experiments").glob("*.py"):
        assert not any(name.startswith("experiments") for name in imports(path))


def test_every_experiment_says_command_cost_and_number():
    for path in (ROOT / "experiments").glob("*.py"):
        text = ast.get_docstring(ast.parse(path.read_text())) or ""
        assert "jetlab run" in text, path
        assert "Cost:" in text, path
        assert "reach" in text, path


def test_files_stay_short():
    long = {p.name: n for p in FILES if (n := len(p.read_text().splitlines())) > 300}
    assert not long


def test_training_needs_none_of_the_libraries_for_files_and_fits():
    """An accelerator's machine may have JAX, Flax, Optax and little else."""
    script = (
        "import sys; import jetlab.training.run_config, jetlab.data.shower.source; "
        "print(*{'grain', 'jaxopt', 'uproot', 'awkward', 'pyarrow'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", script]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said.split() == []
