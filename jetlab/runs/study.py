"""A study: the runs that answer a question, and the analysis of their records."""

import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar, get_args

from jetlab.records import Record
from jetlab.runs.grid import Size
from jetlab.runs.report import Findings
from jetlab.runs.retention import Keep
from jetlab.training.run_config import RunConfig
from jetlab.types import Source

T = TypeVar("T")


Analysis = Callable[[Sequence[Record]], Findings]
"""From the records of a study, one for each run and arm, to its findings."""


def for_each_inputs(analyse: Analysis) -> Analysis:
    """An analysis of runs with one input configuration, made for each in turn, in the
    order of the runs. With several, their labels are added to the names of tables,
    figures and files."""

    def analyse_each(records: Sequence[Record]) -> Findings:
        labels = list(dict.fromkeys(record.inputs for record in records))
        if len(labels) == 1:
            return analyse(records)
        parts = {
            label: analyse([record for record in records if record.inputs == label])
            for label in labels
        }
        return Findings(
            sentences=_lines(parts, "sentences"),
            known=_lines(parts, "known"),
            unknown=_lines(parts, "unknown"),
            advice=_lines(parts, "advice"),
            captions=_labelled("{}_{}", {n: one.captions for n, one in parts.items()}),
            tables=_labelled("{}, {}", {n: one.tables for n, one in parts.items()}),
            figures=_labelled("{}_{}", {n: one.figures for n, one in parts.items()}),
            results=_labelled("{}_{}", {n: one.results for n, one in parts.items()}),
        )

    return analyse_each


def _lines(parts: Mapping[str, Findings], name: str) -> list[str]:
    return [f"{n}: {line}" for n, one in parts.items() for line in getattr(one, name)]


def _labelled(layout: str, parts: Mapping[str, Mapping[str, T]]) -> dict[str, T]:
    return {
        layout.format(name, label): value
        for label, values in parts.items()
        for name, value in values.items()
    }


@dataclass(frozen=True, kw_only=True)
class Study:
    """Runs, and the analysis of their records.

    Attributes:
      name: of the study.
      runs: a run under several arms appears once for each; it is trained once.
      analyse: None for a grid without an analysis.
      one_trajectory: see `Grid`.
      keep: whose weights are kept, see `jetlab.runs.retention`.
      foretell: from the records so far and a run of the arm "forecast" to its forecast,
        a dataclass with a `sentence`.

    Raises:
      ValueError: for an unknown `keep`.
    """

    name: str
    runs: tuple[RunConfig, ...]
    analyse: Analysis | None = None
    one_trajectory: bool = True
    keep: Keep = "best"
    foretell: Callable[[Sequence[Record], RunConfig], Any] | None = None

    def __post_init__(self):
        if self.keep not in get_args(Keep):
            known = ", ".join(get_args(Keep))
            raise ValueError(f"keep is {self.keep!r}: choose from {known}")


def study_of(
    name: str, sizes: Mapping[str, Size], analyse: Analysis, **options: Any
) -> Callable[[str, Source], Study]:
    """A function from a size and a source to their study: `study` in an experiment's
    file. `options` are further fields of `Study`."""

    def study(size: str, source: Source) -> Study:
        runs = sizes[size].runs(source)
        return Study(name=name, runs=runs, analyse=analyse, **options)

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
    # Weights name the classes of a file's own tasks and models by its module.
    known = sys.modules.get(path.stem)
    if known is None or getattr(known, "__file__", None) == spec.origin:
        sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # any error of the user's file
        reason = f"{type(error).__name__}: {error}"
        raise ValueError(f"{path} cannot be loaded: {reason}") from error
    for name in ("study", "SIZES"):
        if not hasattr(module, name):
            raise ValueError(f"{path} is not an experiment: it defines no {name}")
    return module
