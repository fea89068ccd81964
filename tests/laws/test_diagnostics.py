"""Diagnostics: known gaps, condition numbers and p-values; backtests of exact rows."""

import numpy as np
import pytest
from scipy.stats import f_oneway, rankdata

from jetlab.laws import forms
from jetlab.laws.diagnostics import backtest, levels, trend
from jetlab.laws.fit import fit

SIZES, EXAMPLES = np.logspace(3, 7, 5), np.logspace(3, 8, 6)


def test_exact_rows_are_known_exactly(exact_law, exact, jets):
    found = exact_law.diagnostics
    assert found is exact_law.diagnostics  # kept
    assert 1 < found.condition < 100
    gap = exact["L"].min() / jets["L_inf"] - 1
    assert found.gap_to_floor == pytest.approx(gap, rel=1e-4)
    assert {forecast.over for forecast in found.forecasts} == {"N", "D"}
    reliable = [forecast for forecast in found.forecasts if forecast.reliable]
    assert len(reliable) >= 5
    assert all(forecast.spread < 1e-6 for forecast in reliable)
    assert found.trends == ()
    assert found.warnings == []
    assert f"{100 * gap:.3g} % above L_inf" in found.sentences[1]


@pytest.mark.parametrize("over", ["N", "D"])
def test_exact_rows_are_predicted(exact_law, over):
    found = [f for f in exact_law.diagnostics.forecasts if f.over == over]
    sizes = SIZES if over == "N" else EXAMPLES
    # of one size the rows leave that exponent open, of two it is exact
    assert [f.next for f in found] == pytest.approx(sizes[2:])
    assert [f.seen for f in found] == pytest.approx(sizes[1:-1])
    last = found[-1]
    assert last.reliable
    assert last.fitted == 30 - len(last.errors)
    assert last.spread < 1e-6


def test_a_law_that_changes_past_the_window_shows_as_bias(grid):
    """At the largest D the loss is a fifth lower than the law of the others says."""
    table = grid(SIZES, EXAMPLES, scatter=0.002)
    largest = table["D"] == EXAMPLES[-1]
    table["L"][largest] *= 0.8
    found = backtest(fit(forms.additive, table), "D")
    assert found[-1].bias == pytest.approx(-np.log(0.8), abs=0.03)
    assert abs(found[-2].bias) < 0.03
    errors = found[-1].errors
    assert found[-1].spread == pytest.approx(np.sqrt(np.mean(errors**2)))


def test_parameters_that_rows_cannot_separate_are_named(grid):
    """D = 20 N: the two terms fall along one line."""
    table = grid(np.logspace(3, 7, 15), np.logspace(3, 8, 2), scatter=0.01)
    table["D"] = 20 * table["N"] * np.exp(0.005 * np.sin(np.arange(30)))
    table["L"] = forms.additive.predict(
        {"L_inf": 0.3, "A": 10, "alpha": 0.4, "B": 10, "beta": 0.3}, table
    )
    law = fit(forms.additive, table)
    assert not law.identified
    assert "D is 20 N on every row" in law.message
    found = law.diagnostics
    assert found.condition > 500
    assert set(found.worst_determined) & {"A", "B", "alpha", "beta"}


def test_residuals_that_share_a_size_are_named(grid):
    """A common shift of all rows of an N, as of one trajectory."""
    table = grid(SIZES, EXAMPLES, scatter=0.002)
    assert fit(forms.additive, table).diagnostics.trends == ()
    shift = 0.01 * np.array([1.0, -1.0, 1.0, -1.0, 1.0])
    table["L"] = table["L"] * np.exp(shift[np.searchsorted(SIZES, table["N"])])
    found = fit(forms.additive, table).diagnostics
    assert found.trends == ("N",)
    assert any("residuals depend on N (p < 0.001)" in w for w in found.warnings)


@pytest.mark.parametrize("shift", [0.0, 0.8, 1.6])
def test_the_p_value_of_a_trend_is_scipys(shift):
    """One-way ANOVA of ranks in groups of unequal size, on both sides of 1e-3."""
    column = np.repeat([1e3, 1e4, 1e5, 1e6], [5, 7, 9, 4])
    rng = np.random.default_rng(2)
    residuals = rng.normal(size=25) + shift * np.log10(column)
    ranks = rankdata(residuals)
    groups = [ranks[column == size] for size in np.unique(column)]
    found = trend(residuals, column)
    assert found == pytest.approx(f_oneway(*groups).pvalue, rel=1e-9)
    assert (found < 1e-3) == (shift > 1)


def test_a_trend_needs_three_sizes_with_two_rows_each():
    off = np.arange(6.0)
    assert trend(off, np.repeat([1.0, 10.0], 3)) == 1
    assert trend(off, np.repeat([1.0, 10.0, 100.0], 2)) < 1
    assert trend(off[:5], np.array([1.0, 1, 10, 10, 100])) == 1


def test_a_fit_without_parameters_has_no_diagnostics(grid):
    found = fit(forms.additive, grid([1e4], EXAMPLES)).diagnostics
    assert found.sentences == []
    assert found.record()["condition"] is None


def test_a_form_without_a_floor_has_no_gap_to_it():
    size = np.logspace(3, 8, 12)
    table = {"N": size, "L": 3 - 0.1 * np.log(size)}
    found = fit(forms.logarithmic, table).diagnostics
    assert found.gap_to_floor is None
    # three rows at least
    assert [forecast.over for forecast in found.forecasts] == ["N"] * 9


def test_sizes_that_are_alike_are_one():
    column = np.array([100.0, 1000.0, 1010.0, 101.0, 5e4])
    assert levels(column) == [101.0, 1010.0, 5e4]
    assert levels(np.array([100.0, 101.9, 104.1])) == [101.9, 104.1]  # 0.019, 0.0214


def test_a_column_without_sizes_is_cut_into_twelve_parts_of_like_number():
    edges = levels(np.geomspace(1e3, 1e6, 240))
    assert len(edges) == 12
    assert edges[-1] == pytest.approx(1e6)
    np.testing.assert_allclose(np.diff(np.log(edges)), np.log(1e3) / 12, rtol=0.01)


def test_a_column_that_is_not_there(law):
    with pytest.raises(ValueError, match="no column C"):
        backtest(law, "C")
