"""Simulate or repeat, against brute force, limits and re-solved plans."""

import json
from dataclasses import replace

import numpy as np
import pytest

from jetlab.laws import forms
from jetlab.laws.plans.allocation import allocate
from jetlab.laws.plans.simulate_or_repeat import simulate_or_repeat
from jetlab.laws.repeated_data import LANGUAGE_MODELS, MUENNIGHOFF, repeat_model
from tests.laws.stated import draws, stated

STEP = 6 * 40  # FLOPs for one parameter and one jet
BUDGET, COST = 1e18, 1e9


@pytest.fixture
def law(jets):
    """The paper's law, as if fitted to runs of one epoch."""
    span = {"N": (1e3, 1e7), "D": (1e3, 1e8), "ND": (1e6, 1e15)}
    return stated(forms.additive, jets, span=span)


def plan_for(law, flops=BUDGET, *, cost=COST, epochs=50.0, **choices):
    return simulate_or_repeat(
        law, flops, flops_per_jet=cost, max_epochs=epochs, **choices
    )


def brute_force(form, params, budget, cost, epochs, sizes):
    """The best of a fine grid in log N and log E: N, D, E and loss."""
    N, E = (column.ravel() for column in np.meshgrid(sizes, epochs))
    D = budget / (STEP * N * E + cost)
    loss = form.predict(params, {"N": N, "D": D * E, "U": D})
    best = int(np.argmin(loss))
    return N[best], D[best], E[best], loss[best]


@pytest.mark.parametrize(
    ("budget", "cost", "epochs"),
    [(1e18, 1e9, 50), (1e15, 1e8, 50), (1e20, 1e6, 50), (1e18, 1e12, 20)],
)
def test_brute_force(law, jets, budget, cost, epochs):
    plan = plan_for(law, budget, cost=cost, epochs=epochs)
    N, D, E, loss = brute_force(
        forms.repetition,
        jets | dict(LANGUAGE_MODELS.params),
        budget,
        cost,
        np.geomspace(1, epochs, 801),
        np.geomspace(1e3, 1e8, 3001),
    )
    assert plan.loss <= loss * (1 + 1e-12)
    assert plan.loss == pytest.approx(loss, rel=1e-6)
    assert (plan.N, plan.D, plan.epochs) == pytest.approx((N, D, E), rel=0.01)
    spent = plan.epochs * STEP * plan.N * plan.D + cost * plan.D
    assert spent == pytest.approx(budget, rel=1e-9)
    assert plan.simulated == pytest.approx(cost * plan.D / budget, rel=1e-9)


@pytest.mark.slow
def test_the_papers_omega_by_brute_force(law, jets):
    many = {"B_rep": 5.79, "beta_rep": 0.22}
    plan = plan_for(law, repeats=repeat_model(many))
    N, D, E, loss = brute_force(
        forms.amplified,
        jets | many,
        BUDGET,
        COST,
        np.geomspace(1, 50, 801),
        np.geomspace(1e4, 1e8, 3001),
    )
    assert plan.loss == pytest.approx(loss, rel=1e-6)
    assert (plan.N, plan.D, plan.epochs) == pytest.approx((N, D, E), rel=0.01)
    assert "B_rep = 5.79" in plan.message


def test_one_epoch_by_brute_force(law, jets):
    """One epoch needs no assumption: L_inf + A/N^alpha + B/D^beta with a dearer jet."""
    plan = plan_for(law, epochs=1)
    N, D, _, loss = brute_force(
        forms.additive, jets, BUDGET, COST, [1.0], np.geomspace(1e5, 1e8, 200_001)
    )
    assert plan.epochs == 1
    assert plan.loss == pytest.approx(loss, rel=1e-9)
    assert (plan.N, plan.D) == pytest.approx((N, D), rel=1e-3)
    assert "assumed" not in plan.message
    A, alpha, B, beta = (jets[name] for name in ("A", "alpha", "B", "beta"))
    pull_n = alpha * A / plan.N**alpha  # balanced at the optimum
    share = COST * plan.D / BUDGET
    assert plan.simulated == pytest.approx(share)
    pull_d = beta * B / plan.D**beta * (1 - share)
    assert pull_n == pytest.approx(pull_d, rel=1e-9)


