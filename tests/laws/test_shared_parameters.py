"""One exponent for several tables, on rows of known exponents."""

import numpy as np
import pytest
from scipy.stats import f as f_distribution

from jetlab.laws import forms
from jetlab.laws.shared_parameters import fit_shared, holdout_errors

D = np.geomspace(1e3, 1e6, 8)
FLOORS = (0.7, 0.6, 0.3)


def tables(exponents, scatter=0.0):
    """Rows of L_inf + B / D^beta, one table a floor."""
    rng = np.random.default_rng(1)
    found = []
    for L_inf, beta in zip(FLOORS, exponents, strict=False):
        loss = L_inf + 6 / D**beta
        found.append({"D": D, "L": loss * np.exp(scatter * rng.normal(size=len(D)))})
    return found


def first(rows, count):
    return {name: column[:count] for name, column in rows.items()}


def fixed(count=3):
    return [{"L_inf": floor} for floor in FLOORS[:count]]


def squares(laws):
    return sum(float(np.sum(law.residuals**2)) for law in laws)


@pytest.mark.parametrize("floors", ["free", "known"])
def test_a_common_exponent_is_found_exactly(floors):
    known = fixed() if floors == "known" else [{}] * 3
    found = fit_shared(forms.repeated, tables((0.23,) * 3), ["beta_rep"], known)
    assert found.values["beta_rep"] == pytest.approx(0.23, abs=1e-5)
    for law, floor in zip(found.common, FLOORS, strict=True):
        assert law.params["B_rep"] == pytest.approx(6, rel=1e-3)
        assert law.params["L_inf"] == pytest.approx(floor, rel=1e-3)


def test_one_exponent_suffices_for_rows_of_one():
    """Fewer parameters, the same truth: Akaike's criterion prefers one exponent."""
    found = fit_shared(forms.repeated, tables((0.23,) * 3, 0.01), ["beta_rep"], fixed())
    assert found.delta_aicc < 0
    assert found.p_value > 0.05
    assert found.values["beta_rep"] == pytest.approx(0.23, abs=0.01)


def test_one_exponent_does_not_suffice_for_rows_of_several():
    rows = tables((0.2, 0.3, 0.4), 0.01)
    found = fit_shared(forms.repeated, rows, ["beta_rep"], fixed())
    assert found.delta_aicc > 10
    assert found.p_value < 1e-6
    separate = [law.params["beta_rep"] for law in found.separate]
    assert separate == pytest.approx([0.2, 0.3, 0.4], abs=0.02)
    assert 0.2 < found.values["beta_rep"] < 0.4


def test_f_test_and_criterion_by_their_formulas():
    """24 rows, six separate parameters, two saved; a p-value that is not extreme."""
    rows = tables((0.225, 0.23, 0.235), 0.01)
    found = fit_shared(forms.repeated, rows, ["beta_rep"], fixed())
    one, each = squares(found.common), squares(found.separate)
    F = ((one - each) / 2) / (each / (24 - 6))
    assert 0.01 < found.p_value < 0.99
    assert found.p_value == pytest.approx(f_distribution.sf(F, 2, 18), rel=1e-9)

    def aicc(total, k):
        return 24 * np.log(total / 24) + 2 * k + 2 * k * (k + 1) / (24 - k - 1)

    expected = aicc(one, 4 + 1) - aicc(each, 6 + 1)
    assert found.delta_aicc == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("counts", "compared"), [((3, 3), False), ((5, 5), False), ((6, 5), True)]
)
def test_few_rows_have_no_criterion(counts, compared):
    """Four parameters in two tables need eleven rows; the F test needs five."""
    rows = [first(t, n) for t, n in zip(tables((0.2, 0.3), 0.01), counts, strict=True)]
    found = fit_shared(forms.repeated, rows, ["beta_rep"], fixed(2))
    assert 0 <= found.p_value <= 1
    assert np.isfinite(found.delta_aicc) == compared


def test_the_largest_data_set_is_predicted_by_the_right_law():
    """One exponent fails where there are several, and is exact where there is one."""
    rows = tables((0.2, 0.3, 0.4))
    one, each = holdout_errors(forms.repeated, rows, "beta_rep", fixed())
    assert each < 1e-5
    assert one > 0.02
    rows = tables((0.3,) * 3)
    one, _ = holdout_errors(forms.repeated, rows, "beta_rep", fixed())
    assert one < 1e-4


def test_holdout_errors_are_those_of_the_left_out_rows():
    """The largest D is in the third row here; two tables, errors by hand."""
    rows = [{k: np.roll(v, 3) for k, v in t.items()} for t in tables((0.2, 0.3), 0.02)]
    rest = [{k: np.delete(v, 2) for k, v in t.items()} for t in rows]
    found = fit_shared(forms.repeated, rest, ["beta_rep"], fixed(2))
    for laws, error in zip(
        (found.common, found.separate),
        holdout_errors(forms.repeated, rows, "beta_rep", fixed(2)),
        strict=True,
    ):
        misses = [
            np.log(law.predict({"D": D[-1:]})[0] / t["L"][2])
            for law, t in zip(laws, rows, strict=True)
        ]
        assert error == pytest.approx(np.hypot(*misses) / np.sqrt(2), rel=1e-9)


def test_one_table_has_no_joint_fit():
    with pytest.raises(ValueError, match="two tables"):
        fit_shared(forms.repeated, tables((0.2,) * 3)[:1], ["beta_rep"], [{}])


def test_a_table_without_a_fit_is_refused():
    rows = [*tables((0.2,) * 3)[:1], {"D": D[:1], "L": np.ones(1)}]
    with pytest.raises(ValueError, match="no fit of its own"):
        fit_shared(forms.repeated, rows, ["beta_rep"], [{}, {}])


@pytest.mark.slow
def test_p_values_are_uniform_where_there_is_one_exponent():
    """100 sets of planted tables: a tenth below 0.1, half below 0.5."""
    rng = np.random.default_rng(2)
    found = []
    for _ in range(100):
        rows = [
            {"D": D, "L": (floor + 6 / D**0.23) * np.exp(0.01 * rng.normal(size=8))}
            for floor in FLOORS
        ]
        found.append(fit_shared(forms.repeated, rows, ["beta_rep"], fixed()).p_value)
    assert np.mean(np.array(found) < 0.5) == pytest.approx(0.5, abs=0.15)
    assert np.mean(np.array(found) < 0.1) == pytest.approx(0.1, abs=0.09)


def test_few_rows_do_not_let_the_correction_dominate():
    """Four rows a table, exponents far apart: no criterion, and a clear test."""
    few = [
        {name: column[::2] for name, column in rows.items()}
        for rows in tables((0.1, 0.4, 0.8), 0.005)
    ]
    found = fit_shared(forms.repeated, few, ["beta_rep"], fixed())
    assert np.isnan(found.delta_aicc)
    assert found.p_value < 1e-3
