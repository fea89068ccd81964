"""The objective by hand, Newton's method, and jaxopt's last word."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import nnls

from jetlab.laws import forms
from jetlab.laws.fit import fit
from jetlab.laws.fitting import solver, starting_points
from jetlab.laws.fitting.misfit import ABSOLUTE, HUBER, SQUARES, Misfit
from jetlab.laws.fitting.newton import ProblemBatch, derivatives, newton_batch
from jetlab.laws.fitting.objective import (
    objective,
    padded,
    pose,
    pseudo_residuals,
    residuals,
)


@pytest.fixture(scope="module")
def four():
    """Four rows 1, 2, -3 and -5 deltas off the law D^-0.5, the last with weight 2."""
    D = np.array([1e3, 1e4, 1e5, 1e6])
    off = np.array([1.0, 2.0, -3.0, -5.0]) * 1e-3
    return {"D": D, "L": D**-0.5 * np.exp(-off), "w": np.array([1.0, 1, 1, 2])}


def value(table, misfit):
    with jax.enable_x64(True):
        fixed = {"L_inf": 1e-200, "B": 1.0}
        problem = pose(forms.data_only, table, fixed, None, misfit, "w")
        z = jnp.asarray([0.5])
        half = np.sum(np.asarray(pseudo_residuals(z, problem)) ** 2) / 2
        np.testing.assert_allclose(
            np.asarray(residuals(z, problem))[:4], [1e-3, 2e-3, -3e-3, -5e-3], rtol=1e-9
        )
        return float(objective(z, problem)), half


@pytest.mark.parametrize(
    ("misfit", "expected"),
    [
        (HUBER, (0.5 + 1.5 + 2.5 + 2 * 4.5) / 1.25),
        (SQUARES, (0.5 + 2 + 4.5 + 2 * 12.5) / 1.25),
        (Misfit(above=0.5), (0.5 + 1.5 + (2.5 + 2 * 4.5) / 2) / 1.25),
        (Misfit(delta=2e-3), (0.125 + 0.5 + 1 + 2 * 2) / 1.25),
    ],
)
def test_the_objective_by_hand(four, misfit, expected):
    """In units of delta^2, weights divided by their mean of 1.25; at r = delta square
    and line meet. Half the squares of the pseudo-residuals are the same."""
    found, half = value(four, misfit)
    assert found == pytest.approx(expected, rel=1e-9)
    assert half == pytest.approx(expected, rel=1e-9)


def test_tables_are_padded_to_few_sizes():
    assert [padded(n) for n in (2, 16, 17, 24, 25, 33, 240)] == [
        16, 16, 24, 24, 32, 48, 256,
    ]  # fmt: skip


def test_the_relative_gradient_by_hand(four):
    """One exponent: dr/dbeta = -log D; psi is clipped at delta = 1e-3."""
    with jax.enable_x64(True):
        fixed = {"L_inf": 1e-200, "B": 1.0}
        problem = pose(forms.data_only, four, fixed, None, HUBER, "w")
        found = jax.jit(derivatives)(jnp.asarray([0.5]), problem)
    slopes, weight = -np.log(four["D"]) / 1e-3, four["w"] / 1.25
    psi = np.array([1, 1, -1, -1])
    gradient = np.sum(weight * psi * slopes)
    assert float(found.gradient[0]) == pytest.approx(gradient, rel=1e-9)
    relative = abs(gradient) / np.sum(weight * np.abs(slopes))
    assert float(found.relative_gradient) == pytest.approx(relative, rel=1e-6)
    majorant = np.sum(weight / np.array([1, 2, 3, 5]) * slopes**2)
    assert float(found.majorant[0, 0]) == pytest.approx(majorant, rel=1e-6)


@pytest.mark.parametrize("misfit", [HUBER, SQUARES, Misfit(above=0.5)])
def test_newton_and_jaxopt_agree_on_the_objective(wide, misfit):
    """To 1e-9 relative, from Newton's optimum and from a point away from it."""
    with jax.enable_x64(True):
        problem = pose(forms.additive, wide, misfit=misfit)
        optimum = solver.solve(problem)
        lowest = optimum.objective / misfit.delta**2
        for shift, steps in ((0.0, solver.FINISH), (0.01, 1000)):
            start = ProblemBatch.same_rows(optimum.z[None] + shift, problem.rows)
            _, reached = solver.levenberg_marquardt(problem, start, steps)
            assert reached[0] == pytest.approx(lowest, rel=1e-9)
    assert optimum.relative_gradient < 1e-8
    assert optimum.starts > 1


