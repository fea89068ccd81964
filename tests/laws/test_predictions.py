"""Predictions: they cover, and they say how far they reach."""

from dataclasses import replace

import numpy as np
import pytest

from jetlab.laws import forms
from jetlab.laws.bootstrap import bootstrap
from jetlab.laws.fit import fit
from jetlab.laws.predictions import predict


@pytest.fixture(scope="module")
def law_of():
    def make(table):
        law = fit(forms.additive, table)
        return replace(law, draws=bootstrap(law, table, draws=200))

    return make


def test_new_runs_fall_into_their_interval_as_often_as_it_says(grid, jets, law_of):
    sizes, examples = np.logspace(3, 7, 8), np.logspace(3, 8, 8)
    law = law_of(grid(sizes, examples, scatter=0.01))
    fresh = grid(sizes, examples, scatter=0.01, seed=1)
    found = predict(law, fresh)
    inside = (found.run[0] <= fresh["L"]) & (fresh["L"] <= found.run[1])
    assert 0.55 < inside.mean() < 0.80  # 68 % of 64, two errors either way
    exact = forms.additive.predict(jets, fresh)
    assert np.all(np.diff(found.mean, axis=0) < np.diff(found.run, axis=0))
    assert np.abs(np.log(found.loss / exact)).max() < 0.02
    assert not found.decades.any()


def test_a_point_outside_is_called_so_with_its_distance(wide, law_of):
    law = law_of(wide)
    found = predict(
        law, {"N": np.array([1e5, 1e9, 1e7]), "D": np.array([1e5, 1e5, 1e8])}
    )
    assert found.decades == pytest.approx([0, 2, 0])
    assert found.words == [
        "interpolation",
        "extrapolation by 2 decades",
        "interpolation",
    ]


def test_the_corner_that_no_row_reached_is_outside(law_of, grid):
    """Large N and large D, each in the range, but never together."""
    table = grid(np.logspace(3, 7, 5), np.logspace(3, 8, 5), scatter=0.01)
    rows = table["N"] * table["D"] <= 1e11
    law = law_of({name: column[rows] for name, column in table.items()})
    found = predict(law, {"N": 1e7, "D": 1e8})
    assert found.words[0].startswith("extrapolation")


def test_without_draws_there_are_no_intervals(wide):
    found = predict(fit(forms.additive, wide), {"N": 1e5, "D": 1e5})
    assert np.isnan(found.mean).all()
    assert np.isfinite(found.loss).all()


def test_bad_points_are_refused(wide):
    law = fit(forms.additive, wide)
    with pytest.raises(ValueError, match="needs a column D"):
        predict(law, {"N": 1e5})
    with pytest.raises(ValueError, match="column N must be positive"):
        predict(law, {"N": -1.0, "D": 1e5})
    with pytest.raises(ValueError, match=r"not \(3,\)"):
        predict(law, {"N": np.ones(2), "D": np.ones(3)})
