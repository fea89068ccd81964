"""Predictions: coverage of new runs, distances of extrapolations."""

from dataclasses import replace

import numpy as np
import pytest

from jetlab.laws import forms
from jetlab.laws.fit import fit
from jetlab.laws.plans.predictions import predictions


def test_new_runs_fall_into_their_interval_as_often_as_it_says(grid, jets):
    sizes, examples = np.logspace(3, 7, 8), np.logspace(3, 8, 8)
    table = grid(sizes, examples, scatter=0.01)
    law = fit(forms.additive, table, bootstrap=200)
    fresh = grid(sizes, examples, scatter=0.01, seed=1)
    found = predictions(law, fresh)
    inside = (found.run[0] <= fresh["L"]) & (fresh["L"] <= found.run[1])
    assert 0.55 < inside.mean() < 0.80  # 68 % of 64, two errors either way
    exact = forms.additive.predict(jets, fresh)
    assert np.all(np.diff(found.mean, axis=0) < np.diff(found.run, axis=0))
    assert np.abs(np.log(found.loss / exact)).max() < 0.02
    assert not found.decades.any()


def test_the_distance_of_a_point_outside(law):
    points = {"N": np.array([1e5, 1e9, 1e7, 1e2]), "D": np.array([1e5, 1e5, 1e8, 1e5])}
    found = predictions(law, points)
    assert found.decades == pytest.approx([0, 2, 0, 1])
    assert found.words == [
        "interpolation",
        "extrapolation by 2 decades",
        "interpolation",
        "extrapolation by 1 decades",
    ]


def test_the_corner_that_no_row_reached_is_outside(wide):
    """Large N and large D, each in the range, but never together."""
    rows = wide["N"] * wide["D"] <= 1e11
    law = fit("additive", {name: column[rows] for name, column in wide.items()})
    found = predictions(law, {"N": 1e7, "D": 1e8})
    largest = np.max(wide["N"][rows] * wide["D"][rows])
    assert found.decades[0] == pytest.approx(15 - np.log10(largest))


def test_without_draws_there_are_no_intervals(law):
    found = predictions(replace(law, draws=None), {"N": 1e5, "D": 1e5})
    assert np.isnan(found.mean).all()
    assert np.isfinite(found.loss).all()


def test_bad_points_are_refused(law):
    with pytest.raises(ValueError, match="needs a column D"):
        predictions(law, {"N": 1e5})
    with pytest.raises(ValueError, match="column N must be positive"):
        predictions(law, {"N": -1.0, "D": 1e5})
    with pytest.raises(ValueError, match=r"not \(3,\)"):
        predictions(law, {"N": np.ones(2), "D": np.ones(3)})
