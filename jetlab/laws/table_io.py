"""Tables of runs: columns read from a CSV file, and checked before a fit."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
from jaxtyping import Float, Int

from jetlab.records import TableLike

MISSING = {"", "na", "n/a", "nan", "null", "none", "-"}


def read_columns(path: str | Path, columns: Mapping[str, str]) -> TableLike:
    """Columns of a CSV file under the names that a form reads.

    `columns` maps a form's name to the file's: {"N": "Model Size", "L": "loss"}. Cells
    may be separated by semicolons or tabs, too. An empty cell, "N/A" and "null" are
    NaN. Raises FileNotFoundError, or ValueError that names the missing column, or the
    line and column of a cell that is no number.
    """
    texts = _texts(path, list(dict.fromkeys(columns.values())))
    return {
        name: _numbers(texts[column], f"{path}, column {column!r}")
        for name, column in columns.items()
    }


def read_labels(path: str | Path, column: str) -> np.ndarray:
    """A column of a CSV file as text. Raises as `read_columns` does."""
    return np.array(_texts(path, [column])[column])


def _texts(path: str | Path, wanted: Sequence[str]) -> dict[str, list[str]]:
    """Columns of a file as they stand, by name; blanks around a name do not count."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no table {path}")
    try:
        parse = pyarrow.csv.ParseOptions(delimiter=_delimiter(path))
        names = pyarrow.csv.open_csv(path, parse_options=parse).schema.names
        hint = "" if len(names) > 1 else "; separate cells by commas"
        own = {name: [n for n in names if n.strip() == name] for name in wanted}
        for name, found in own.items():
            if len(found) != 1:
                raise ValueError(
                    f"{path} has {len(found) or 'no'} column{'s' * bool(found)} "
                    f"{name!r}; it has {', '.join(name.strip() for name in names)}"
                    f"{hint}"
                )
        options = pyarrow.csv.ConvertOptions(
            include_columns=[found[0] for found in own.values()],
            column_types={found[0]: pa.string() for found in own.values()},
            strings_can_be_null=False,
        )
        text = pyarrow.csv.read_csv(path, parse_options=parse, convert_options=options)
    except pa.ArrowInvalid as error:
        raise ValueError(f"{path} is not a table in CSV: {_plain(error)}") from error
    if text.num_rows == 0:
        raise ValueError(f"{path} has a header and no rows")
    try:
        return {name: text[found[0]].to_pylist() for name, found in own.items()}
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not in UTF-8: {error}") from error


def _plain(error: Exception) -> str:
    """A message without the bytes of the file."""
    return str(error).encode("ascii", "replace").decode()[:90]


def _delimiter(path: str | Path) -> str:
    """What separates the names in the first line: commas, unless there are none."""
    with Path(path).open("rb") as file:
        header = file.readline()
    marks = [mark for mark in (b",", b";", b"\t") if mark in header]
    return marks[0].decode() if marks else ","


def _numbers(cells: Sequence[str], where: str) -> np.ndarray:
    """Cells as float64, missing ones as NaN; the header is line 1 of the file."""
    values = np.empty(len(cells))
    for i, cell in enumerate(cells):
        try:
            values[i] = np.nan if cell.strip().lower() in MISSING else float(cell)
        except ValueError:
            raise ValueError(f"{where}, line {i + 2}: {cell!r} is no number") from None
    return values


def without_logarithm(column: Float[np.ndarray, "n"]) -> Int[np.ndarray, "m"]:
    """Rows (from 0) whose value is not positive and finite."""
    return np.flatnonzero(~(np.isfinite(column) & (column > 0)))


def log_columns(
    table: Mapping[str, np.ndarray], names: Sequence[str]
) -> dict[str, np.ndarray]:
    """Logarithms of the named columns, in float64.

    Raises ValueError that names the column that is missing or of another length, or
    the column and the row (counted from 0) of a value that is not positive and finite.
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
                " leave diverged or unfinished runs out (columns.usable names them)"
            )
    if rows == 0:
        raise ValueError("the table has no rows")
    return {name: np.log(column) for name, column in values.items()}


def usable(
    table: Mapping[str, np.ndarray], names: Sequence[str]
) -> tuple[TableLike, dict[int, str]]:
    """The rows of which every named column has a logarithm, all columns kept, and for
    each other row (by number, from 0) the reason: "L is nan".

    Diverged and unfinished runs are no part of a law, and a fit refuses them. This
    leaves them out in the open: `fit(form, kept, left_out=reasons)` reports them.
    Raises ValueError for a missing column or columns of different lengths.
    """
    missing = [name for name in names if name not in table]
    if missing:
        raise ValueError(f"the table has no column {missing[0]}; it has {list(table)}")
    lengths = {name: len(column) for name, column in table.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"the columns differ in length: {lengths}")
    reasons: dict[int, str] = {}
    for name in names:
        column = np.asarray(table[name], float)
        for row in without_logarithm(column):
            reasons.setdefault(int(row), f"{name} is {column[row]:g}")
    kept = np.ones(max(lengths.values()), bool)
    kept[list(reasons)] = False
    rest = {name: np.asarray(column)[kept] for name, column in table.items()}
    return rest, dict(sorted(reasons.items()))
