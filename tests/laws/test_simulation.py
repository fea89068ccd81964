"""Simulate or repeat, against brute force, limits and re-solved plans."""

import json
from dataclasses import replace

import numpy as np
import pytest

from jetlab.laws import forms
from jetlab.laws.allocation import allocate
from jetlab.laws.repeated_data import ASSUMED, PUBLISHED, given
from jetlab.laws.result import Draws, FitResult
from jetlab.laws.simulate_or_repeat import simulate_or_repeat

STEP = 6 * 40  # FLOPs for one parameter and one jet


@pytest.fixture
def law(jets):
    """The paper's law, as if fitted to 25 runs of one pass."""
    return FitResult(
        form=forms.additive,
        params=jets,
        objective=0.0,
        converged=True,
        identified=True,
        message="",
        rows=25,
        span={"N": (1e3, 1e7), "D": (1e3, 1e8), "ND": (1e6, 1e15)},
        residuals=np.zeros(25),
    )


def brute_force(form, params, budget, jet_cost, epochs, sizes):
    """The best of a fine grid in log N and log E: N, D, E and loss."""
    N, E = (column.ravel() for column in np.meshgrid(sizes, epochs))
    D = budget / (STEP * N * E + jet_cost)
    loss = form.predict(params, {"N": N, "D": D * E, "U": D})
    best = int(np.argmin(loss))
    return N[best], D[best], E[best], loss[best]


@pytest.mark.parametrize(
    ("budget", "jet_cost", "most"),
    [(1e18, 1e9, 50), (1e15, 1e8, 50), (1e20, 1e6, 50), (1e18, 1e12, 20)],
)
def test_brute_force(law, jets, budget, jet_cost, most):
    plan = simulate_or_repeat(law, budget, jet_cost=jet_cost, max_epochs=most)
    N, D, E, loss = brute_force(
        forms.repetition,
        jets | dict(ASSUMED.params),
        budget,
        jet_cost,
        np.geomspace(1, most, 801),
        np.geomspace(1e3, 1e8, 3001),
    )
    assert plan.loss <= loss * (1 + 1e-12)
    assert plan.loss == pytest.approx(loss, rel=1e-6)
    assert (plan.N, plan.D, plan.E) == pytest.approx((N, D, E), rel=0.01)
    spent = plan.E * STEP * plan.N * plan.D + jet_cost * plan.D
    assert spent == pytest.approx(budget, rel=1e-9)
    assert plan.simulated == pytest.approx(jet_cost * plan.D / budget, rel=1e-9)


@pytest.mark.slow
def test_the_papers_omega_by_brute_force(law, jets):
    many = {"B_rep": 5.79, "beta_rep": 0.22}
    plan = simulate_or_repeat(
        law, 1e18, jet_cost=1e9, max_epochs=50, repeats=given(many)
    )
    N, D, E, loss = brute_force(
        forms.amplified,
        jets | many,
        1e18,
        1e9,
        np.geomspace(1, 50, 801),
        np.geomspace(1e4, 1e8, 3001),
    )
    assert plan.loss == pytest.approx(loss, rel=1e-6)
    assert (plan.N, plan.D, plan.E) == pytest.approx((N, D, E), rel=0.01)
    assert "B_rep = 5.79" in plan.message


def test_one_pass_by_brute_force(law, jets):
    """One pass needs no assumption: L_inf + A/N^alpha + B/D^beta with a dearer jet."""
    plan = simulate_or_repeat(law, 1e18, jet_cost=1e9, max_epochs=1)
    N, D, _, loss = brute_force(
        forms.additive, jets, 1e18, 1e9, [1.0], np.geomspace(1e5, 1e8, 200_001)
    )
    assert plan.E == 1
    assert plan.loss == pytest.approx(loss, rel=1e-9)
    assert (plan.N, plan.D) == pytest.approx((N, D), rel=1e-3)
    assert plan.message.count("assumed") == 0
    assert plan.repeat_above_cost is None
    A, alpha, B, beta = (jets[name] for name in ("A", "alpha", "B", "beta"))
    pull_n = alpha * A / plan.N**alpha  # balanced at the optimum
    pull_d = beta * B / plan.D**beta * (1 - plan.simulated)
    assert pull_n == pytest.approx(pull_d, rel=1e-9)


def test_jets_for_nothing_are_the_one_pass_allocation(law):
    plain = allocate(law, 1e18)
    plan = simulate_or_repeat(law, 1e18, jet_cost=1e-3, max_epochs=50)
    assert (plan.N, plan.D) == pytest.approx((plain.N, plain.D), rel=1e-6)
    assert pytest.approx(1, abs=1e-6) == plan.E
    assert plan.loss == pytest.approx(plain.loss, rel=1e-9)
    assert (plan.a, plan.gamma) == pytest.approx((plain.a, plain.gamma), rel=1e-5)


def test_dear_jets_are_seen_as_often_as_allowed_or_useful(law):
    plan = simulate_or_repeat(law, 1e18, jet_cost=1e14, max_epochs=20)
    assert pytest.approx(20) == plan.E
    often = simulate_or_repeat(law, 1e18, jet_cost=1e14, max_epochs=1e6)
    assert 20 < often.E < 1e4  # worth 1 + R_D* = 16 data sets at most
    assert often.loss < plan.loss