def test_jaxopt_goes_on_where_newton_has_stopped_early(wide):
    """Its lower point is taken, and never a higher one."""
    with jax.enable_x64(True):
        problem = pose(forms.additive, wide)
        optimum = solver.solve(problem)
        lowest = optimum.objective / 1e-6
        away = optimum.z + 1e-3
        high = float(objective(jnp.asarray(away), problem))
        z, reached, gradient = solver.finish(problem, away, high, 1.0)
        assert reached == pytest.approx(lowest, rel=1e-9)
        assert gradient < 1e-8
        np.testing.assert_allclose(z, optimum.z, atol=1e-5)
        kept = solver.finish(problem, away, lowest / 2, 0.5)
    assert kept[0] is away
    assert kept[1:] == (lowest / 2, 0.5)


def test_a_batch_gives_each_fit_its_own_rows(wide, law, law_of_squares):
    """Two tables of one shape, in one batch as alone; a chunk is 16."""
    other = wide | {"L": wide["L"] * np.exp(0.01 * np.sin(np.arange(25)))}
    alone = fit(forms.additive, other)
    with jax.enable_x64(True):
        problem, second = law.problem, alone.problem
        start = np.tile(problem.space.coordinates(law.params), (18, 1))
        batch = ProblemBatch.same_rows(start, problem.rows)
        losses = np.where(np.arange(18)[:, None] % 2, *(
            np.asarray(p.rows.log_loss) for p in (second, problem)
        ))  # fmt: skip
        z, value, _ = newton_batch(problem, batch._replace(log_loss=losses))
    found = problem.space.many_params(z)
    for i, expected in ((0, law), (1, alone), (16, law), (17, alone)):
        assert value[i] * 1e-6 == pytest.approx(expected.objective, rel=1e-9)
        for name, numbers in found.items():
            assert numbers[i] == pytest.approx(expected.params[name], rel=1e-6)


def test_absolute_deviations_start_from_any_delta(wide):
    """The vertex does not depend on the delta of Huber's function before it."""
    one = fit(forms.additive, wide, misfit=ABSOLUTE)
    other = fit(forms.additive, wide, misfit=Misfit(kind="absolute", delta=1e-2))
    assert other.objective == pytest.approx(one.objective, rel=1e-12)
    assert other.params == pytest.approx(one.params, rel=1e-9)


def test_nonnegative_least_squares_are_scipys():
    """Three terms in twenty problems, in half of which a coefficient is zero."""
    rng = np.random.default_rng(4)
    terms, target = rng.normal(size=(20, 3, 9)), rng.normal(size=(20, 9)) + 0.5
    weight = rng.uniform(0.5, 2, 9)
    found = starting_points.nonnegative(terms, target, weight)
    root = np.sqrt(weight)
    for one, row, goal in zip(found, terms, target, strict=True):
        expected, _ = nnls((row * root).T, goal * root)
        np.testing.assert_allclose(one, expected, rtol=1e-6, atol=1e-9)
    assert 5 < np.sum(np.any(found == 0, axis=1)) < 20


def test_the_start_is_the_projection_where_exponents_lie_on_the_grid(exact, jets):
    """The first start of exact rows is close to the law: its local minimum."""
    with jax.enable_x64(True):
        problem = pose(forms.additive, exact)
        z = starting_points.starts(problem, 4)
        assert z is not None
        first = problem.space.params(z[0])
    assert first["alpha"] == pytest.approx(jets["alpha"], rel=0.15)
    assert first["beta"] == pytest.approx(jets["beta"], rel=0.15)
    assert min(first["A"], first["B"], first["L_inf"]) > 0
