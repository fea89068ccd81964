"""A law through anybody's table: a CSV file to a fit with intervals and remarks."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jetlab.laws import forms, table_checks
from jetlab.laws.bootstrap import bootstrap
from jetlab.laws.diagnostics import Evidence, evidence
from jetlab.laws.fit import fit
from jetlab.laws.misfit import HUBER, Misfit
from jetlab.laws.result import FitResult
from jetlab.laws.table_io import read_columns, read_labels, usable
from jetlab.records import TableLike

WEIGHT = "weight"
RISING = ("transfer", "rejection")  # what these foretell is no loss


@dataclass(frozen=True, kw_only=True)
class Choices:
    """How a table is fitted. `clusters` is a column that names rows which share their
    luck, those of one cell where it is None; `particles` is n_p, for D from C."""

    form: str = "additive"
    fixed: Mapping[str, float] = field(default_factory=dict)
    misfit: Misfit = HUBER
    weight: str | None = None
    clusters: str | None = None
    draws: int = 1000
    seed: int = 0
    particles: float = 40.0


class Fitted(NamedTuple):
    """A fit, the rows that it used, what they can tell, sentences on what looks odd in
    the table, and n_p."""

    law: FitResult
    rows: TableLike
    evidence: Evidence
    remarks: list[str]
    particles: float

    def to_json(self) -> str:
        """The fit as `FitResult.from_json` reads it, with `evidence` and `remarks`."""
        return self.evidence.beside(self.law, self.remarks)


def fit_file(path: Path, columns: Mapping[str, str], choices: Choices) -> Fitted:
    """Fit the rows of a CSV file; `columns` maps the form's names to the file's.

    Rows without a positive, finite number in every column are left out, and named in
    the fit's message.

    Raises:
      ValueError: for a column that is missing or not given, a cell that is no number,
        or rows and choices that no law can be fitted to.
    """
    form = forms.named(choices.form)
    needed = [*form.columns, "L"]
    asked = {**columns, WEIGHT: choices.weight} if choices.weight else columns
    derived = {"D"} if {"N", "C"} <= columns.keys() else set()
    missing = sorted(set(needed) - set(columns) - derived)
    if missing:
        words = ",".join(f"{name}=..." for name in needed)
        raise ValueError(
            f"no column given for {', '.join(missing)}: write --columns {words}"
        )
    whole = table_checks.complete(read_columns(path, asked), choices.particles)
    used = [*needed, WEIGHT] if choices.weight else needed
    rows, left_out = usable({name: whole[name] for name in used}, used)
    if not len(rows["L"]):
        row, reason = next(iter(left_out.items()))
        raise ValueError(
            f"{path}: no row has a positive, finite number in each of"
            f" {', '.join(used)}; row {row} (from 0): {reason}"
        )
    law = fit(
        form,
        rows,
        fixed=choices.fixed,
        misfit=choices.misfit,
        weight=WEIGHT if choices.weight else None,
        left_out=left_out,
    )
    if choices.draws:
        labels = None
        if choices.clusters is not None:
            labels = np.delete(read_labels(path, choices.clusters), list(left_out))
            if (empty := np.flatnonzero(labels == "")).size:
                raise ValueError(
                    f"{path}, column {choices.clusters!r} is empty on {empty.size}"
                    " rows: every row needs the name of its cluster"
                )
        draws = bootstrap(
            law, rows, draws=choices.draws, seed=choices.seed, labels=labels
        )
        law = replace(law, draws=draws)
    told, odd = evidence(law, rows), _remarks(rows, form.name, columns)
    return Fitted(law, rows, told, odd, choices.particles)


def _remarks(rows: TableLike, form: str, columns: Mapping[str, str]) -> list[str]:
    """What looks odd in the rows, and in what was asked of them."""
    found = table_checks.remarks(rows, falls=form not in RISING)
    if "C" in columns and "C" not in rows and "D" in columns:
        found.append("C is not used, as D is given")
    return found
