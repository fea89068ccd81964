"""Clusters: by columns that name runs, by settings, and where there are none."""

import numpy as np
import pytest

from jetlab.laws.evidence.clusters import cluster_ids, trajectories
from jetlab.laws.fit import fit
from jetlab.records import Table

ND = ("N", "D")
N, D = np.repeat([1e3, 1e4], 3), np.tile([1e3, 1e4, 1e5], 2)


def test_a_column_names_the_runs():
    found = trajectories(Table(N=N, D=D, run=np.repeat(["b", "a"], 3)), ND)
    assert found is not None
    assert (found.columns, found.certain) == (("N", "run"), True)
    np.testing.assert_array_equal(found.ids, [0, 0, 0, 1, 1, 1])


def test_our_records_name_the_longest_run():
    """An empty trajectory stands for the row's own id."""
    ids, of = np.array(["a", "b", "c", "d", "e", "f"]), ["c", "c", "", "", "", ""]
    found = trajectories(Table(N=N, D=D, id=ids, trajectory=np.array(of)), ND)
    assert found is not None
    assert found.ids.tolist() == [0, 0, 0, 1, 2, 3]


def test_separate_runs_are_no_trajectories():
    assert trajectories(Table(N=N, D=D, run=np.arange(6)), ND) is None
    assert trajectories(Table(N=N, D=D, seed=np.arange(6)), ND) is None


def test_settings_may_name_runs():
    table = Table(N=np.tile(N, 2), D=np.tile(D, 2), seed=np.repeat([0, 1], 6))
    found = trajectories(table, ND)
    assert found is not None
    assert (found.columns, found.certain) == (("N", "seed"), False)
    assert np.bincount(found.ids).tolist() == [3, 3, 3, 3]


def test_a_learning_curve_needs_a_name():
    assert trajectories(Table(D=D), ("D",)) is None
    found = trajectories(Table(D=D, run=np.repeat([0, 1], 3)), ("D",))
    assert found is not None
    assert found.ids.tolist() == [0, 0, 0, 1, 1, 1]


def test_one_trajectory_alone_decides_nothing(jets):
    """Its rows share an error that no row can show."""
    size = np.logspace(3, 8, 12)
    noise = 0.01 * np.random.default_rng(0).normal(size=12)
    table = {
        "D": size,
        "L": (0.3 + 7 * size**-0.3) * np.exp(noise),
        "run": np.zeros(12),
    }
    law = fit("data_only", table, bootstrap=64)
    assert law.summary.startswith("undecided: no intervals: 1 clusters of rows")


def test_labels_become_numbers():
    assert cluster_ids(["b", "a", "b"], 3).tolist() == [1, 0, 1]
    with pytest.raises(ValueError, match="no label on 1 rows"):
        cluster_ids(["b", "", "b"], 3)
    with pytest.raises(ValueError, match="2 labels for a table of 3 rows"):
        cluster_ids([0, 1], 3)


def test_seeds_that_err_independently_are_rows(grid):
    """The same N and seed at every D, as in any grid, are a trajectory if they err
    alike: at a level of 0.2."""
    sizes, examples = np.logspace(3, 7, 5), np.logspace(3, 8, 6)
    found = [
        fit("additive", grid(sizes, examples, scatter=0.01, seed=i) | {"seed": one})
        for i in range(20)
        for one in [np.zeros(30, int)]
    ]
    clustered = np.mean([law.clusters is not None for law in found])
    assert clustered <= 0.4
