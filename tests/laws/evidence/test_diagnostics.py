"""Diagnostics: known gaps, condition numbers and p-values; backtests of exact rows."""

import numpy as np
import pytest

from jetlab.laws import forms
from jetlab.laws.evidence.diagnostics import backtest
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


def test_a_column_that_is_not_there(law):
    with pytest.raises(ValueError, match="no column C"):
        backtest(law, "C")
