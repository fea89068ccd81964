"""Clusters of correlated rows: those of one label, of one trajectory, or of one cell.

Rows of one training run at rising D (a trajectory) share its initialisation and the
order of its jets, and err together. An interval that takes them as independent is too
narrow: along trajectories of a correlation of 0.9, 68 % intervals of L_inf cover 47 %.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from jetlab.laws.result import FitResult
from jetlab.records import codes

Labels = Sequence | np.ndarray
"""Labels of the rows, equal for rows of one cluster."""

TRAJECTORY = ("trajectory", "run")
"""Columns that name a training run of several rows."""

SETTINGS = ("seed", "learning_rate", "lr", "rate")
"""Columns whose values, with N, name a training run where no column of `TRAJECTORY` is
given."""


def row_clusters(fit: FitResult, labels: Labels | None = None) -> Int[np.ndarray, "n"]:
    """The number of each row's cluster: by `labels`, else by those that the fit was
    given, else by its trajectories (`trajectories`), else rows that agree in the form's
    columns.

    Raises:
      ValueError: for labels of another number of rows.
    """
    if labels is not None:
        return cluster_ids(labels, fit.rows)
    if fit.clusters is not None:
        return fit.clusters
    return fit.table.cells(fit.form.columns)


def cluster_ids(labels: Labels, rows: int) -> Int[np.ndarray, "n"]:
    """Numbers from 0 for labels.

    Raises:
      ValueError: for labels of another number of rows, or empty ones.
    """
    values = np.asarray(labels)
    if values.shape != (rows,):
        raise ValueError(f"{len(values)} labels for a table of {rows} rows")
    text = not np.issubdtype(values.dtype, np.number)
    empty = int(np.sum(values == "")) if text else int(np.sum(np.isnan(values)))
    if empty:
        raise ValueError(f"clusters: no label on {empty} rows; every row needs one")
    return np.unique(values, return_inverse=True)[1].reshape(-1)


class Trajectories(NamedTuple):
    """The number of each row's training run and the columns that distinguish runs.
    Rows of one N and D are of different runs; `certain` if a column names the run."""

    ids: Int[np.ndarray, "n"]
    columns: tuple[str, ...]
    certain: bool


def trajectories(
    table: Mapping[str, np.ndarray], columns: Sequence[str]
) -> Trajectories | None:
    """Rows that may be of one training run; None where no run has rows at several D.

    A run is named by a column of `TRAJECTORY`, or, for a form with N and D, by those
    columns of `SETTINGS` that the table has; by N besides, where the form has N. In
    records of jetlab an empty `trajectory` stands for the row's own `id`.
    """
    if "D" not in columns:
        return None
    named = [name for name in TRAJECTORY if name in table]
    certain = bool(named)
    if not named and "N" in columns:
        named = [name for name in SETTINGS if name in table]
    elif not named:
        return None
    keys = [_label(table, name) for name in named]
    names = [*(["N"] if "N" in columns else []), *named]
    numbers = [table["N"]] if "N" in columns else []
    points = np.stack([codes(key) for key in (*numbers, *keys)], axis=1)
    ids = np.unique(points, axis=0, return_inverse=True)[1].reshape(-1)
    sizes = [len(np.unique(table["D"][ids == one])) for one in range(ids.max() + 1)]
    return Trajectories(ids, tuple(names), certain) if max(sizes) > 1 else None


def _label(table: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    column = np.asarray(table[name])
    if name != "trajectory" or "id" not in table:
        return column
    return np.where(column == "", np.asarray(table["id"]), column)


def too_few(clusters: int, free: int) -> str:
    """Why `clusters` clusters give `free` parameters no intervals."""
    return (
        f"no intervals: {clusters} clusters of rows for {free} parameters; take finer"
        f" clusters ({free + 1} at least), or fix parameters"
    )
