"""Fits of rows whose law is known, and of bad rows."""

from dataclasses import replace

import numpy as np
import pytest

from jetlab.laws import forms
from jetlab.laws.fit import fit
from jetlab.laws.problem import padded
from jetlab.laws.result import Draws, FitResult


def test_exact_rows_give_back_the_law(grid, jets):
    law = fit(forms.additive, grid(np.logspace(3, 7, 5), np.logspace(3, 8, 5)))
    assert law.converged
    assert law.identified
    assert law.params == pytest.approx(jets, rel=1e-9)


def test_one_wrong_row_hardly_moves_a_huber_fit(grid, jets):
    table = grid(np.logspace(3, 7, 5), np.logspace(3, 8, 5))
    table["L"][7] *= 3
    law = fit(forms.additive, table)
    assert law.params == pytest.approx(jets, rel=1e-3)
    assert np.argmax(np.abs(law.residuals)) == 7


def test_units_of_the_columns_do_not_matter(wide):
    law = fit(forms.additive, wide)
    scaled = {"N": wide["N"] / 1e9, "D": wide["D"] * 1e6, "L": wide["L"] * 1e4}
    other = fit(forms.additive, scaled)
    for name in ("alpha", "beta"):
        assert other.params[name] == pytest.approx(law.params[name], rel=1e-6)
    assert other.params["L_inf"] == pytest.approx(1e4 * law.params["L_inf"], rel=1e-6)
    assert other.objective == pytest.approx(law.objective, rel=1e-9)


def test_the_optimum_is_lower_than_its_neighbours(wide):
    law = fit(forms.additive, wide)
    for name, value in law.params.items():
        for factor in (0.999, 1.001):
            loss = forms.additive.predict(law.params | {name: value * factor}, wide)
            r = np.abs(np.log(loss / wide["L"])) / 1e-3
            huber = np.where(r < 1, r**2 / 2, r - 0.5).sum() * 1e-6
            assert huber > law.objective


def test_a_fixed_parameter_stays(wide, jets):
    law = fit(forms.additive, wide, fixed={"L_inf": 0.32})
    assert law.params["L_inf"] == 0.32
    assert law.params == pytest.approx(jets, rel=0.1)
    assert fit(forms.additive, wide).objective < law.objective


def test_bounds_that_hold_the_optimum_change_nothing(wide):
    law = fit(forms.additive, wide)
    bounded = fit(forms.additive, wide, bounds={"L_inf": (0.0, 1.0)})
    assert bounded.params == pytest.approx(law.params, rel=1e-5)


def test_a_bound_in_the_way_is_kept_and_named(wide):
    law = fit(forms.additive, wide, bounds={"L_inf": (0.4, 1.0)})
    assert law.params["L_inf"] >= 0.4
    assert law.params["L_inf"] == pytest.approx(0.4, abs=1e-3)
    assert not law.identified
    assert "L_inf runs to its bound 0.4" in law.message


def test_padding_to_a_compiled_size_changes_nothing(wide):
    """Twenty-five rows and thirty-two share a program."""
    assert [padded(n) for n in (2, 16, 17, 25, 33, 240)] == [16, 16, 24, 32, 48, 256]
    law = fit(forms.additive, wide)
    full = {name: np.append(column, column[:7]) for name, column in wide.items()}
    full["L"][25:] = law.predict({name: full[name][25:] for name in ("N", "D")})
    other = fit(forms.additive, full)  # seven rows that agree with the law
    assert len(other.residuals) == 32
    assert other.params == pytest.approx(law.params, rel=1e-6)
    assert other.objective == pytest.approx(law.objective, rel=1e-9)


def test_data_alone():
    examples = np.logspace(3, 8, 25)
    law = fit(forms.data_only, {"D": examples, "L": 0.32 + 7.22 / examples**0.22})
    assert law.params == pytest.approx({"L_inf": 0.32, "B": 7.22, "beta": 0.22})


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({"fixed": {"E": 1.0}}, "no parameter E"),
        ({"fixed": dict.fromkeys(forms.additive.names, 1.0)}, "nothing to fit"),
        ({"fixed": {"L_inf": -1.0}}, "cannot be fixed at -1.0"),
        ({"bounds": {"L_inf": (1.0, 0.5)}}, "not low < high"),
        ({"bounds": {"A": (-1.0, 0.5)}}, "lower bound"),
        ({"fixed": {"A": 1.0}, "bounds": {"A": (0.0, 2.0)}}, "choose one"),
    ],
)
def test_choices_that_no_law_can_have(wide, choices, words):
    with pytest.raises(ValueError, match=words):
        fit(forms.additive, wide, **choices)


def test_a_fit_survives_json(wide):
    law = fit(forms.additive, wide)
    draws = Draws(
        values={name: value * np.ones(3) for name, value in law.params.items()},
        asked=3,
        message="",
    )
    back = FitResult.from_json(replace(law, draws=draws).to_json())
    assert back.params == law.params
    assert back.form is law.form
    assert back.span == law.span
    assert back.intervals["A"] == pytest.approx((law.params["A"],) * 2)
    np.testing.assert_array_equal(back.predict(wide), law.predict(wide))


def test_json_that_is_no_fit():
    for text in ("{}", "[1]", "not json"):
        with pytest.raises(ValueError, match="not a fit"):
            FitResult.from_json(text)
