"""Profiles: right where the answer is known, open where the rows exclude nothing."""

from dataclasses import replace

import numpy as np
import pytest

from jetlab.laws import forms
from jetlab.laws.fit import fit
from jetlab.laws.misfit import Misfit
from jetlab.laws.profile import profile
from jetlab.laws.resampling import student

# two-sided quantiles of Student's t from tables
QUANTILES = [(0.95, 4, 2.776), (0.95, 10, 2.228), (0.99, 30, 2.750), (0.95, 1, 12.706)]


@pytest.mark.parametrize(("level", "freedom", "t"), QUANTILES)
def test_quantiles_of_student(level, freedom, t):
    assert student(level, freedom) == pytest.approx(t, abs=1e-3)


def test_of_a_line_it_is_the_interval_of_linear_regression():
    """A power law without a floor by least squares is a line in log N, whose slope has
    Student's interval."""
    size = np.logspace(3, 8, 12)
    noise = 0.01 * np.random.default_rng(0).normal(size=12)
    table = {"N": size, "L": 5 * size**-0.3 * np.exp(noise)}
    squares = Misfit(kind="squares")
    law = fit(forms.model_only, table, fixed={"L_inf": 1e-200}, misfit=squares)
    found = profile(law, table, "alpha", level=0.95)
    centred = np.log(size) - np.log(size).mean()
    slope = -centred @ np.log(table["L"]) / (centred @ centred)
    sigma = np.sqrt(law.residuals @ law.residuals / 10)
    half = student(0.95, 10) * sigma / np.sqrt(centred @ centred)
    assert found.interval == pytest.approx((slope - half, slope + half), rel=1e-3)


def test_rows_of_one_cell_count_as_they_share_their_luck(seeds_of_cells):
    """Three equal rows tell no more than one, and rows that are taken for independent
    make the law look surer than it is."""
    table = seeds_of_cells(cells_scatter=0.02, seeds_scatter=0.0)
    squares = Misfit(kind="squares")
    single = {name: column[::3] for name, column in table.items()}
    law, alone = (fit(forms.additive, t, misfit=squares) for t in (table, single))
    found, expected = profile(law, table, "beta"), profile(alone, single, "beta")
    width = np.diff(found.interval)[0] / np.diff(expected.interval)[0]
    assert width == pytest.approx(1, rel=0.01)
    rows = profile(law, table, "beta", labels=np.arange(75))
    assert np.diff(rows.interval)[0] < 0.7 * np.diff(expected.interval)[0]


def test_it_holds_the_truth_and_is_lowest_at_the_fit(wide, jets):
    law = fit(forms.additive, wide)
    found = profile(law, wide, "beta", level=0.95)
    low, high = found.interval
    assert low < jets["beta"] < high
    assert low < law.params["beta"] < high
    assert high - low < 0.03
    assert found.values[np.argmin(found.statistic)] == law.params["beta"]
    # the profile falls towards the fit and rises after it
    best = int(np.argmin(found.statistic))
    assert np.all(np.diff(found.statistic[: best + 1]) <= 1e-6)
    assert np.all(np.diff(found.statistic[best:]) >= -1e-6)


def test_a_flat_valley_is_shown_as_one(grid):
    """No row is near the floor: any smaller one will do."""
    table = grid(np.logspace(2, 3, 4), np.logspace(2, 3, 4), scatter=0.02)
    law = fit(forms.additive, table)
    found = profile(law, table, "L_inf")
    assert found.interval[0] == 0
    assert "exclude no low" in found.message
    assert "flat valley" in found.message


def test_only_what_was_fitted_has_a_profile(wide):
    law = fit(forms.additive, wide, fixed={"L_inf": 0.32})
    with pytest.raises(ValueError, match="L_inf was not fitted; free were A, alpha"):
        profile(law, wide, "L_inf")
    with pytest.raises(ValueError, match="no fit to profile"):
        profile(replace(law, objective=np.nan), wide, "A")
