"""Tables of runs from text files, as people keep them.

Cells may be separated by commas, semicolons, tabs or blanks; lines may be comments; the
header may be numpy's `# N,D,L`; numbers may have thousands separators, decimal commas,
or suffixes k, M, B and T; the text may be UTF-8 or UTF-16.
"""

import codecs
import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jetlab.laws.plans.budget import flops_per_parameter, require_positive
from jetlab.records import Table

MISSING = {"", "na", "n/a", "nan", "null", "none", "-"}
NUMBERS = {"N", "D", "C", "U", "L", "X", "weight"}  # columns that hold no text
SUFFIXES = {"k": 1e3, "K": 1e3, "M": 1e6, "B": 1e9, "G": 1e9, "T": 1e12}
SUFFIXED = re.compile(r"(?P<number>[-+]?[.\d]+(e[-+]?\d+)?) ?(?P<suffix>[kKMBGT])")
GROUPED = re.compile(r"[-+]?\d{1,3}(,\d{3})+(\.\d*)?")
DECIMAL_COMMA = re.compile(r"[-+]?\d+,\d+(e[-+]?\d+)?", re.I)


class Lines(NamedTuple):
    """The cells of a file: names, and rows with the line of the file of each."""

    names: list[str]
    rows: list[list[str]]
    numbers: list[int]
    mark: str


def read_csv(path: str | Path, /, *, particles: float = 40.0, **columns: str) -> Table:
    """The columns of a text file, some under the names that laws use.

        read_csv("runs.csv", N="params", D="jets", L="loss")

    Columns that are not named keep the names of the file. Empty cells, "N/A" and "null"
    are NaN. A column other than N, D, C, U, L, X and weight is text where a cell is not
    a number.

    Args:
      particles: n_p of D = C / (6 n_p N), for a table with N and C whose D is not
        named in `columns`, or that has none, and of N = C / (6 n_p D) likewise; 1 where
        D counts tokens.
      columns: the file's name of each column, by the name wanted.

    Raises:
      FileNotFoundError: for a path without a file.
      ValueError: for a missing column, a cell of a number's column that is not one,
        with its line, lines of different lengths, or `particles` that are not positive
        and finite.
    """
    require_positive(particles=particles)
    lines = _lines(path)
    chosen = {name: _index(path, own, lines) for name, own in columns.items()}
    computed = {"D"} if {"N", "C"} <= columns.keys() else set()
    computed |= {"N"} if {"D", "C"} <= columns.keys() else set()
    others = {
        name: i
        for i, name in enumerate(lines.names)
        if i not in chosen.values() and name not in chosen.keys() | computed
    }
    table = Table(
        {name: _column(path, lines, i, name) for name, i in (chosen | others).items()}
    )
    per_jet = flops_per_parameter(particles)
    for name, other in (("D", "N"), ("N", "D")):
        if name not in table and {other, "C"} <= table.keys():
            with np.errstate(all="ignore"):
                table[name] = table["C"] / (per_jet * table[other])
    return table


