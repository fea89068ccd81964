"""Sources of jets by the name that a command line gives them."""

from importlib.resources import files
from pathlib import Path

from jetlab.data.shower.source import Shower
from jetlab.data.store import Store
from jetlab.data.taught import Taught, Teacher
from jetlab.runs.trained_model import best_run, load_model, model_of
from jetlab.training.weights import SUFFIX
from jetlab.types import Source

SHOWER, TAUGHT = "shower", "taught"

TEACHER, SCALE = "e6e14135456fa3dc996a5ba2e137ddcc3884047f" + SUFFIX, 4.0
"""The teacher of the source "taught", made by `benchmarks/make_teacher.py`, and the
factor on its outputs."""


def open_source(name: str) -> Source:
    """The jets of a name.

    "shower" is the simulated shower, and a folder is the store in it. "taught" is the
    shower relabelled by the teacher that comes with jetlab, and "taught:MODEL@SOURCE"
    is any of these relabelled by a network of yours: MODEL is a folder of runs, whose
    best tagger is taken, FOLDER/ID for one of its runs, or a file of weights;
    "MODEL*2" doubles its outputs, which lowers the floor.

    Raises:
      ValueError: for a folder that is no store, and a network that is not there or has
        other classes.
    """
    if name == SHOWER:
        return Shower()
    if name == TAUGHT:
        return Taught(source=Shower(), teacher=shipped_teacher(), scale=SCALE)
    if name.startswith(f"{TAUGHT}:"):
        model, scale, source = _parts(name)
        return Taught(source=open_source(source), teacher=_teacher(model), scale=scale)
    return Store(name)


def absolute_name(name: str) -> str:
    """The name for processes with another working directory."""
    if name in (SHOWER, TAUGHT):
        return name
    if name.startswith(f"{TAUGHT}:"):
        model, scale, source = _parts(name)
        return f"{TAUGHT}:{Path(model).resolve()}*{scale:g}@{absolute_name(source)}"
    return str(Path(name).resolve())


def shipped_teacher() -> Teacher:
    """The teacher of the source "taught"."""
    return model_of(Path(str(files("jetlab.data").joinpath("teacher", TEACHER))))


def _parts(name: str) -> tuple[str, float, str]:
    """Model, scale and source of "taught:MODEL*SCALE@SOURCE"."""
    model, at, source = name.removeprefix(f"{TAUGHT}:").rpartition("@")
    model, scale = model.rsplit("*", 1) if "*" in model else (model, "1")
    try:
        number = float(scale)
    except ValueError:
        number = 0.0
    if not (at and model and source and number > 0):
        raise ValueError(
            f"source {name!r}: write taught:MODEL@SOURCE, with a folder of runs or a"
            " file of weights and the name of a source, and MODEL*2 to double its"
            " outputs"
        )
    return model, number, source


def _teacher(model: str) -> Teacher:
    path = Path(model)
    if path.suffix == SUFFIX:
        return model_of(path)
    if (path / "plan.json").exists():
        return load_model(path, best_run(path))
    if (path.parent / "plan.json").exists():
        return load_model(path.parent, path.name)
    raise ValueError(
        f"there is no teacher {model}: give a folder of runs, FOLDER/ID, or a file"
        f" *{SUFFIX} of weights"
    )
