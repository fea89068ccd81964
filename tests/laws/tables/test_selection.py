"""Rows chosen by conditions, by cell and by group."""

import numpy as np
import pytest

from jetlab.laws.tables.selection import best_of_cells, groups, means_of_cells, where
from jetlab.records import Table

TABLE = Table(
    N=np.array([1.0, 1, 2, 2]),
    L=np.array([3.0, 2.5, 2.0, np.nan]),
    lr=np.array([1e-3, 1e-2, 1e-3, 1e-2]),
    arm=np.array(["tuned", "none", "tuned", "none"]),
)


@pytest.mark.parametrize(
    ("condition", "rows"),
    [
        ("lr==1e-3", [0, 2]),
        ("lr != 0.001", [1, 3]),
        ("N>=2", [2, 3]),
        ("N<2", [0, 1]),
        ("arm == tuned", [0, 2]),
        ("arm!='tuned'", [1, 3]),
    ],
)
def test_conditions(condition, rows):
    np.testing.assert_array_equal(where(TABLE, condition)["lr"], TABLE["lr"][rows])


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ("lr", "is no condition"),
        ("rate==1", "no column rate; it has N, L, lr, arm"),
        ("arm<b", "is text, which has no order"),
        ("lr==low", "'low' is not a number"),
        ("lr>1", "no row meets 'lr>1': lr is 0.001, 0.01"),
    ],
)
def test_other_conditions_are_refused(condition, words):
    with pytest.raises(ValueError, match=words):
        where(TABLE, condition)


def test_a_condition_may_use_the_name_of_the_file():
    assert where(TABLE, "loss<2.2", {"loss": "L"})["N"].tolist() == [2]


def test_the_best_of_each_cell():
    best = best_of_cells(TABLE, ["N"])
    assert best["L"].tolist() == [2.5, 2.0]
    assert best["arm"].tolist() == ["none", "tuned"]


def test_the_mean_of_each_cell_counts_its_runs():
    mean = means_of_cells(TABLE, ["N"])
    assert mean["L"].tolist() == [2.75, 2.0]
    assert mean["seeds"].tolist() == [2, 1]


def test_groups_by_value():
    found = groups(TABLE, "arm")
    assert list(found) == ["none", "tuned"]
    assert found["tuned"]["lr"].tolist() == [1e-3, 1e-3]
    with pytest.raises(ValueError, match="on every row: there are no groups"):
        groups(where(TABLE, "lr==1e-3"), "lr")
    with pytest.raises(ValueError, match="no column seed"):
        groups(TABLE, "seed")
