"""A study: the runs that answer a question, and the analysis of their records."""

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import get_args

from jetlab.atomic import write_text
from jetlab.records import Record
from jetlab.runs.grid import Size
from jetlab.runs.plots import Figure
from jetlab.runs.retention import Keep
from jetlab.runs.tables import TextTable
from jetlab.training.run_config import RunConfig
from jetlab.types import Source


@dataclass(frozen=True, kw_only=True)
class Findings:
    """The results of a study.

    Attributes:
      words: sentences.
      tables: by title.
      figures: by file name without suffix.
      results: JSON texts, by file name without suffix.
    """

    words: Sequence[str]
    tables: dict[str, TextTable] = field(default_factory=dict)
    figures: dict[str, Figure] = field(default_factory=dict)
    results: dict[str, str] = field(default_factory=dict)

    def save(self, folder: Path) -> list[Path]:
        """Write tables, figures and results into a folder.

        Returns:
          The files written.
        """
        texts = {f"{name}.json": text for name, text in self.results.items()}
        texts["tables.md"] = _titled("## {}\n\n{}\n", self.tables, TextTable.markdown)
        texts["tables.tex"] = _titled("% {}\n{}\n", self.tables, TextTable.latex)
        for name, text in texts.items():
            write_text(folder / name, text)
        drawn = [
            (figure, folder / f"{name}.{suffix}")
            for name, figure in self.figures.items()
            for suffix in ("png", "pdf")
        ]
        for figure, path in drawn:
            figure.savefig(path)
        return [path for _, path in drawn] + [folder / name for name in texts]


def _titled(
    layout: str, tables: dict[str, TextTable], render: Callable[[TextTable], str]
) -> str:
    return "\n".join(layout.format(title, render(t)) for title, t in tables.items())


Analysis = Callable[[Sequence[Record]], Findings]
"""From the records of a study, one for each run and arm, to its findings."""


@dataclass(frozen=True, kw_only=True)
class Study:
    """Runs, and the analysis of their records.

    Attributes:
      name: of the study.
      runs: a run under several arms appears once for each; it is trained once.
      analyse: None for a grid without an analysis.
      one_trajectory: see `Grid`.
      keep: whose weights are kept, see `jetlab.runs.retention`.

    Raises:
      ValueError: for an unknown `keep`.
    """

    name: str
    runs: tuple[RunConfig, ...]
    analyse: Analysis | None = None
    one_trajectory: bool = True
    keep: Keep = "best"

    def __post_init__(self):
        if self.keep not in get_args(Keep):
            known = ", ".join(get_args(Keep))
            raise ValueError(f"keep is {self.keep!r}: choose from {known}")


def study_of(
    name: str, sizes: Mapping[str, Size], analyse: Analysis
) -> Callable[[str, Source], Study]:
    """A function from a size and a source to their study: `study` in an experiment's
    file."""

    def study(size: str, source: Source) -> Study:
        return Study(name=name, runs=sizes[size].runs(source), analyse=analyse)

    return study


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
        reason = f"{type(error).__name__}: {error}"
        raise ValueError(f"{path} cannot be loaded: {reason}") from error
    for name in ("study", "SIZES"):
        if not hasattr(module, name):
            raise ValueError(f"{path} is not an experiment: it defines no {name}")
    return module
