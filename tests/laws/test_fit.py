"""Fits of rows whose law is known, and of bad rows."""

import numpy as np
import pytest

from jetlab.laws import forms
from jetlab.laws.fit import fit, fit_part
from jetlab.laws.fitting.misfit import ABSOLUTE, SQUARES, Misfit
from jetlab.laws.result import FitResult
from jetlab.laws.tables.table_checks import usable
from jetlab.records import Table


def test_exact_rows_give_back_the_law(exact_law, jets):
    assert exact_law.reliable
    assert exact_law.message == "converged; identified"
    assert exact_law.params == pytest.approx(jets, rel=1e-9)


@pytest.mark.parametrize("misfit", [SQUARES, ABSOLUTE, Misfit(above=0.5)])
def test_exact_rows_give_back_the_law_for_every_misfit(exact, jets, misfit):
    law = fit(forms.additive, exact, misfit=misfit)
    assert law.converged
    assert law.params == pytest.approx(jets, rel=1e-7)
    assert law.outliers == ()


def test_a_form_may_be_named(law, wide):
    named = fit("additive", wide)
    assert named.form is forms.additive
    assert named.params == law.params
    with pytest.raises(ValueError, match="no form is called 'cubic'"):
        fit("cubic", wide)


def test_one_wrong_row_hardly_moves_a_huber_fit(exact, jets):
    table = exact | {"L": exact["L"] * np.where(np.arange(30) == 7, 3, 1)}
    law = fit(forms.additive, table)
    assert law.params == pytest.approx(jets, rel=1e-3)
    assert np.argmax(np.abs(law.residuals)) == 7


def test_units_of_the_columns_do_not_matter(law, wide):
    scaled = {"N": wide["N"] / 1e9, "D": wide["D"] * 1e6, "L": wide["L"] * 1e4}
    other = fit(forms.additive, scaled)
    for name in ("alpha", "beta"):
        assert other.params[name] == pytest.approx(law.params[name], rel=1e-6)
    assert other.params["L_inf"] == pytest.approx(1e4 * law.params["L_inf"], rel=1e-6)
    assert other.objective == pytest.approx(law.objective, rel=1e-9)


def test_the_objective_is_the_sum_of_hubers_function_and_lowest_at_the_fit(law, wide):
    def huber(params):
        r = np.abs(np.log(forms.additive.predict(params, wide) / wide["L"])) / 1e-3
        return np.where(r < 1, r**2 / 2, r - 0.5).sum() * 1e-6

    assert huber(law.params) == pytest.approx(law.objective, rel=1e-9)
    for name, value in law.params.items():
        for factor in (0.999, 1.001):
            assert huber(law.params | {name: value * factor}) > law.objective


def test_least_squares_leave_residuals_normal_to_the_law(law_of_squares, wide):
    """The stationarity of least squares, by differences."""
    law = law_of_squares
    assert law.objective == pytest.approx((law.residuals**2).sum() / 2, rel=1e-12)
    for name, value in law.params.items():
        up, down = (
            np.log(forms.additive.predict(law.params | {name: value * f}, wide))
            for f in (1 + 1e-6, 1 - 1e-6)
        )
        slope = (up - down) / 2e-6
        size = np.linalg.norm(slope) * np.linalg.norm(law.residuals)
        assert abs(law.residuals @ slope) < 1e-6 * size


def test_absolute_deviations_go_through_as_many_rows_as_parameters(law, wide):
    found = fit(forms.additive, wide, misfit=ABSOLUTE)
    size = np.sort(np.abs(found.residuals))
    assert size[4] < 1e-12
    assert size[5] > 1e-5
    assert found.objective == pytest.approx(size.sum(), rel=1e-9)
    assert found.objective < np.abs(law.residuals).sum()


@pytest.fixture(scope="module")
def hundred(grid):
    return grid(np.logspace(3, 7, 10), np.logspace(3, 8, 10), scatter=0.01)


def test_an_asymmetric_fit_moves_to_the_better_runs(hundred):
    """Absolute deviations with `above` f leave a share f / (1 + f) below the law."""
    for above in (1.0, 0.5, 1 / 9):
        misfit = Misfit(kind="absolute", above=above)
        below = np.mean(fit(forms.additive, hundred, misfit=misfit).residuals > 1e-9)
        assert below == pytest.approx(above / (1 + above), abs=0.05)


def test_undertuned_cells_move_an_asymmetric_fit_less(grid, jets):
    """Two fifths of the runs end up to a tenth above the law."""
    table = grid(np.logspace(3, 7, 10), np.logspace(3, 8, 10), scatter=0.002)
    rng = np.random.default_rng(1)
    table["L"] *= np.where(rng.random(100) < 0.4, 1 + 0.1 * rng.random(100), 1)
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


