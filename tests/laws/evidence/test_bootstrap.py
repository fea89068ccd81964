"""Bootstrap intervals: coverage, corrections by hand, and clusters."""

import jax
import numpy as np
import pytest
from scipy.stats import norm

from jetlab.laws import forms
from jetlab.laws.evidence.bootstrap import (
    bootstrap,
    refit,
    resampled_weights,
    resampling_factor,
)
from jetlab.laws.evidence.clusters import row_clusters
from jetlab.laws.evidence.draws import Draws
from jetlab.laws.evidence.intervals import percentiles, student_quantile
from jetlab.laws.fit import fit
from jetlab.laws.fitting.misfit import ABSOLUTE
from jetlab.laws.fitting.newton import ProblemBatch
from jetlab.laws.fitting.objective import pose

EXPERIMENTS, DRAWS = 200, 100


def test_intervals_cover_as_often_as_they_say(wide, jets):
    """200 tables with 1 % scatter, 100 refits each, all in one batch."""
    exact = wide | {"L": forms.additive.predict(jets, wide)}
    rng = np.random.default_rng(0)
    with jax.enable_x64(True):
        problem = pose(forms.additive, exact)
        rows = problem.rows
        noise = 0.01 * rng.normal(size=(EXPERIMENTS, len(rows.weight)))
        tables = np.asarray(rows.log_loss) + noise
        truth = np.tile(problem.space.coordinates(jets), (EXPERIMENTS, 1))
        weight = np.tile(rows.weight, (EXPERIMENTS, 1))
        optima, found = refit(problem, ProblemBatch(truth, tables, weight))
        assert found.all()
        ids = np.arange(rows.count)
        weight = resampled_weights(rows, ids, EXPERIMENTS * DRAWS, seed=1)
        starts = np.repeat(optima, DRAWS, axis=0)
        z, found = refit(
            problem, ProblemBatch(starts, np.repeat(tables, DRAWS, 0), weight)
        )
        assert found.mean() > 0.999
        factor = resampling_factor(rows.count, 5, squares=False)
        draws = problem.space.many_params(starts + factor * (z - starts))
    for name, values in draws.items():
        low, high = percentiles(values.reshape(EXPERIMENTS, DRAWS).T)
        coverage = np.mean((low <= jets[name]) & (jets[name] <= high))
        assert 0.60 <= coverage <= 0.76, f"{name}: {coverage}"


# two-sided quantiles of Student's t from tables
QUANTILES = [(0.95, 4, 2.776), (0.95, 10, 2.228), (0.99, 30, 2.750), (0.95, 1, 12.706)]


@pytest.mark.parametrize(("level", "freedom", "t"), QUANTILES)
def test_quantiles_of_student(level, freedom, t):
    assert student_quantile(level, freedom) == pytest.approx(t, abs=1e-3)


def test_draws_are_scaled_about_the_optimum():
    """Seven clusters, five parameters: by t with two degrees of freedom, in closed form
    0.68 sqrt(2 / (4 0.84 0.16)), over the normal quantile at 68 %, and, but for least
    squares, by the root of 1 - 5 / 7."""
    factor = 0.68 * np.sqrt(2 / (4 * 0.84 * 0.16)) / norm.ppf(0.84)
    for squares, root in ((True, 1.0), (False, np.sqrt(2 / 7))):
        found = resampling_factor(7, 5, squares=squares)
        assert found == pytest.approx(factor * root, rel=1e-9)


def test_the_corrections_are_part_of_the_intervals(law, law_of_squares):
    """The draws of the fit, against refits of the same resampled tables by hand."""
    for fitted, root in ((law, np.sqrt(20 / 25)), (law_of_squares, 1.0)):
        with jax.enable_x64(True):
            problem = fitted.problem
            best = problem.space.coordinates(fitted.params)
            weight = resampled_weights(problem.rows, np.arange(25), 16, seed=5)
            batch = ProblemBatch.same_rows(np.tile(best, (16, 1)), problem.rows)
            z, _ = refit(problem, batch._replace(weight=weight))
            factor = student_quantile(0.68, 20) / student_quantile(0.68, np.inf) * root
            expected = problem.space.many_params(best + factor * (z - best))
        found = bootstrap(fitted, draws=16, seed=5, labels=np.arange(25)).values
        for name, values in expected.items():
            np.testing.assert_allclose(found[name], values, rtol=1e-9)


