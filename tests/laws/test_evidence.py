"""What rows can tell, before any number: known distances, conditions and forecasts."""

import numpy as np
import pytest

from jetlab.laws import forms
from jetlab.laws.diagnostics import evidence
from jetlab.laws.fit import fit


def test_of_exact_rows_everything_is_known(grid, jets):
    table = grid(np.logspace(3, 7, 5), np.logspace(3, 8, 6))
    found = evidence(fit(forms.additive, table), table)
    assert 1 < found.condition < 100
    lowest = table["L"].min() / jets["L_inf"] - 1
    assert found.above == pytest.approx(lowest, rel=1e-4)
    assert {forecast.over for forecast in found.forecasts} == {"N", "D"}
    told = [forecast for forecast in found.forecasts if forecast.told]
    assert len(told) >= 5
    assert all(forecast.spread < 1e-6 for forecast in told)
    assert f"{100 * lowest:.3g} % above L_inf" in found.words[1]


def test_parameters_that_rows_cannot_separate_are_named(grid):
    """D = 20 N: the two terms fall along one line."""
    table = grid(np.logspace(3, 7, 9), np.logspace(3, 8, 2), scatter=0.01)
    table["D"] = 20 * table["N"] * np.exp(0.005 * np.sin(np.arange(18)))
    table["L"] = forms.additive.predict(
        {"L_inf": 0.3, "A": 10, "alpha": 0.4, "B": 10, "beta": 0.3}, table
    )
    law = fit(forms.additive, table)
    assert not law.identified
    assert "D is 20 N on every row" in law.message
    found = evidence(law, table)
    assert found.condition > 500
    assert set(found.loosest) & {"A", "B", "alpha", "beta"}


def test_residuals_that_share_a_size_are_told(grid):
    """One luck for all rows of an N, as on a trajectory; none in an honest table."""
    sizes = np.logspace(3, 7, 6)
    table = grid(sizes, np.logspace(3, 8, 7), scatter=0.002)
    assert evidence(fit(forms.additive, table), table).bent == ()
    luck = 0.01 * np.random.default_rng(1).normal(size=6)
    table["L"] = table["L"] * np.exp(luck[np.searchsorted(sizes, table["N"])])
    found = evidence(fit(forms.additive, table), table)
    assert found.bent == ("N",)
    assert any("residuals depend on N" in words for words in found.words)


def test_a_fit_without_parameters_has_no_evidence(grid):
    table = grid([1e4], np.logspace(3, 8, 6))
    found = evidence(fit(forms.additive, table), table)
    assert found.words == []
    assert found.record()["condition"] is None


def test_a_form_without_a_floor_has_no_distance_to_it():
    size = np.logspace(3, 8, 12)
    table = {"N": size, "L": 3 - 0.1 * np.log(size)}
    found = evidence(fit(forms.logarithmic, table), table)
    assert found.above is None
    assert [forecast.over for forecast in found.forecasts] == [
        "N"
    ] * 9  # three rows at least
