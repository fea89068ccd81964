"""Tables of the command line: read, and fitted."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import jetlab.laws.result
    import jetlab.records

logger = logging.getLogger(__name__)

WEIGHT, CLUSTER = "weight", "cluster"
"""Names of these columns in the table that is fitted."""


def needed_columns(form: str) -> list[str]:
    """The form's columns in a table, without the loss."""
    from jetlab.laws import forms

    return list(forms.get_form(form).columns)


def read_table(
    path: Path,
    columns: dict[str, str],
    form: str,
    more: dict[str, str | None],
    particles: float | None,
) -> "jetlab.records.Table":
    """The rows of a CSV file, or the finished runs of a folder of `jetlab run`.

    Raises:
      ValueError: for a column that is missing, with the option to name it, or a cell of
        a number's column that is not one.
    """
    from jetlab.laws.plans.budget import PARTICLES
    from jetlab.laws.tables.csv_tables import read_csv

    needed = [*needed_columns(form), "L"]
    given = columns | {name: column for name, column in more.items() if column}
    if path.is_dir() or path.name == "records.jsonl":
        from jetlab.records import Table
        from jetlab.runs.api import read_runs

        found = read_runs(path if path.is_dir() else path.parent)
        renamed = {name: found[own] for name, own in given.items() if own in found}
        table = Table(found | renamed)
    else:
        table = read_csv(path, particles=particles or PARTICLES, **given)
    if {"C", "D"} <= given.keys() and "C" not in needed and not more.get("C"):
        logger.warning("warning: column C is not used, because D is given")
    missing = [name for name in needed if name not in table]
    if missing:
        names = ",".join(f"{name}=..." for name in needed)
        raise ValueError(
            f"{path} has no column {', '.join(missing)}: write --columns {names};"
            f" it has {', '.join(table)}"
        )
    return table


def fit_rows(
    form: str, table: "jetlab.records.Table", **choices: Any
) -> "jetlab.laws.result.FitResult":
    """Fit the usable rows of a table.

    Raises:
      ValueError: where no row is usable, or for choices that `fit` refuses.
    """
    from jetlab.laws.fit import fit
    from jetlab.laws.tables.table_checks import usable

    used = [*needed_columns(form), "L", *([WEIGHT] if choices["weight"] else [])]
    rows, left_out = usable(table, used)
    if not rows.rows:
        row, reason = next(iter(left_out.items()))
        raise ValueError(
            f"no row has a positive, finite number in each of {', '.join(used)}; row"
            f" {row} (counted from 0): {reason}"
        )
    return fit(form, rows, left_out=left_out, **choices)
