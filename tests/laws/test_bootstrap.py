"""Intervals: do they cover, and do they say what was left out?"""

import jax
import numpy as np
import pytest

from jetlab.laws import forms
from jetlab.laws.batched import Lanes
from jetlab.laws.bootstrap import bootstrap, corrected, refit
from jetlab.laws.cells import cells
from jetlab.laws.fit import fit, pose
from jetlab.laws.resampling import drawn
from jetlab.laws.result import percentiles

EXPERIMENTS, DRAWS = 200, 100


def test_intervals_cover_as_often_as_they_say(wide, jets):
    """200 tables with 1 % scatter, 100 refits each, all in one batch."""
    exact = wide | {"L": forms.additive.predict(jets, wide)}
    rng = np.random.default_rng(0)
    with jax.enable_x64(True):
        problem = pose(forms.additive, exact, {}, {}, 1e-3)
        rows = problem.rows
        noise = 0.01 * rng.normal(size=(EXPERIMENTS, len(rows.weight)))
        tables = np.asarray(rows.log_loss) + noise
        truth = np.tile(problem.space.coordinates(jets), (EXPERIMENTS, 1))
        weight = np.tile(rows.weight, (EXPERIMENTS, 1))
        optima, found = refit(problem, Lanes(truth, tables, weight))
        assert found.all()
        ids = np.arange(rows.count)
        weight = drawn(rows, ids, EXPERIMENTS * DRAWS, seed=1)
        starts = np.repeat(optima, DRAWS, axis=0)
        z, found = refit(problem, Lanes(starts, np.repeat(tables, DRAWS, 0), weight))
        assert found.mean() > 0.999
        draws = problem.space.many_params(
            corrected(z, starts, rows.count, squares=False)
        )
    for name, values in draws.items():
        low, high = percentiles(values.reshape(EXPERIMENTS, DRAWS).T)
        coverage = np.mean((low <= jets[name]) & (jets[name] <= high))
        assert 0.60 <= coverage <= 0.76, f"{name}: {coverage}"


def test_draws_are_those_of_the_seed(wide):
    law = fit(forms.additive, wide)
    draws = bootstrap(law, wide, draws=64, seed=3)
    again = bootstrap(law, wide, draws=64, seed=3)
    other = bootstrap(law, wide, draws=64, seed=4)
    np.testing.assert_array_equal(draws.values["A"], again.values["A"])
    assert not np.array_equal(draws.values["A"], other.values["A"])
    low, high = draws.intervals["beta"]
    assert low < law.params["beta"] < high
    assert "0 of 64 refits" in draws.message


def test_exact_rows_leave_no_doubt(grid, jets):
    table = grid(np.logspace(3, 7, 5), np.logspace(3, 8, 5))
    draws = bootstrap(fit(forms.additive, table), table, draws=64)
    for name, (low, high) in draws.intervals.items():
        assert low == pytest.approx(jets[name], rel=1e-5)
        assert high == pytest.approx(jets[name], rel=1e-5)


def test_a_fixed_floor_is_fixed_in_every_draw(wide):
    law = fit(forms.additive, wide, fixed={"L_inf": 0.32})
    draws = bootstrap(law, wide, draws=64)
    np.testing.assert_array_equal(draws.values["L_inf"], 0.32)


def test_a_bound_holds_in_every_draw(wide):
    law = fit(forms.additive, wide, bounds={"L_inf": (0.3, 0.33)})
    floors = bootstrap(law, wide, draws=64).values["L_inf"]
    assert floors.min() >= 0.3
    assert floors.max() <= 0.33


def test_only_the_rows_that_were_fitted(wide):
    law = fit(forms.additive, wide)
    with pytest.raises(ValueError, match="not the one that was fitted"):
        bootstrap(law, wide | {"L": wide["L"][::-1].copy()})


def test_nothing_to_draw_where_nothing_was_fitted(grid):
    table = grid([1e4], np.logspace(3, 8, 6))
    draws = bootstrap(fit(forms.additive, table), table)
    assert draws.intervals == {}
    assert "no draws" in draws.message


@pytest.fixture(scope="module")
def seeded(seeds_of_cells):
    return seeds_of_cells(cells_scatter=0.02, seeds_scatter=0.002)


def test_cells_are_drawn_whole(seeded):
    """Three seeds of one cell come or stay away together."""
    labels = cells(seeded)
    assert np.bincount(labels).tolist() == [3] * 25
    with jax.enable_x64(True):
        rows = pose(forms.additive, seeded, {}, {}, 1e-3).rows
        weight = drawn(rows, labels, 50, seed=0)[:, : rows.count]
    for draw in weight:
        assert draw.sum() == 75
        assert all(len(set(draw[labels == label])) == 1 for label in range(25))


@pytest.mark.parametrize("wild", [False, True])
def test_shared_luck_widens_the_intervals_of_cells(seeded, wild):
    """Where the cells scatter ten times more than their seeds, rows that are taken for
    independent make the law look surer than it is, by about sqrt(3)."""
    law = fit(forms.additive, seeded)

    def spread(labels):
        draws = bootstrap(law, seeded, draws=400, labels=labels, wild=wild)
        return np.std(draws.values["beta"])

    assert 1.3 < spread(None) / spread(np.arange(75)) < 2.3


def test_too_few_clusters_are_refused(seeded):
    law = fit(forms.additive, seeded)
    none = bootstrap(law, seeded, labels=seeded["N"])
    assert none.values == {}
    assert "5 clusters of rows cannot tell" in none.message
    few = bootstrap(law, seeded, draws=16, labels=np.arange(75) % 8)
    assert "8 clusters are few for 5 parameters" in few.message
    with pytest.raises(ValueError, match="3 labels for a table of 75 rows"):
        bootstrap(law, seeded, labels=[1, 2, 3])
