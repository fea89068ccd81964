"""What a fit minimises, and what it says of rows that are off."""

import json

import numpy as np
import pytest

from jetlab.laws import forms
from jetlab.laws.fit import fit
from jetlab.laws.misfit import ABSOLUTE, SQUARES, Misfit
from jetlab.laws.result import FitResult
from jetlab.laws.table_io import usable


@pytest.mark.parametrize("misfit", [SQUARES, ABSOLUTE, Misfit(above=0.5)])
def test_exact_rows_give_the_law_whatever_the_misfit(grid, jets, misfit):
    table = grid(np.logspace(3, 7, 5), np.logspace(3, 8, 5))
    law = fit(forms.additive, table, misfit=misfit)
    assert law.converged
    assert law.params == pytest.approx(jets, rel=1e-7)
    assert law.outliers == ()


def test_least_squares_leave_residuals_normal_to_the_law(wide):
    """The stationarity of least squares, by differences."""
    law = fit(forms.additive, wide, misfit=SQUARES)
    assert law.objective == pytest.approx((law.residuals**2).sum() / 2, rel=1e-12)
    for name, value in law.params.items():
        up, down = (
            np.log(forms.additive.predict(law.params | {name: value * f}, wide))
            for f in (1 + 1e-6, 1 - 1e-6)
        )
        slope = (up - down) / 2e-6
        size = np.linalg.norm(slope) * np.linalg.norm(law.residuals)
        assert abs(law.residuals @ slope) < 1e-6 * size


def test_absolute_deviations_go_through_as_many_rows_as_parameters(wide):
    law = fit(forms.additive, wide, misfit=ABSOLUTE)
    size = np.sort(np.abs(law.residuals))
    assert size[4] < 1e-12
    assert size[5] > 1e-5
    assert law.objective == pytest.approx(size.sum(), rel=1e-9)
    assert law.objective < np.abs(fit(forms.additive, wide).residuals).sum()


def test_an_asymmetric_fit_sinks_to_the_better_runs(grid):
    """Absolute deviations with `above` f leave a share f / (1 + f) below the law."""
    table = grid(np.logspace(3, 7, 10), np.logspace(3, 8, 10), scatter=0.01)
    for above in (1.0, 0.5, 1 / 9):
        misfit = Misfit(kind="absolute", above=above)
        below = np.mean(fit(forms.additive, table, misfit=misfit).residuals > 1e-9)
        assert below == pytest.approx(above / (1 + above), abs=0.05)


def test_undertuned_cells_move_an_asymmetric_fit_less(grid, jets):
    """A fifth of the runs end up to a tenth above the law."""
    table = grid(np.logspace(3, 7, 8), np.logspace(3, 8, 8), scatter=0.002)
    rng = np.random.default_rng(1)
    table["L"] *= np.where(rng.random(64) < 0.4, 1 + 0.1 * rng.random(64), 1)
    errors = {}
    for above in (1.0, 0.2):
        law = fit(forms.additive, table, misfit=Misfit(kind="squares", above=above))
        errors[above] = np.abs(law.predict(table) / forms.additive.predict(jets, table))
    assert np.median(np.abs(errors[0.2] - 1)) < np.median(np.abs(errors[1.0] - 1)) / 2


def test_a_weight_of_two_is_a_row_twice(wide):
    twice = {name: np.append(column, column[:5]) for name, column in wide.items()}
    weight = np.where(np.arange(25) < 5, 2.0, 1.0)
    law = fit(forms.additive, wide | {"w": 3 * weight}, weight="w")
    other = fit(forms.additive, twice)
    assert law.params == pytest.approx(other.params, rel=1e-6)
    with pytest.raises(ValueError, match="column w, row 0"):
        fit(forms.additive, wide | {"w": 0 * weight}, weight="w")


def test_outliers_are_named_and_kept(wide):
    wide["L"] = wide["L"].copy()
    wide["L"][7] *= 1.5
    law = fit(forms.additive, wide)
    assert law.outliers == (7,)
    assert "1 row more than 5 robust sigmas from the law, kept: 7 (+" in law.message
    assert json.loads(law.to_json())["outliers"] == [7]
    assert len(law.residuals) == 25


def test_diverged_runs_are_refused_or_left_out_by_name(wide):
    bad = wide | {"L": wide["L"].copy()}
    bad["L"][[3, 8, 20]] = np.nan, np.inf, -1.0
    with pytest.raises(ValueError, match=r"usable names them"):
        fit(forms.additive, bad)
    kept, reasons = usable(bad, ("N", "D", "L"))
    assert reasons == {3: "L is nan", 8: "L is inf", 20: "L is -1"}
    law = fit(forms.additive, kept, left_out=reasons)
    assert law.rows == 22
    assert "3 rows left out: 3 (L is nan), 8 (L is inf), 20 (L is -1)" in law.message
    assert FitResult.from_json(law.to_json()).left_out == reasons


def test_choices_of_misfit_survive_json(wide):
    misfit = Misfit(kind="squares", above=0.5)
    law = fit(forms.additive, wide | {"w": np.ones(25)}, misfit=misfit, weight="w")
    back = FitResult.from_json(law.to_json())
    assert (back.misfit, back.weight) == (misfit, "w")


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({"delta": 0.0}, "delta is 0.0"),
        ({"above": 2.0}, "above is 2.0"),
        ({"above": 0.0}, "above is 0.0"),
    ],
)
def test_misfits_that_are_none(choices, words):
    with pytest.raises(ValueError, match=words):
        Misfit(**choices)
