"""Rows of a table chosen before a fit: by conditions, the best run or the mean of each
cell, and the groups of a column."""

import operator
import re
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool

from jetlab.laws.tables.cells import cell_means
from jetlab.laws.tables.table_checks import usable
from jetlab.records import Table

OPERATORS = {
    "==": operator.eq, "!=": operator.ne, "<=": operator.le, ">=": operator.ge,
    "<": operator.lt, ">": operator.gt,
}  # fmt: skip
CONDITION = re.compile(r"\s*(.+?)\s*(==|!=|<=|>=|<|>)\s*(.+?)\s*")


def where(table: Table, condition: str, renamed: Mapping[str, str] = {}) -> Table:
    """The rows that meet a condition: a column, one of == != < <= > >=, and a value, as
    in "lr==1e-3" or "arm != tuned".

    Args:
      renamed: the table's name of a column by the one that a condition may use.

    Raises:
      ValueError: for anything else, a column that the table lacks, an order of text, or
        a condition that no row meets.
    """
    found = CONDITION.fullmatch(condition)
    if not found:
        raise ValueError(
            f"{condition!r} is no condition: write a column, one of == != < <= > >= and"
            " a value, as in lr==1e-3"
        )
    name, sign, value = found.groups()
    name = renamed.get(name, name)
    if name not in table:
        raise ValueError(f"the table has no column {name}; it has {', '.join(table)}")
    kept = table.take(_meets(table[name], sign, value, condition))
    if not kept.rows:
        raise ValueError(f"no row meets {condition!r}: {name} is {_some(table[name])}")
    return kept


def _meets(
    column: np.ndarray, sign: str, value: str, condition: str
) -> Bool[np.ndarray, "n"]:
    compare = OPERATORS[sign]
    if not np.issubdtype(column.dtype, np.number):
        if sign not in ("==", "!="):
            raise ValueError(f"{condition!r}: the column is text, which has no order")
        return np.asarray(compare(column, value.strip("'\"")))
    try:
        return np.asarray(compare(column, float(value)))
    except ValueError:
        raise ValueError(f"{condition!r}: {value!r} is not a number") from None


def _some(column: np.ndarray) -> str:
    """The values of a column, the first few."""
    values = [str(value) for value in np.unique(column)]
    return ", ".join(values[:5]) + (", ..." if len(values) > 5 else "")


def best_of_cells(table: Table, columns: Sequence[str]) -> Table:
    """The row of the lowest loss in each cell of equal `columns`: where cells hold
    several learning rates, the best of them. The lowest of several equal runs is biased
    low."""
    kept, _ = usable(table, [*columns, "L"])
    return kept.best(by=columns)


def means_of_cells(table: Table, columns: Sequence[str]) -> Table:
    """One row a cell, with the mean loss of its runs, and their number as `seeds`."""
    kept, _ = usable(table, [*columns, "L"])
    numbers = {n: c for n, c in kept.items() if np.issubdtype(c.dtype, np.number)}
    return cell_means(Table(numbers), columns)


def groups(table: Table, column: str) -> dict[str, Table]:
    """The rows of each value of a column.

    Raises:
      ValueError: for a column that the table lacks or of one value.
    """
    if column not in table:
        raise ValueError(f"the table has no column {column}; it has {', '.join(table)}")
    values = np.unique(table[column])
    if len(values) < 2:
        raise ValueError(f"{column} is {values[0]} on every row: there are no groups")
    return {str(value): table.take(table[column] == value) for value in values}