def _lines(path: str | Path) -> Lines:
    """The names and cells of a file.

    Raises:
      FileNotFoundError: for a path without a file.
      ValueError: for a file without rows, or whose rows differ in length.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no table {path}")
    written = [
        (number, line)
        for number, line in enumerate(_text(path).splitlines(), 1)
        if line.strip()
    ]
    plain = [(n, line) for n, line in written if not line.lstrip().startswith("#")]
    if not plain:
        raise ValueError(f"{path} is not a table: it has no header")
    header, rows, mark = _header(written, plain)
    if not rows:
        raise ValueError(f"{path} has a header and no rows")
    names = [name.strip() for name in next(_cells([header], mark))]
    cells = list(_cells([line for _, line in rows], mark))
    numbers = [number for number, _ in rows]
    for number, row in zip(numbers, cells, strict=True):
        if len(row) != len(names):
            raise ValueError(
                f"{path} is not a table: line {number} has {len(row)} cells, the header"
                f" {len(names)}{_hint(names)}"
            )
    return Lines(names, cells, numbers, mark)


def _text(path: str | Path) -> str:
    data = Path(path).read_bytes()
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is neither in UTF-8 nor in UTF-16: {error}"
        ) from error


def _header(
    written: Sequence[tuple[int, str]], plain: Sequence[tuple[int, str]]
) -> tuple[str, Sequence[tuple[int, str]], str]:
    """The line of names, the rows, and the mark between cells. Numbers in the first
    line that is no comment are a row: the comment above it then has the names."""
    number, first = plain[0]
    mark = _mark(first)
    above = [line for n, line in written if n < number]
    if above and all(_is_number(cell, mark) for cell in next(_cells([first], mark))):
        names = above[-1].lstrip().lstrip("#").strip()
        return names, plain, mark
    return first, plain[1:], mark


def _mark(line: str) -> str:
    """What separates cells: semicolons, if there are any, else tabs, else commas, else
    blanks."""
    return next((mark for mark in (";", "\t", ",") if mark in line), " ")


def _cells(lines: Sequence[str], mark: str) -> Iterator[list[str]]:
    if mark == " ":
        return iter([line.split() for line in lines])
    return csv.reader(lines, delimiter=mark, skipinitialspace=True)


def _is_number(cell: str, mark: str) -> bool:
    return _number(cell, decimal_comma=mark != ",") is not None


def _index(path: str | Path, name: str, lines: Lines) -> int:
    """The number of a column."""
    found = [i for i, own in enumerate(lines.names) if own == name]
    if len(found) == 1:
        return found[0]
    raise ValueError(
        f"{path} has {len(found) or 'no'} column{'s' * bool(found)} {name!r}; it has"
        f" {', '.join(lines.names)}{_hint(lines.names)}"
    )


def _hint(names: Sequence[str]) -> str:
    return "" if len(names) > 1 else "; separate cells by commas"


def _column(path: str | Path, lines: Lines, index: int, name: str) -> np.ndarray:
    """A column as float64, missing cells as NaN, or as text where that is allowed and a
    cell is not a number."""
    cells = [row[index].strip() for row in lines.rows]
    comma = lines.mark != "," and _has_decimal_commas(path, lines, index)
    values = np.empty(len(cells))
    for i, cell in enumerate(cells):
        value = _number(cell, decimal_comma=comma)
        if value is None and name not in NUMBERS:
            return np.array(cells)
        if value is None:
            raise ValueError(
                f"{path}, column {lines.names[index]!r}, line {lines.numbers[i]}:"
                f" {cell!r} is not a number"
            )
        values[i] = value
    return values


def _has_decimal_commas(path: str | Path, lines: Lines, index: int) -> bool:
    """Whether a comma in a column is a decimal point: if that is so anywhere in the
    file. 1,813 alone may be either.

    Raises:
      ValueError: where nothing in the file tells which.
    """
    every = [cell.strip() for row in lines.rows for cell in row if "," in cell]
    if any(DECIMAL_COMMA.fullmatch(c) and not GROUPED.fullmatch(c) for c in every):
        return True
    own = [row[index] for row in lines.rows if "," in row[index]]
    known = any(cell.count(",") > 1 for cell in every)
    if not known and any(GROUPED.fullmatch(cell.strip()) for cell in own):
        raise ValueError(
            f"{path}, column {lines.names[index]!r}: {own[0].strip()!r} may be a"
            " decimal comma or thousands: write it with a point, or without a comma"
        )
    return False


def _number(cell: str, *, decimal_comma: bool) -> float | None:
    """The value of a cell, NaN if it is missing, None if it is no number."""
    cell = cell.strip()
    if cell.lower() in MISSING:
        return np.nan
    if decimal_comma and DECIMAL_COMMA.fullmatch(cell):
        cell = cell.replace(",", ".")
    elif GROUPED.fullmatch(cell):
        cell = cell.replace(",", "")
    factor = 1.0
    if suffixed := SUFFIXED.fullmatch(cell):
        cell, factor = suffixed["number"], SUFFIXES[suffixed["suffix"]]
    try:
        return float(cell) * factor
    except ValueError:
        return None


def write_csv(table: Mapping[str, np.ndarray]) -> str:
    """A table as text that `read_csv` reads back: columns of numbers and of text."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table)
    writer.writerows(zip(*(column.tolist() for column in table.values()), strict=True))
    return text.getvalue()