def test_more_passes_never_hurt(law):
    losses = [
        simulate_or_repeat(law, 1e18, jet_cost=1e10, max_epochs=most).loss
        for most in (1, 1.01, 2, 5, 20, 100)
    ]
    assert np.all(np.diff(losses) <= 0)


def test_derivatives_are_those_of_plans_solved_again(law):
    plan, less, more = (
        simulate_or_repeat(law, 1e18 * factor, jet_cost=1e9, max_epochs=50)
        for factor in (1, np.exp(-1e-3), np.exp(1e-3))
    )

    def slope(read):
        return float(np.log(read(more) / read(less)) / 2e-3)

    assert plan.a == pytest.approx(slope(lambda p: p.N), rel=1e-5)
    assert plan.slope_D == pytest.approx(slope(lambda p: p.D), rel=1e-5)
    assert plan.slope_E == pytest.approx(slope(lambda p: p.E), rel=1e-5)
    assert plan.gamma == pytest.approx(-slope(lambda p: p.loss - 0.32), rel=1e-5)


def test_where_simulation_stops_paying(law):
    """There the best plans of one pass and of two, by the law assumed, tie; and the
    cost that turns at a budget has that budget for its own turning point."""
    plan = simulate_or_repeat(law, 1e18, jet_cost=1e9, max_epochs=2)
    cost = plan.repeat_above_cost
    assert cost is not None
    params = law.params | dict(ASSUMED.params)
    sizes = np.geomspace(1e5, 1e7, 40_001)
    one, two = (
        brute_force(forms.repetition, params, 1e18, cost, [E], sizes)[3]
        for E in (1.0, 2.0)
    )
    assert one == pytest.approx(two, rel=1e-7)
    back = simulate_or_repeat(law, 1e18, jet_cost=cost, max_epochs=2)
    assert back.repeat_below_budget == pytest.approx(1e18, rel=1e-4)


def test_a_fitted_law_of_repeats_needs_no_assumption(law, jets):
    choices = {"jet_cost": 1e9, "max_epochs": 50}
    fitted = replace(law, form=forms.repetition, params=jets | PUBLISHED)
    plan = simulate_or_repeat(fitted, 1e18, **choices)
    same = simulate_or_repeat(law, 1e18, **choices, repeats=given(PUBLISHED))
    assert pytest.approx(same.N, rel=1e-9) == plan.N
    assert "assumed" not in plan.message
    assert "as given" in same.message
    assert "is assumed" in simulate_or_repeat(law, 1e18, **choices).message
    with pytest.raises(ValueError, match="says itself"):
        simulate_or_repeat(fitted, 1e18, **choices, repeats=given(PUBLISHED))


def test_few_passes_are_worth_what_one_pass_is(law):
    """The law assumed goes over into that of the rows: no step where repeats begin."""
    one = simulate_or_repeat(law, 1e18, jet_cost=1e9, max_epochs=1)
    more = simulate_or_repeat(law, 1e18, jet_cost=1e9, max_epochs=1.0001)
    assert more.loss == pytest.approx(one.loss, rel=1e-5)
    assert more.loss < one.loss


def test_intervals_and_reach(law, jets):
    rng = np.random.default_rng(0)
    values = {k: v * np.exp(0.01 * rng.normal(size=200)) for k, v in jets.items()}
    drawn = replace(law, draws=Draws(values=values, asked=200, message=""))
    plan = simulate_or_repeat(drawn, 1e18, jet_cost=1e9, max_epochs=50)
    for name in ("N", "D", "E", "loss", "simulated", "a", "gamma"):
        low, high = plan.intervals[name]
        assert low < getattr(plan, name) < high
    assert plan.beyond["D"] == pytest.approx(plan.E * plan.D / 1e8)
    reach = f"extrapolation: D {plan.beyond['D']:.3g} times the largest"
    assert plan.message.startswith(reach)
    assert json.loads(plan.to_json())["E"] == plan.E


@pytest.mark.parametrize(
    ("budget", "choices", "words"),
    [
        (np.nan, {}, "budget is nan"),
        (-1e18, {}, "budget is -1e"),
        (1e18, {"jet_cost": 0.0}, "jet_cost is 0"),
        (1e18, {"max_epochs": 0.5}, "at least 1"),
        (1e18, {"max_epochs": np.inf}, "at least 1"),
        (1e18, {"particles": 0.0}, "particles is 0"),
        (1e8, {}, "cannot simulate one jet"),
    ],
)
def test_plans_that_cannot_be_made(law, budget, choices, words):
    with pytest.raises(ValueError, match=words):
        simulate_or_repeat(law, budget, **({"jet_cost": 1e9} | choices))


def test_laws_that_cannot_plan(law, jets):
    with pytest.raises(ValueError, match="no N and D"):
        simulate_or_repeat(replace(law, form=forms.repeated), 1e18, jet_cost=1e9)
    rising = replace(law, params=jets | {"beta": -0.1})
    with pytest.raises(ValueError, match="no optimum"):
        simulate_or_repeat(rising, 1e18, jet_cost=1e9)
