"""Rows that do not determine the parameters: the fit names what is missing."""

import json

import jax
import numpy as np
import pytest

from jetlab.laws import forms
from jetlab.laws.fit import fit
from jetlab.laws.fitting import identifiability, information
from jetlab.laws.fitting.misfit import SQUARES
from jetlab.laws.fitting.objective import pose

SIZES = np.logspace(3, 7, 5)
EXAMPLES = np.logspace(3, 8, 6)


def refused(table, *words, **choices):
    law = fit(forms.additive, table, **choices)
    assert not law.identified
    for word in words:
        assert word in law.message
        assert any(word in warning for warning in law.warnings)
    return law


def test_fewer_rows_than_parameters(wide):
    law = refused(
        {name: column[:5] for name, column in wide.items()},
        "5 rows do not determine 5 parameters (L_inf, A, alpha, B, beta): add rows at 1"
        " more points",
    )
    assert all(np.isnan(value) for value in law.params.values())
    assert json.loads(law.to_json())["params"]["L_inf"] is None


@pytest.mark.parametrize("rows", [[0, 4, 12, 16, 25, 29], [0, 4, 12, 16, 20, 25, 29]])
def test_two_rows_beside_the_parameters_leave_no_scatter(grid, rows):
    table = grid(SIZES, EXAMPLES, scatter=0.01)
    refused(
        {n: c[rows] for n, c in table.items()},
        f"{len(rows)} rows leave {len(rows) - 5} degrees of freedom beside 5",
        f"add {8 - len(rows)} rows",
    )


def test_a_constant_column(grid):
    refused(
        grid([1e4], EXAMPLES, scatter=0.01),
        "N is 10000 on every row",
        "alpha undetermined",
    )


def test_two_sizes_leave_the_floor_open_unless_it_is_fixed(grid):
    table = grid([1e4, 1e6], np.logspace(3, 8, 15), scatter=0.01)
    refused(table, "cannot separate L_inf, A, alpha")
    assert fit(forms.additive, table, fixed={"L_inf": 0.32}).identified


@pytest.mark.parametrize("scatter", [0.0, 0.01])
def test_twenty_examples_a_parameter_throughout(jets, scatter):
    rows = {"N": np.logspace(3, 7, 30), "D": 20 * np.logspace(3, 7, 30)}
    noise = np.exp(scatter * np.random.default_rng(0).normal(size=30))
    table = rows | {"L": forms.additive.predict(jets, rows) * noise}
    refused(table, "D is 20 N on every row")


def test_a_power_of_the_size_is_named_with_it(jets):
    rows = {"N": np.logspace(3, 7, 30), "D": 5 * np.logspace(3, 7, 30) ** 1.5}
    table = rows | {"L": forms.additive.predict(jets, rows)}
    refused(table, "D is a constant times N^1.5 on every row")


def test_a_floor_fixed_above_most_rows(wide):
    law = refused(wide, "L_inf is fixed at 2", fixed={"L_inf": 2.0})
    assert f"above the loss of {np.sum(wide['L'] <= 2)} of 25 rows" in law.message


def test_no_dependence_on_size(grid):
    refused(grid(SIZES, EXAMPLES, scatter=0.01, A=1e-6), "A")


def test_no_floor(grid):
    refused(grid(SIZES, EXAMPLES, scatter=0.01, L_inf=1e-9), "L_inf")


def test_scatter_alone(wide):
    noise = np.random.default_rng(1).normal(size=len(wide["L"]))
    refused(wide | {"L": np.exp(0.1 * noise)}, "no row shows the term of N")


def test_one_loss_throughout(wide):
    refused(wide | {"L": np.full(len(wide["L"]), 1.5)}, "L is 1.5 on every row")


def test_the_covariance_of_a_line_is_that_of_linear_regression(line):
    """Up to the scatter, which here is robust: 1.4826 median |r| sqrt(n / (n - k))."""
    law, _, error = line
    with jax.enable_x64(True):
        z = law.problem.space.coordinates(law.params)
        rough = np.sqrt(np.diag(information.covariance(law.problem, z)))
    sigma = np.sqrt(law.residuals @ law.residuals / 10)
    robust = 1.4826 * np.median(np.abs(law.residuals)) * np.sqrt(12 / 10)
    assert law.scatter == pytest.approx(robust, rel=1e-12)
    assert rough[1] == pytest.approx(error * robust / sigma, rel=1e-6)


def test_two_standard_errors_determine_an_exponent():
    """A line whose residuals are normal to it, of an exponent just below and above two
    standard errors from zero."""
    size = np.logspace(3, 8, 12)
    x = np.log(size) - np.log(size).mean()
    noise = np.tile([0.01, -0.02, -0.02, 0.03, 0.01, -0.01], 2)
    noise = noise - noise.mean() - x * (x @ noise) / (x @ x)
    error = 1.4826 * np.median(np.abs(noise)) * np.sqrt(12 / 10 / (x @ x))
    for count, identified in ((1.98, False), (2.02, True)):
        table = {"N": size, "L": np.exp(-count * error * x + noise)}
        law = fit("model_only", table, fixed={"L_inf": 1e-200}, misfit=SQUARES)
        assert law.params["alpha"] == pytest.approx(count * error, rel=1e-6)
        assert law.identified == identified
    flat = table | {"L": np.exp(-error * x + noise)}
    low = fit("model_only", flat, fixed={"L_inf": 1e-200}, misfit=SQUARES)
    (warning,) = low.warnings
    assert warning.startswith("A, alpha undecided: its 68 % interval is ")
    assert "add rows" in warning


def test_the_scatter_of_other_misfits_leaves_out_the_rows_on_the_law():
    r = np.array([0.0, 0.0, 0.01, -0.02, 0.03, 0.04, -0.05])
    scatter = information.scatter
    assert scatter(r, 2, squares=False) == pytest.approx(1.4826 * 0.03)
    assert scatter(r, 2, squares=True) == pytest.approx(1.4826 * 0.02 * np.sqrt(7 / 5))


def test_absolute_deviations_have_an_efficiency_of_two_over_pi(wide):
    """The same residuals and rows: variance pi / 2 n / (n - k) of that of squares, for
    the scatter of the rows off the law."""
    with jax.enable_x64(True):
        z = pose(forms.additive, wide).space.coordinates(
            {"L_inf": 0.3, "A": 10.0, "alpha": 0.4, "B": 7.0, "beta": 0.2}
        )
        squares = pose(forms.additive, wide, misfit=SQUARES)
        r = information.linearise(squares, z).residuals
        found, other = (
            information.covariance(problem, z)
            for problem in (pose(forms.additive, wide), squares)
        )
    sigmas = [information.scatter(r, 5, squares=own) for own in (False, True)]
    ratio = np.pi / 2 * 25 / 20 * (sigmas[0] / sigmas[1]) ** 2
    np.testing.assert_allclose(found, ratio * other, rtol=1e-6)


def test_the_condition_number_by_hand(line):
    """Of two columns 1 and log N - centre, normal to each other, it is 1."""
    law, _, _ = line
    with jax.enable_x64(True):
        z = law.problem.space.coordinates(law.params)
        number, _ = identifiability.condition(law.problem, z)
    assert number == pytest.approx(1, rel=1e-6)
