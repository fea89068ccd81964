"""Tables of runs, checked before a fit."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from jetlab.records import Table, TableLike

COARSE = 2e-3  # of the lowest loss: a coarser rounding of L is remarked on


def without_logarithm(column: Float[np.ndarray, "n"]) -> Int[np.ndarray, "m"]:
    """Rows (from 0) whose value is not positive and finite."""
    return np.flatnonzero(~(np.isfinite(column) & (column > 0)))


def log_columns(table: TableLike, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Logarithms of the named columns, in float64.

    Raises:
      ValueError: for a column that is missing or of another length, or the column and
        row (from 0) of a value that is not positive and finite.
    """
    missing = [name for name in names if name not in table]
    if missing:
        raise ValueError(f"the table has no column {missing[0]}; it has {list(table)}")
    values = {name: np.asarray(table[name], float) for name in names}
    rows = len(values[names[0]])
    for name, column in values.items():
        if column.shape != (rows,):
            raise ValueError(f"column {name} has shape {column.shape}, not ({rows},)")
        bad = without_logarithm(column)
        if bad.size:
            raise ValueError(
                f"column {name}, row {bad[0]} (from 0): {column[bad[0]]} is not"
                f" positive and finite as power laws need ({bad.size} such rows);"
                " leave diverged or unfinished runs out (`table_checks.usable`)"
            )
    if rows == 0:
        raise ValueError("the table has no rows")
    return {name: np.log(column) for name, column in values.items()}


def usable(table: TableLike, names: Sequence[str]) -> tuple[Table, dict[int, str]]:
    """The rows in which every named column has a logarithm, all columns kept, and the
    reason for each other row by number (from 0): "L is nan".

    A fit refuses diverged and unfinished runs. `fit(form, kept, left_out=reasons)`
    reports those that were left out.

    Raises:
      ValueError: for a missing column, or columns of different lengths.
    """
    table = Table(table)
    missing = [name for name in names if name not in table]
    if missing:
        raise ValueError(f"the table has no column {missing[0]}; it has {list(table)}")
    reasons: dict[int, str] = {}
    for name in names:
        column = np.asarray(table[name], float)
        for row in without_logarithm(column):
            reasons.setdefault(int(row), f"{name} is {column[row]:g}")
    kept = np.ones(table.rows, bool)
    kept[list(reasons)] = False
    return table.take(kept), dict(sorted(reasons.items()))


def remarks(table: TableLike, *, falls: bool = True) -> list[str]:
    """Sentences on what looks wrong in a table: copies of rows, coarse rounding, sizes
    below one, and, if the loss should fall, one that rises with both N and D."""
    found = []
    rows = np.stack([np.asarray(column, float) for column in table.values()], axis=1)
    copies = len(rows) - len(np.unique(rows, axis=0))
    if copies:
        found.append(
            f"{copies} rows are copies of others: the fit counts them as further runs,"
            " the intervals do not; leave them out"
        )
    for name in ("N", "D"):
        small = int(np.sum(np.asarray(table.get(name, [1.0])) < 1))
        if small:
            found.append(
                f"{name} is below 1 on {small} rows: check its unit (millions, or C not"
                " in FLOPs); exponents do not depend on it, allocations do"
            )
    step, lowest = _rounding(table["L"]), np.min(table["L"])
    if step > COARSE * lowest:
        found.append(
            f"L is rounded to {step:g}, {100 * step / lowest:.2g} % of the lowest: give"
            " more digits; the intervals do not account for it"
        )
    if falls and {"N", "D", "L"} <= table.keys() and _rises(table):
        found.append(
            "L rises with N and with D: if it is an accuracy or a score, fit its"
            " distance from the maximum"
        )
    return found


def _rounding(losses: np.ndarray) -> float:
    """The decimal that the losses are rounded to; 0 where they have more than six."""
    for digits in range(7):
        if np.allclose(np.round(losses, digits), losses, rtol=1e-12, atol=0):
            return 10.0**-digits
    return 0.0


def _rises(table: TableLike) -> bool:
    """Whether rank correlations of L with both N and D are clearly positive."""
    return all(_rank_correlation(table[n], table["L"]) > 0.3 for n in ("N", "D"))


def _rank_correlation(x: np.ndarray, y: np.ndarray) -> float:
    """Spearman's, ties by their order of value; 0 for a column that is constant."""
    first, second = (np.unique(c, return_inverse=True)[1].reshape(-1) for c in (x, y))
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    first, second = first - first.mean(), second - second.mean()
    return float(first @ second / np.sqrt(first @ first * (second @ second)))
