"""The plan against the closed form, brute force and the paper's exponents."""

import json
from dataclasses import replace

import numpy as np
import pytest

from jetlab.laws import forms
from jetlab.laws.allocation import allocate, frontier
from jetlab.laws.budgets import device_budget, simulation_cost
from jetlab.laws.fit import fit
from jetlab.laws.result import Draws


@pytest.fixture
def law(grid, jets):
    """The paper's own law, fitted to exact rows."""
    exact = fit(forms.additive, grid(np.logspace(3, 7, 5), np.logspace(3, 8, 5)))
    return replace(exact, params=jets)


@pytest.mark.parametrize("budget", [1e10, 1e18, 1e30])
def test_the_closed_form(law, jets, budget):
    """arXiv:2203.15556, Eq. 4, with C = 6 n_p N D."""
    A, alpha, B, beta = (jets[name] for name in ("A", "alpha", "B", "beta"))
    a = beta / (alpha + beta)
    scale = (alpha * A / (beta * B)) ** (1 / (alpha + beta))
    plan = allocate(law, budget, particles=40)
    assert pytest.approx(scale * (budget / 240) ** a, rel=1e-9) == plan.N
    assert pytest.approx((budget / 240) ** (1 - a) / scale, rel=1e-9) == plan.D
    assert plan.a == pytest.approx(a, abs=1e-9)
    assert plan.gamma == pytest.approx(alpha * beta / (alpha + beta), abs=1e-9)
    assert plan.loss == pytest.approx(
        jets["L_inf"] + A / plan.N**alpha + B / plan.D**beta, rel=1e-12
    )


def test_exponents_of_the_paper(law):
    plan = allocate(law, 1e18)
    assert plan.a == pytest.approx(0.333, abs=5e-4)
    assert plan.gamma == pytest.approx(0.147, abs=5e-4)


def test_brute_force(law):
    """Of ten thousand sizes on the iso-FLOP line none does better."""
    plan = allocate(law, 1e15, particles=40)
    sizes = np.logspace(2, 9, 10_001)
    losses = law.predict({"N": sizes, "D": 1e15 / (240 * sizes)})
    assert plan.loss <= losses.min()
    assert plan.N == pytest.approx(sizes[losses.argmin()], rel=2e-3)


def test_extrapolation_is_said_with_its_distance(law):
    inside = allocate(law, 1e10)
    assert inside.message == "interpolation: within the range of the rows fitted"
    far = allocate(law, 240 * 1e7 * 1e8 * 100)
    assert far.beyond["ND"] == pytest.approx(100)
    assert "ND 100 times the largest" in far.message
    near = allocate(law, 1e8)
    assert "times the smallest" in near.message


def test_intervals_come_from_the_draws(law, jets):
    factors = np.linspace(0.9, 1.1, 101)
    values = {name: np.full(101, value) for name, value in jets.items()}
    draws = Draws(
        values=values | {"beta": 0.22 * factors}, asked=101, message="for the test"
    )
    plan = allocate(replace(law, draws=draws), 1e18)
    low, high = plan.intervals["a"]
    lower = 0.22 * 0.932  # 16th percentile of the factors
    assert low == pytest.approx(lower / (0.44 + lower), rel=1e-9)
    assert low < plan.a < high
    assert json.loads(plan.to_json())["intervals"]["a"] == [low, high]


def test_a_frontier_is_a_power_law(law):
    plans = frontier(law, [1e12, 1e15, 1e18])
    slopes = np.diff(np.log([plan.N for plan in plans])) / np.log(1e3)
    np.testing.assert_allclose(slopes, 1 / 3, rtol=1e-9)


def test_plans_that_cannot_be_made(law, jets):
    with pytest.raises(ValueError, match="must be positive"):
        allocate(law, -1.0)
    with pytest.raises(ValueError, match="no optimum"):
        allocate(replace(law, params=jets | {"alpha": -0.1}), 1e18)
    with pytest.raises(ValueError, match="no N and D"):
        allocate(replace(law, form=forms.data_only), 1e18)
    with pytest.raises(ValueError, match="no N and D"):
        allocate(replace(law, form=forms.transfer), 1e18)
    with pytest.raises(ValueError, match="too small"):
        allocate(law, 1.0)
    with pytest.raises(ValueError, match="lacks beta of additive"):
        allocate(replace(law, params=dict.fromkeys(list(jets)[:4], 1.0)), 1e18)


def test_a_law_of_repeats_is_allocated_for_one_pass(law, jets):
    """There its terms are the additive law's."""
    repeating = replace(
        law,
        form=forms.repetition,
        params=jets | {"R_D_star": 15.4, "R_N_star": 5.3},
    )
    plan, plain = allocate(repeating, 1e15), allocate(law, 1e15)
    assert plan.N == pytest.approx(plain.N, rel=1e-6)
    assert plan.loss == pytest.approx(plain.loss, rel=1e-12)
    assert plan.a == pytest.approx(plain.a, rel=1e-9)


def test_device_hours_and_core_seconds_become_flops():
    assert device_budget(10.0, 1e14) == pytest.approx(3.6e18)
    assert simulation_cost(0.5, 2e11) == pytest.approx(1e11)
    with pytest.raises(ValueError, match="flop_rate is 0"):
        device_budget(10.0, 0.0)
    with pytest.raises(ValueError, match="core_seconds is nan"):
        simulation_cost(np.nan, 2e11)


def test_a_doubtful_fit_taints_its_plan(law):
    plan = allocate(replace(law, identified=False, message="too narrow"), 1e12)
    assert "too narrow" in plan.message