def test_draws_are_those_of_the_seed(law):
    draws = bootstrap(law, draws=64, seed=3)
    again = bootstrap(law, draws=64, seed=3)
    other = bootstrap(law, draws=64, seed=4)
    np.testing.assert_array_equal(draws.values["A"], again.values["A"])
    assert not np.array_equal(draws.values["A"], other.values["A"])
    low, high = draws.intervals["beta"]
    assert low < law.params["beta"] < high
    assert "0 of 64 refits" in draws.message
    assert draws.warnings == ()


def drawn(table, **choices) -> Draws:
    """The draws of a fit."""
    draws = fit("additive", table, **choices).draws
    assert draws is not None
    return draws


def test_a_fit_holds_the_draws_that_were_asked_for(law, wide):
    """As many as asked, of the seed and the clusters given."""
    assert law.draws.asked == len(law.draws.values["A"]) == 200
    runs = np.arange(25) // 2
    held = drawn(wide, clusters=runs, bootstrap=16, seed=2)
    other = bootstrap(law, draws=16, seed=2, labels=runs)
    np.testing.assert_array_equal(held.values["beta"], other.values["beta"])


def test_lost_refits_keep_their_places(law):
    kept = bootstrap(law, draws=16, seed=3, keep_lost=True).values["A"]
    np.testing.assert_array_equal(kept, bootstrap(law, draws=16, seed=3).values["A"])


def test_exact_rows_leave_no_doubt(exact_law, jets):
    draws = bootstrap(exact_law, draws=64)
    for name, (low, high) in draws.intervals.items():
        assert low == pytest.approx(jets[name], rel=1e-5)
        assert high == pytest.approx(jets[name], rel=1e-5)


def test_a_fixed_floor_is_fixed_in_every_draw(law_of_floor):
    np.testing.assert_array_equal(law_of_floor.draws.values["L_inf"], 0.32)


def test_a_bound_holds_in_every_draw(wide):
    draws = drawn(wide, bounds={"L_inf": (0.3, 0.33)}, bootstrap=64)
    floors = draws.values["L_inf"]
    assert floors.min() >= 0.3
    assert floors.max() <= 0.33


def test_nothing_to_draw_where_nothing_was_fitted(grid):
    draws = drawn(grid([1e4], np.logspace(3, 8, 6)), bootstrap=64)
    assert draws.intervals == {}
    assert "no draws" in draws.message


@pytest.fixture(scope="module")
def seeded(seeds_of_cells):
    return fit("additive", seeds_of_cells(cells_scatter=0.02, seeds_scatter=0.002))


def test_cells_are_drawn_whole(seeded):
    """Three seeds of one cell come or stay away together, 25 cells in every draw."""
    labels = row_clusters(seeded)
    assert np.bincount(labels).tolist() == [3] * 25
    with jax.enable_x64(True):
        rows = seeded.problem.rows
        weight = resampled_weights(rows, labels, 50, seed=0)
    assert not weight[:, rows.count :].any()
    for draw in weight[:, : rows.count]:
        assert draw.sum() == 75
        assert all(len(set(draw[labels == label])) == 1 for label in range(25))


def test_labels_go_before_the_clusters_of_the_fit_and_those_before_cells(seeded):
    runs = np.arange(75) % 7
    clustered = fit("additive", seeded.table, clusters=runs)
    np.testing.assert_array_equal(row_clusters(clustered), runs)
    np.testing.assert_array_equal(row_clusters(clustered, runs % 2), runs % 2)


def test_correlated_rows_widen_the_intervals_of_cells(seeded):
    """Where the cells scatter ten times more than their seeds, intervals of independent
    rows are too narrow, by about sqrt(3)."""

    def spread(labels):
        return np.std(bootstrap(seeded, draws=400, labels=labels).values["beta"])

    assert 1.3 < spread(None) / spread(np.arange(75)) < 2.3


def test_clusters_that_leave_no_variance_are_refused(seeded):
    none = bootstrap(seeded, labels=seeded.table["N"] > 1e6)
    assert none.values == {}
    assert "no intervals: 2 clusters of rows for 5 parameters" in none.message
    assert "(6 at least)" in none.warnings[0]
    with pytest.raises(ValueError, match="3 labels for a table of 75 rows"):
        bootstrap(seeded, labels=[1, 2, 3])


def test_refits_of_absolute_deviations_are_hubers(wide):
    draws = drawn(wide, misfit=ABSOLUTE, bootstrap=16)
    assert "refitted by Huber's function, delta 0.001" in draws.message
    assert draws.warnings[0] in draws.message
