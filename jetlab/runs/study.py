"""A study: the runs that answer a question, and what is made of their records."""

import importlib.util
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import numpy as np

from jetlab.records import Record
from jetlab.runs.ledger import write_whole
from jetlab.runs.plots import Figure
from jetlab.runs.tables import Grid
from jetlab.training.run_config import RunConfig

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What a study found: sentences, tables by title, figures and JSON texts by the
    name of their file."""

    words: Sequence[str]
    tables: dict[str, Grid] = field(default_factory=dict)
    figures: dict[str, Figure] = field(default_factory=dict)
    results: dict[str, str] = field(default_factory=dict)

    def save(self, folder: Path) -> list[Path]:
        """Write everything into a folder; the files written."""
        texts = {f"{name}.json": text for name, text in self.results.items()}
        texts["tables.md"] = _under_titles("## {}\n\n{}\n", self.tables, Grid.markdown)
        texts["tables.tex"] = _under_titles("% {}\n{}\n", self.tables, Grid.latex)
        for name, text in texts.items():
            write_whole(folder / name, text)
        drawn = [
            (figure, folder / f"{name}.{suffix}")
            for name, figure in self.figures.items()
            for suffix in ("png", "pdf")
        ]
        for figure, path in drawn:
            figure.savefig(path)
        return [path for _, path in drawn] + [folder / name for name in texts]


def _under_titles(
    layout: str, tables: dict[str, Grid], render: Callable[[Grid], str]
) -> str:
    return "\n".join(layout.format(title, render(g)) for title, g in tables.items())


@dataclass(frozen=True, kw_only=True)
class Study:
    """`runs`, and `analyse`, which turns their records into findings.

    Single-pass runs that differ in their examples alone are points on one trajectory
    and trained as one, to the same numbers: that is cheaper by the sum of a row of D
    over its largest. Points of one trajectory are correlated; to have them independent,
    give each a seed of its own. `one_trajectory` off trains each run anew.
    """

    name: str
    runs: tuple[RunConfig, ...]
    analyse: Callable[[Sequence[Record]], Findings]
    one_trajectory: bool = True


def grid(make: Callable[..., T], **axes: Sequence[Any]) -> tuple[T, ...]:
    """A run, or whatever `make` makes, for every combination of the axes; the last axis
    is the fastest."""
    points = itertools.product(*axes.values())
    return tuple(make(**dict(zip(axes, point, strict=True))) for point in points)


def log_spaced(low: float, high: float, count: int, *, multiple: int) -> list[int]:
    """`count` sizes at equal ratios from low to high, rounded to whole batches."""
    sizes = np.geomspace(low, high, count)
    return [multiple * max(1, round(size / multiple)) for size in sizes]


def load_experiment(path: Path | str) -> ModuleType:
    """The module of an experiment's file.

    Raises:
      ValueError: where there is no such file, or it lacks `study` or `SIZES`.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"no experiment at {path}: give the path of its Python file")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ValueError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever the user's file may raise
        said = f"{type(error).__name__}: {error}"
        raise ValueError(f"{path} cannot be loaded: {said}") from error
    for name in ("study", "SIZES"):
        if not hasattr(module, name):
            raise ValueError(f"{path} is no experiment: it defines no {name}")
    return module