def test_a_fixed_parameter_stays(law, law_of_floor, jets):
    assert law_of_floor.params["L_inf"] == 0.32
    assert law_of_floor.params == pytest.approx(jets, rel=0.1)
    assert law.objective < law_of_floor.objective


def test_bounds_that_hold_the_optimum_change_nothing(law, wide):
    bounded = fit(forms.additive, wide, bounds={"L_inf": (0.0, 1.0)})
    assert bounded.params == pytest.approx(law.params, rel=1e-5)


def test_a_bound_in_the_way_is_kept_and_named(wide):
    law = fit(forms.additive, wide, bounds={"L_inf": (0.4, 1.0)})
    assert law.params["L_inf"] >= 0.4
    assert law.params["L_inf"] == pytest.approx(0.4, abs=1e-3)
    assert not law.identified
    assert any("L_inf runs to its bound 0.4" in issue for issue in law.issues)


def test_rows_that_pad_a_table_change_nothing(law, wide):
    """Seven rows that agree with the law fill the padding of 25 to 32."""
    full = {name: np.append(column, column[:7]) for name, column in wide.items()}
    full["L"][25:] = law.predict({name: full[name][25:] for name in ("N", "D")})
    other = fit(forms.additive, full)
    assert len(other.residuals) == 32
    assert other.params == pytest.approx(law.params, rel=1e-6)
    assert other.objective == pytest.approx(law.objective, rel=1e-9)


def test_a_part_is_fitted_as_a_table_of_its_own(law_of_squares, wide):
    chosen = wide["D"] < 1e8
    part = fit_part(law_of_squares, chosen)
    alone = fit(forms.additive, Table(wide).take(chosen), misfit=SQUARES)
    assert part.rows == 20
    assert part.params == pytest.approx(alone.params, rel=1e-9)
    np.testing.assert_array_equal(part.table["L"], wide["L"][chosen])


def test_data_alone():
    examples = np.logspace(3, 8, 25)
    law = fit(forms.data_only, {"D": examples, "L": 0.32 + 7.22 / examples**0.22})
    assert law.params == pytest.approx({"L_inf": 0.32, "B": 7.22, "beta": 0.22})


def test_diverged_runs_are_refused_or_left_out_by_name(wide):
    bad = wide | {"L": wide["L"].copy()}
    bad["L"][[3, 8, 20]] = np.nan, np.inf, -1.0
    with pytest.raises(ValueError, match=r"leave diverged or unfinished"):
        fit(forms.additive, bad)
    kept, reasons = usable(bad, ("N", "D", "L"))
    assert reasons == {3: "L is nan", 8: "L is inf", 20: "L is -1"}
    law = fit(forms.additive, kept, left_out=reasons)
    assert law.rows == 22
    words = "3 rows left out: 3 (L is nan), 8 (L is inf), 20 (L is -1)"
    assert words in law.message
    assert words in law.warnings
    assert FitResult.from_json(law.to_json()).left_out == reasons


def test_clusters_are_labels_or_a_column(law, wide):
    """Labels in any order and of any kind are numbered; equal ones are one cluster."""
    names = np.array(["b", "a", "c", "a", "b"])[np.arange(25) % 5]
    ids = np.array([1, 0, 2, 0, 1])[np.arange(25) % 5]
    for given in (names, list(names), ids * 10.5):
        np.testing.assert_array_equal(
            fit("additive", wide, clusters=given).clusters, ids
        )
    by_name = fit("additive", wide | {"run": names}, clusters="run")
    np.testing.assert_array_equal(by_name.clusters, ids)
    assert law.clusters is None


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({"fixed": {"E": 1.0}}, "no parameter E"),
        ({"fixed": dict.fromkeys(forms.additive.names, 1.0)}, "nothing to fit"),
        ({"fixed": {"L_inf": -1.0}}, "cannot be fixed at -1.0"),
        ({"bounds": {"L_inf": (1.0, 0.5)}}, "not low < high"),
        ({"bounds": {"A": (-1.0, 0.5)}}, "lower bound"),
        ({"fixed": {"A": 1.0}, "bounds": {"A": (0.0, 2.0)}}, "choose one"),
        ({"clusters": "run"}, "no column run"),
        ({"clusters": [1, 2, 3]}, "3 labels for a table of 25 rows"),
        ({"clusters": ["a"] * 24 + [""]}, "no label on 1 rows"),
        ({"clusters": [1.0] * 23 + [np.nan] * 2}, "no label on 2 rows"),
    ],
)
def test_unusable_choices_are_refused(wide, choices, words):
    with pytest.raises(ValueError, match=words):
        fit(forms.additive, wide, **choices)


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({"delta": 0.0}, "delta is 0.0"),
        ({"above": 2.0}, "above is 2.0"),
        ({"above": 0.0}, "above is 0.0"),
    ],
)
def test_misfits_out_of_range_are_refused(choices, words):
    with pytest.raises(ValueError, match=words):
        Misfit(**choices)
