"""Tables as people have them."""

import numpy as np
import pytest

from jetlab.laws.table_checks import complete, remarks


def test_examples_follow_from_compute():
    table = {"N": np.array([1e6, 1e7]), "C": np.array([6e12, 2.4e15])}
    assert complete(table, 1.0)["D"] == pytest.approx([1e6, 4e7])
    assert complete(table, 40.0)["D"] == pytest.approx([2.5e4, 1e6])
    kept = complete(table | {"D": np.array([1.0, 2.0])}, 40.0)
    assert kept["D"].tolist() == [1, 2]


def test_an_orderly_table_gets_no_remark(wide):
    assert remarks(wide) == []


def test_copies_scores_and_odd_units_are_remarked_on(wide):
    doubled = {name: np.append(column, column[:3]) for name, column in wide.items()}
    assert "3 rows are copies" in remarks(doubled)[0]
    assert "N is below 1 on 15 rows" in remarks(wide | {"N": wide["N"] / 1e6})[0]
    assert "rises with N and with D" in remarks(wide | {"L": 2 - wide["L"] / 5})[0]