def test_free_jets_give_the_allocation_of_one_epoch(law):
    plain = allocate(law, BUDGET)
    plan = plan_for(law, cost=1e-3)
    assert (plan.N, plan.D) == pytest.approx((plain.N, plain.D), rel=1e-6)
    assert pytest.approx(1, abs=1e-6) == plan.epochs
    assert plan.loss == pytest.approx(plain.loss, rel=1e-9)
    assert (plan.a, plan.gamma) == pytest.approx((plain.a, plain.gamma), rel=1e-5)


def test_dear_jets_are_repeated_as_often_as_allowed_or_useful(law):
    plan = plan_for(law, cost=1e14, epochs=20)
    assert pytest.approx(20) == plan.epochs
    often = plan_for(law, cost=1e14, epochs=1e6)
    assert 20 < often.epochs < 1e4  # worth 1 + R_D* = 16 data sets at most
    assert often.loss < plan.loss


def test_more_epochs_never_hurt(law):
    losses = [
        plan_for(law, cost=1e10, epochs=most).loss for most in (1, 1.01, 2, 5, 20, 100)
    ]
    assert np.all(np.diff(losses) <= 0)


def test_slopes_are_those_of_plans_solved_again(law):
    plan, less, more = (
        plan_for(law, BUDGET * factor) for factor in (1, np.exp(-1e-3), np.exp(1e-3))
    )

    def slope(value):
        return float(np.log(value(more) / value(less)) / 2e-3)

    assert plan.a == pytest.approx(slope(lambda p: p.N), rel=1e-5)
    assert plan.slope_D == pytest.approx(slope(lambda p: p.D), rel=1e-5)
    assert plan.slope_E == pytest.approx(slope(lambda p: p.epochs), rel=1e-5)
    assert plan.gamma == pytest.approx(-slope(lambda p: p.loss - 0.32), rel=1e-5)


def test_break_even_points(law):
    """There the best plans of one epoch and of two have equal losses, two are better
    for dearer jets; and the break-even budget at that cost is the budget."""
    plan = plan_for(law, epochs=2)
    cost = plan.repeat_above_cost
    assert cost is not None
    params = law.params | dict(LANGUAGE_MODELS.params)
    sizes = np.geomspace(1e5, 1e7, 40_001)

    def loss(epochs, cost):
        return brute_force(forms.repetition, params, BUDGET, cost, [epochs], sizes)[3]

    assert loss(1.0, cost) == pytest.approx(loss(2.0, cost), rel=1e-7)
    assert loss(2.0, 2 * cost) < loss(1.0, 2 * cost)
    back = plan_for(law, cost=cost, epochs=2)
    assert back.repeat_below_budget == pytest.approx(BUDGET, rel=1e-4)


def test_break_even_needs_two_epochs_and_a_crossing(law, jets):
    """1.99 epochs are too few; without any worth of repeats two never win."""
    assert plan_for(law, epochs=1.99).repeat_above_cost is None
    worthless = repeat_model({"R_D_star": 1e-9, "R_N_star": np.inf})
    plan = plan_for(law, repeats=worthless)
    assert (plan.repeat_above_cost, plan.repeat_below_budget) == (None, None)


def test_one_epoch_where_repeats_gain_nothing(law):
    """With a finite R_N* the assumed law is worse than the fit in its first epoch."""
    worthless = repeat_model({"R_D_star": 1e-9, "R_N_star": 0.1})
    plan, one = plan_for(law, repeats=worthless), plan_for(law, epochs=1)
    assert (plan.N, plan.D, plan.epochs) == (one.N, one.D, 1)
    assert plan.loss == one.loss
    assert "one epoch is better than several" in plan.message


