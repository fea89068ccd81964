"""One exponent for several tables, on rows whose exponents are known."""

import numpy as np
import pytest

from jetlab.laws import forms
from jetlab.laws.joint_fit import held_out, shared

D = np.geomspace(1e3, 1e6, 8)
FLOORS = (0.7, 0.6, 0.3)


def tables(exponents, scatter=0.0):
    """Rows of L_inf + B / D^beta, one table a floor."""
    rng = np.random.default_rng(1)
    found = []
    for L_inf, beta in zip(FLOORS, exponents, strict=True):
        loss = L_inf + 6 / D**beta
        found.append({"D": D, "L": loss * np.exp(scatter * rng.normal(size=len(D)))})
    return found


def fixed():
    return [{"L_inf": floor} for floor in FLOORS]


@pytest.mark.parametrize("floors", ["free", "known"])
def test_a_common_exponent_is_found_exactly(floors):
    known = fixed() if floors == "known" else [{}] * 3
    found = shared(forms.repeated, tables((0.23,) * 3), "beta_rep", known)
    assert found.value == pytest.approx(0.23, abs=1e-5)
    for law, floor in zip(found.common, FLOORS, strict=True):
        assert law.params["B_rep"] == pytest.approx(6, rel=1e-3)
        assert law.params["L_inf"] == pytest.approx(floor, rel=1e-3)


def test_rows_of_one_exponent_ask_for_no_more():
    """Fewer parameters, the same truth: Akaike's criterion prefers one exponent."""
    found = shared(forms.repeated, tables((0.23,) * 3, 0.01), "beta_rep", fixed())
    assert found.aic < 0
    assert found.chance > 0.05
    assert found.value == pytest.approx(0.23, abs=0.01)


def test_rows_of_several_exponents_ask_for_each():
    found = shared(forms.repeated, tables((0.2, 0.3, 0.4), 0.01), "beta_rep", fixed())
    assert found.aic > 10
    assert found.chance < 1e-6
    assert [law.params["beta_rep"] for law in found.free] == pytest.approx(
        [0.2, 0.3, 0.4], abs=0.02
    )
    assert 0.2 < found.value < 0.4


def test_the_largest_data_set_is_foretold_by_the_right_law():
    """One exponent fails where there are several, and is exact where there is one."""
    one, each = held_out(forms.repeated, tables((0.2, 0.3, 0.4)), "beta_rep", fixed())
    assert each < 1e-5
    assert one > 0.02
    one, _ = held_out(forms.repeated, tables((0.3,) * 3), "beta_rep", fixed())
    assert one < 1e-4


def test_one_table_shares_nothing():
    with pytest.raises(ValueError, match="two tables"):
        shared(forms.repeated, tables((0.2,) * 3)[:1], "beta_rep", [{}])


def test_a_table_without_a_fit_is_refused():
    rows = [*tables((0.2,) * 3)[:1], {"D": D[:1], "L": np.ones(1)}]
    with pytest.raises(ValueError, match="no fit of its own"):
        shared(forms.repeated, rows, "beta_rep", [{}, {}])


@pytest.mark.slow
def test_the_chance_of_a_gain_is_uniform_where_there_is_one_exponent():
    """100 sets of planted tables: a tenth below 0.1, half below 0.5."""
    rng = np.random.default_rng(2)
    chances = []
    for _ in range(100):
        rows = [
            {"D": D, "L": (floor + 6 / D**0.23) * np.exp(0.01 * rng.normal(size=8))}
            for floor in FLOORS
        ]
        chances.append(shared(forms.repeated, rows, "beta_rep", fixed()).chance)
    assert np.mean(np.array(chances) < 0.5) == pytest.approx(0.5, abs=0.15)
    assert np.mean(np.array(chances) < 0.1) == pytest.approx(0.1, abs=0.09)


def test_few_rows_do_not_let_the_correction_decide():
    """Four rows a table, exponents far apart: Akaike's criterion keeps out of it."""
    few = [
        {name: column[::2] for name, column in rows.items()}
        for rows in tables((0.1, 0.4, 0.8), 0.005)
    ]
    found = shared(forms.repeated, few, "beta_rep", fixed())
    assert np.isnan(found.aic)
    assert found.chance < 1e-3
