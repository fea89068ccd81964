"""Tests of the residuals against scipy's, and on laws that are known not to hold."""

import jax
import numpy as np
import pytest
from scipy.stats import f, f_oneway

from jetlab.laws import forms
from jetlab.laws.evidence.lack_of_fit import (
    CUT,
    added,
    dummies,
    labels_of,
    law_tests,
    levels,
    replicates,
)
from jetlab.laws.evidence.random_effects import effects_of
from jetlab.laws.fit import fit
from jetlab.laws.fitting.information import linearise
from jetlab.laws.fitting.misfit import SQUARES
from jetlab.records import Table

SIZES, EXAMPLES = np.logspace(3, 7, 5), np.logspace(3, 8, 6)


def near(law):
    with jax.enable_x64(True):
        return linearise(law.problem, law.problem.space.coordinates(law.params))


def p_of(law, what):
    (found,) = [test.p_value for test in law_tests(law) if test.what == what]
    return found


def by_hand(here, columns):
    """F test of columns beside the Jacobian, by two regressions."""
    r = here.residuals
    k = here.jacobian.shape[1]
    sigma = 1.4826 * np.median(np.abs(r)) * np.sqrt(len(r) / (len(r) - k))
    r = np.clip(r, -CUT * sigma, CUT * sigma)
    both = np.hstack([here.jacobian, columns])

    def rest(x):
        return np.sum((r - x @ np.linalg.lstsq(x, r, rcond=1e-10)[0]) ** 2)

    rank = np.linalg.matrix_rank(both, tol=1e-8) - k
    left = len(r) - k - rank
    drop = (rest(here.jacobian) - rest(both)) / rank
    return f.sf(drop / (rest(both) / left), rank, left)


def test_further_columns_are_tested_as_by_two_regressions(law_of_squares):
    here = near(law_of_squares)
    effects = effects_of(here, np.arange(25))
    assert effects is not None
    rng = np.random.default_rng(0)
    for columns in (dummies(law_of_squares.table["D"]), rng.normal(size=(25, 3))):
        found = added(here, effects, columns)
        assert found == pytest.approx(by_hand(here, columns), rel=1e-6)


def test_nothing_is_added_by_columns_of_the_law(law_of_squares):
    here = near(law_of_squares)
    effects = effects_of(here, np.arange(25))
    assert effects is not None
    assert added(here, effects, here.jacobian @ np.ones((5, 2))) == 1


def test_replicates_are_tested_as_by_the_textbook(seeds_of_cells):
    """Scatter between 25 cells less 5 parameters over that of three runs in each."""
    law = fit(forms.additive, seeds_of_cells(0.01, 0.01), misfit=SQUARES)
    here = near(law)
    cells = law.table.cells(("N", "D"))
    groups = [here.residuals[cells == cell] for cell in range(25)]
    statistic = f_oneway(*groups).statistic * 24 / 20
    found = replicates(here, cells)
    assert found == pytest.approx(f.sf(statistic, 20, 50), rel=1e-3)


def test_a_law_that_holds_passes(grid):
    """At a level of 1 %, three tests a table: some one of forty fails."""
    tables = [grid(SIZES, EXAMPLES, scatter=0.01, seed=seed) for seed in range(40)]
    values = [[t.p_value for t in law_tests(fit("additive", t))] for t in tables]
    failed = np.min(values, axis=1) < 0.01
    assert failed.mean() <= 0.1
    assert np.mean(values) == pytest.approx(0.5, abs=0.1)


def test_exact_rows_are_not_tested(exact_law):
    assert law_tests(exact_law) == ()


def test_a_bend_in_D_is_found(grid):
    table = grid(SIZES, EXAMPLES, scatter=0.002)
    late = np.maximum(0, np.log(table["D"] / EXAMPLES[3]))
    table["L"] = table["L"] * (1 + 0.01 * late)
    law = fit("additive", table)
    assert p_of(law, "residuals depend on D") < 1e-6
    assert p_of(law, "residuals bend along the rows") < 1e-2
    assert law.verdicts["beta"].status == "undecided"
    assert "residuals depend on D (p = " in law.verdicts["beta"].failures


def test_runs_of_another_rate_are_found(grid):
    """A third of the rows misses the law by 3 %, by their learning rate."""
    table = grid(SIZES, EXAMPLES, scatter=0.01)
    rate = np.resize([1e-3, 3e-3, 1e-2], 30)[np.random.default_rng(0).permutation(30)]
    table = table | {"rate": rate, "L": table["L"] * (1 + 0.03 * (rate == 1e-2))}
    law = fit("additive", table)
    assert list(law.labels) == ["rate"]
    assert p_of(law, "residuals depend on rate") < 0.01


def test_rows_of_one_N_that_err_alike_are_clustered_not_doubted(grid):
    """Without a column that names the runs, by their residuals."""
    table = grid(SIZES, EXAMPLES, scatter=0.002)
    assert fit("additive", table).clusters is None
    shift = 0.01 * np.array([1.0, -1.0, 1.0, -1.0, 1.0])
    table["L"] = table["L"] * np.exp(shift[np.searchsorted(SIZES, table["N"])])
    law = fit("additive", table)
    assert law.clusters_of.startswith("rows of equal N, which err alike (p = ")
    np.testing.assert_array_equal(law.clusters, np.tile(np.arange(5), 6))
    assert not law.evidence.failed


def test_labels_tell_rows_of_one_cell_apart():
    N, D = np.repeat([1.0, 2.0], 6), np.tile([1.0, 2.0, 3.0], 4)
    table = Table(
        N=N, D=D, L=N,
        width=8 * N, seed=np.tile([0, 0, 0, 1, 1, 1], 2), rate=np.full(12, 0.1),
        arm=np.tile(["a", "b"], 6), score=np.arange(12.0),
    )  # fmt: skip
    assert list(labels_of(table, ["N", "D", "L"])) == ["seed", "arm"]


def test_sizes_that_are_alike_are_one():
    column = np.array([100.0, 1000.0, 1010.0, 101.0, 5e4])
    assert levels(column) == [101.0, 1010.0, 5e4]
    assert levels(np.array([100.0, 101.9, 104.1])) == [101.9, 104.1]  # 0.019, 0.0214


def test_a_column_without_sizes_is_cut_into_twelve_parts_of_like_number():
    edges = levels(np.geomspace(1e3, 1e6, 240))
    assert len(edges) == 12
    assert edges[-1] == pytest.approx(1e6)
    np.testing.assert_allclose(np.diff(np.log(edges)), np.log(1e3) / 12, rtol=0.01)
