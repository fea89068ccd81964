"""Rows that a fit can take, and what looks wrong in a table."""

import numpy as np
import pytest

from jetlab.laws.tables.table_checks import log_columns, remarks, usable
from jetlab.records import Table


def test_an_empty_cell_is_a_run_to_leave_out():
    table = Table(N=np.array([1.0, 3.0, 4.0]), L=np.array([2.0, np.nan, 5.0]))
    kept, reasons = usable(table, ("N", "L"))
    assert reasons == {1: "L is nan"}
    np.testing.assert_array_equal(kept["N"], [1, 4])
    with pytest.raises(ValueError, match="no column D"):
        usable(table, ("N", "D"))
    with pytest.raises(ValueError, match="differ in length"):
        usable({**table, "N": np.ones(2)}, ("N", "L"))


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf])
def test_a_value_without_a_logarithm_is_named(bad):
    table = {"N": np.array([1.0, 2.0, 3.0]), "L": np.array([1.0, 2.0, bad])}
    with pytest.raises(ValueError, match=r"column L, row 2 \(from 0\)"):
        log_columns(table, ("N", "L"))


def test_columns_must_be_there_and_equally_long():
    table = {"N": np.ones(3), "L": np.ones(2)}
    with pytest.raises(ValueError, match="no column D"):
        log_columns(table, ("N", "D", "L"))
    with pytest.raises(ValueError, match="column L has shape"):
        log_columns(table, ("N", "L"))
    with pytest.raises(ValueError, match="no rows"):
        log_columns({"N": np.ones(0)}, ("N",))


def test_an_orderly_table_gets_no_remark(wide):
    assert remarks(wide) == []


def test_copies_scores_and_odd_units_are_remarked_on(wide):
    doubled = {name: np.append(column, column[:3]) for name, column in wide.items()}
    assert "3 rows are copies" in remarks(doubled)[0]
    assert "N is below 1 on 15 rows" in remarks(wide | {"N": wide["N"] / 1e6})[0]
    score = wide | {"L": 2 - wide["L"] / 5}
    assert "L rises with N and with D" in remarks(score)[0]
    assert remarks(score, falls=False) == []


def test_rounding_is_remarked_on_from_a_fifth_of_a_percent(wide):
    """A step of 0.01 is 0.2 % of a lowest loss of 5."""
    losses = np.linspace(1, 3, 25).round(2)
    for lowest, words in ((4.9, "L is rounded to 0.01, 0.2 %"), (5.1, "")):
        table = wide | {"L": losses[::-1] + lowest - 1}
        found = remarks(table, falls=False)
        assert len(found) == bool(words)
        assert all(words in sentence for sentence in found)
