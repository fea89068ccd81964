"""Profiles: exact where the answer is known, open where the rows exclude nothing."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from jetlab.laws import forms
from jetlab.laws.evidence.intervals import student_quantile
from jetlab.laws.evidence.profile import profile
from jetlab.laws.fit import fit
from jetlab.laws.fitting.misfit import SQUARES, Misfit
from jetlab.laws.fitting.objective import objective


def test_of_a_line_it_is_the_interval_of_linear_regression(line):
    """The slope has Student's interval."""
    law, slope, error = line
    for level in (0.68, 0.95):
        found = profile(law, "alpha", level=level)
        half = student_quantile(level, 10) * error
        assert found.interval == pytest.approx((slope - half, slope + half), rel=1e-3)
        assert found.limit == student_quantile(level, 10)


@pytest.mark.parametrize("delta", [1e-3, 2e-2])
def test_hubers_statistic_by_hand(wide, delta):
    """2 [S(v) - S(best)] E[psi'] / E[psi^2] for normal scatter, deltas far below it and
    above, the expectations by numerical integration."""
    law = fit(forms.additive, wide, misfit=Misfit(delta=delta))
    found = profile(law, "beta", labels=np.arange(25))
    r = np.linspace(-12, 12, 200_001)
    density = norm.pdf(r) * (r[1] - r[0])
    knee = delta / law.scatter
    slope, square = (np.sum(density * v) for v in (
        np.abs(r) < knee, np.clip(r, -knee, knee) ** 2
    ))  # fmt: skip
    i = int(np.argmax(found.statistic > 1))
    with jax.enable_x64(True):
        fixed = law.fixed | {"beta": found.values[i]}
        lower = fit(forms.additive, wide, fixed=fixed, misfit=law.misfit).objective
        z = jnp.asarray(law.problem.space.coordinates(law.params))
        best = float(objective(z, law.problem)) * delta**2
    assert best == pytest.approx(law.objective, rel=1e-9)
    rise = 2 * (lower - best) / law.scatter**2
    expected = rise * slope / square
    assert found.statistic[i] == pytest.approx(expected, rel=1e-3)


def test_rows_of_one_cell_count_as_correlated(seeds_of_cells):
    """Three equal rows count as one; taken as independent they narrow the interval."""
    table = seeds_of_cells(cells_scatter=0.02, seeds_scatter=0.0)
    single = {name: column[::3] for name, column in table.items()}
    law, alone = (fit(forms.additive, t, misfit=SQUARES) for t in (table, single))
    found, expected = profile(law, "beta"), profile(alone, "beta")
    width = np.diff(found.interval)[0] / np.diff(expected.interval)[0]
    assert width == pytest.approx(1, rel=0.01)
    rows = profile(law, "beta", labels=np.arange(75))
    assert np.diff(rows.interval)[0] < 0.7 * np.diff(expected.interval)[0]
    named = replace(law, clusters=np.arange(75))
    assert profile(named, "beta").interval == rows.interval


def test_it_holds_the_truth_and_is_lowest_at_the_fit(law, jets):
    found = profile(law, "beta", level=0.95)
    low, high = found.interval
    assert low < jets["beta"] < high
    assert low < law.params["beta"] < high
    assert high - low < 0.03
    assert found.values[np.argmin(found.statistic)] == law.params["beta"]
    # the profile falls towards the fit and rises after it
    best = int(np.argmin(found.statistic))
    assert np.all(np.diff(found.statistic[: best + 1]) <= 1e-6)
    assert np.all(np.diff(found.statistic[best:]) >= -1e-6)


def test_a_flat_valley_is_open_on_one_side(grid):
    """No row is near the floor, so that any smaller one will do."""
    table = grid(np.logspace(2, 3, 5), np.logspace(2, 3, 5), scatter=0.02)
    found = profile(fit(forms.additive, table), "L_inf")
    assert found.interval[0] == 0
    assert "exclude no low" in found.message
    assert "flat valley" in found.message


def test_a_bound_ends_a_profile(wide):
    law = fit(forms.additive, wide, bounds={"L_inf": (0.31, 0.33)})
    found = profile(law, "L_inf")
    assert found.values.min() > 0.31
    assert found.values.max() < 0.33


def test_only_what_was_fitted_has_a_profile(law, law_of_floor):
    with pytest.raises(ValueError, match="L_inf was not fitted; free were A, alpha"):
        profile(law_of_floor, "L_inf")
    with pytest.raises(ValueError, match="no fit to profile"):
        profile(replace(law, objective=np.nan), "A")
    with pytest.raises(ValueError, match="asymmetric misfit"):
        profile(replace(law, misfit=Misfit(above=0.5)), "A")
    with pytest.raises(ValueError, match="2 clusters of rows for 5 parameters"):
        profile(law, "A", labels=law.table["N"] > 1e6)