def test_a_fitted_law_of_repeated_data_needs_no_assumption(law, jets):
    fitted = replace(law, form=forms.repetition, params=jets | MUENNIGHOFF)
    plan = plan_for(fitted)
    same = plan_for(law, repeats=repeat_model(MUENNIGHOFF))
    assert pytest.approx(same.N, rel=1e-9) == plan.N
    assert not any("repeated data" in warning for warning in plan.warnings)
    assert "as given" in same.message
    assert "is assumed" in plan_for(law).message
    with pytest.raises(ValueError, match="give no repeats"):
        plan_for(fitted, repeats=repeat_model(MUENNIGHOFF))


def test_the_assumed_law_continues_that_of_one_epoch(law):
    one, more = plan_for(law, epochs=1), plan_for(law, epochs=1.0001)
    assert more.loss == pytest.approx(one.loss, rel=1e-5)
    assert more.loss < one.loss


def test_intervals_and_range(law, jets):
    rng = np.random.default_rng(0)
    spread = {k: v * np.exp(0.01 * rng.normal(size=200)) for k, v in jets.items()}
    plan = plan_for(replace(law, draws=draws(jets, 200, **spread)))
    for name in ("N", "D", "epochs", "loss", "simulated", "a", "gamma"):
        low, high = plan.intervals[name]
        assert low < getattr(plan, name) < high
    N, seen = plan.N, plan.epochs * plan.D
    expected = {"N": N / 1e7, "D": seen / 1e8, "ND": N * seen / 1e15}
    assert plan.range_ratio == pytest.approx(expected)
    assert plan.message.startswith(f"extrapolation: D {seen / 1e8:.3g} times the")
    record = json.loads(plan.to_json())
    assert record["intervals"]["E"] == list(plan.intervals["epochs"])


def test_json_keys_are_those_that_scripts_read(law):
    plan = plan_for(law)
    record = json.loads(plan.to_json())
    assert set(record) == {
        "N", "D", "E", "loss", "simulated", "a", "slope_D", "slope_E", "gamma",
        "repeat_above_cost", "repeat_below_budget", "budget", "jet_cost", "max_epochs",
        "particles", "intervals", "beyond", "extrapolates", "message", "warnings",
        "verdict", "verdicts", "flops_per_N_D",
    }  # fmt: skip
    assert (record["E"], record["jet_cost"]) == (plan.epochs, COST)
    assert record["max_epochs"] == 50
    assert "simulated" in repr(plan)
    assert "1e+09 FLOPs a simulated jet" in repr(plan)


@pytest.mark.parametrize(
    ("budget", "choices", "words"),
    [
        (np.nan, {}, "budget is nan"),
        (-1e18, {}, "budget is -1e"),
        (1e18, {"cost": 0.0}, "flops_per_jet is 0"),
        (1e18, {"epochs": 0.999}, "at least 1"),
        (1e18, {"epochs": np.inf}, "at least 1"),
        (1e18, {"particles": 0.0}, "particles is 0"),
        (1e9 + 239, {}, "cannot simulate one jet"),
        (1e9 + 240, {}, "too small: the best plan would simulate 0.9 jets"),
        (1.1e9, {}, "too small: the best plan would simulate 0.988 jets"),
    ],
)
def test_plans_that_cannot_be_made(law, budget, choices, words):
    with pytest.raises(ValueError, match=words):
        plan_for(law, budget, **choices)


def test_a_budget_simulates_one_jet_at_least(law):
    assert plan_for(law, 1.2e9).D == pytest.approx(1.08, abs=0.01)


def test_laws_that_cannot_plan(law, jets):
    with pytest.raises(ValueError, match="no N and D"):
        plan_for(replace(law, form=forms.repeated))
    with pytest.raises(ValueError, match="no optimum"):
        plan_for(replace(law, params=jets | {"beta": -0.1}), epochs=1)
