"""The plan against the closed form, brute force and the paper's exponents."""

import json
from dataclasses import replace

import numpy as np
import pytest

from jetlab.laws import forms
from jetlab.laws.plans.allocation import allocate, frontier
from jetlab.laws.plans.budget import simulation_flops, training_flops
from tests.laws.stated import draws, stated


@pytest.fixture
def law(jets):
    """The paper's law, as if fitted to a grid of N up to 1e7 and D up to 1e8."""
    span = {"N": (1e3, 1e7), "D": (1e3, 1e8), "ND": (1e6, 1e15)}
    return stated(forms.additive, jets, span=span)


def closed_form(p, flops, particles=40):
    """arXiv:2203.15556, Eq. 4, with C = 6 n_p N D."""
    a = p["beta"] / (p["alpha"] + p["beta"])
    ratio = p["alpha"] * p["A"] / (p["beta"] * p["B"])
    scale = ratio ** (1 / (p["alpha"] + p["beta"]))
    nd = flops / (6 * particles)
    return scale * nd**a, nd ** (1 - a) / scale, a


@pytest.mark.parametrize(
    ("flops", "particles"), [(1e10, 40), (1e18, 40), (1e18, 1), (1e30, 40)]
)
def test_additive_law_has_its_closed_form(law, jets, flops, particles):
    A, alpha, B, beta = (jets[name] for name in ("A", "alpha", "B", "beta"))
    N, D, a = closed_form(jets, flops, particles)
    plan = allocate(law, flops, particles=particles)
    assert (plan.N, plan.D) == pytest.approx((N, D), rel=1e-9)
    assert plan.a == pytest.approx(a, abs=1e-9)
    assert plan.gamma == pytest.approx(alpha * beta / (alpha + beta), abs=1e-9)
    assert plan.loss == pytest.approx(0.32 + A / N**alpha + B / D**beta, rel=1e-12)


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


def test_extrapolation_is_a_warning_with_its_factor(law):
    inside = allocate(law, 1e10)
    assert inside.message == "interpolation: within the range of the rows fitted"
    assert not inside.extrapolates
    assert inside.warnings == ()
    far = allocate(law, 240 * 1e15 * 100)
    assert far.extrapolates
    assert far.range_ratio["ND"] == pytest.approx(100)
    assert far.range_ratio["N"] == pytest.approx(far.N / 1e7)
    assert "ND 100 times the largest" in far.warnings[0]
    near = allocate(law, 1e8)
    assert near.extrapolates
    assert f"N {near.N / 1e3:.3g} times the smallest" in near.message


@pytest.mark.parametrize(("outside", "expected"), [(1e-8, True), (1e-10, False)])
def test_the_edge_of_the_rows_counts_as_inside(law, outside, expected):
    """Both sides of a relative tolerance of 1e-9, at the largest and smallest N."""
    N = allocate(law, 1e12).N
    for ends in ((1.0, N / (1 + outside)), (N * (1 + outside), 1e9)):
        plan = allocate(replace(law, span={"N": ends}), 1e12)
        assert plan.extrapolates is expected


def test_intervals_are_percentiles_of_the_draws(law, jets):
    factors = np.linspace(0.9, 1.1, 101)
    drawn = replace(law, draws=draws(jets, 101, beta=0.22 * factors))
    plan = allocate(drawn, 1e18)
    for end, quantile in zip(plan.intervals["a"], (0.932, 1.068), strict=True):
        beta = 0.22 * quantile  # 16th and 84th percentiles
        assert end == pytest.approx(beta / (0.44 + beta), rel=1e-9)
    assert set(plan.intervals) == {"N", "D", "loss", "a", "gamma"}
    record = json.loads(plan.to_json())
    assert record["intervals"]["a"] == list(plan.intervals["a"])
    assert f"({plan.intervals['N'][0]:.4g}, " in repr(plan).splitlines()[1]


def test_draws_without_an_optimum_are_counted_and_left_out(law, jets):
    alpha = np.full(101, jets["alpha"])
    alpha[:10] = -0.5
    plan = allocate(replace(law, draws=draws(jets, 101, alpha=alpha)), 1e10)
    assert plan.warnings[0].startswith("10 of 101 draws have no optimum")
    assert plan.intervals["a"] == pytest.approx((1 / 3, 1 / 3), rel=1e-9)


def test_json_keys_are_those_that_scripts_read(law):
    record = json.loads(allocate(law, 1e18).to_json())
    assert set(record) == {
        "N", "D", "E", "loss", "a", "gamma", "budget", "particles", "intervals",
        "beyond", "extrapolates", "message", "warnings", "verdict", "verdicts",
        "flops_per_N_D",
    }  # fmt: skip
    assert (record["budget"], record["particles"], record["E"]) == (1e18, 40, 1)
    assert record["beyond"].keys() == {"N", "D", "ND"}
    assert record["message"] == "; ".join(record["warnings"])
    with pytest.raises(ValueError, match="JSON compliant"):
        replace(allocate(law, 1e18), loss=np.nan).to_json()


def test_a_plan_prints_its_values_and_warnings(law):
    plan = allocate(law, 1e18)
    lines = repr(plan).splitlines()
    start = "Plan for 1e+18 FLOPs (C = 6 n_p N D, n_p = 40): "
    assert lines[0] == start + "decided"
    assert lines[1] == f"  N         {plan.N:.4g}"
    assert lines[-2] == "  N ~ C^0.333, L - L_inf ~ C^-0.147"
    assert lines[-1].startswith("  warning: extrapolation: ")


def test_a_frontier_is_a_power_law(law):
    plans = frontier(law, [1e12, 1e15, 1e18], particles=1)
    slopes = np.diff(np.log([plan.N for plan in plans])) / np.log(1e3)
    np.testing.assert_allclose(slopes, 1 / 3, rtol=1e-9)
    assert [plan.particles for plan in plans] == [1, 1, 1]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"alpha": -0.1}, "no optimum"),
        ({"alpha": -0.4, "beta": -0.2}, "no optimum"),  # a maximum of the loss
        ({"alpha": np.nan}, "no parameters to allocate by"),
    ],
)
def test_laws_without_an_optimum(law, jets, changes, words):
    with pytest.raises(ValueError, match=words):
        allocate(replace(law, params=jets | changes), 1e18)


def test_plans_that_cannot_be_made(law, jets):
    with pytest.raises(ValueError, match="must be positive"):
        allocate(law, -1.0)
    with pytest.raises(ValueError, match="particles is 0"):
        allocate(law, 1e18, particles=0)
    with pytest.raises(ValueError, match="no N and D"):
        allocate(replace(law, form=forms.data_only), 1e18)
    with pytest.raises(ValueError, match="no N and D"):
        allocate(replace(law, form=forms.transfer), 1e18)
    with pytest.raises(ValueError, match="lacks beta of additive"):
        allocate(replace(law, params=dict.fromkeys(list(jets)[:4], 1.0)), 1e18)
    short = draws(jets, 3, beta=np.ones(2))
    with pytest.raises(ValueError, match="equally often"):
        allocate(replace(law, draws=short), 1e18)


@pytest.mark.parametrize("scale", [1, 1e6])
def test_a_budget_buys_one_parameter_and_one_jet_at_least(law, jets, scale):
    """Both sides of N = 1 (for a large B of D = 1)."""
    p = jets | {"A": jets["A"] / scale, "B": jets["B"] * scale}
    tiny = replace(law, params=p)
    N, D, a = closed_form(p, 240.0)
    smallest, exponent = (N, a) if N < D else (D, 1 - a)
    edge = 240 * smallest ** (-1 / exponent)
    with pytest.raises(ValueError, match="too small"):
        allocate(tiny, edge * 0.99)
    plan = allocate(tiny, edge * 1.01)
    assert min(plan.N, plan.D) == pytest.approx(1.01**exponent, rel=1e-6)


def test_a_law_of_repeated_data_is_allocated_for_one_epoch(law, jets):
    """There its terms are the additive law's, up to N_opt of Muennighoff's form."""
    repeating = replace(
        law, form=forms.repetition, params=jets | {"R_D_star": 15.4, "R_N_star": 5.3}
    )
    plan, plain = allocate(repeating, 1e15), allocate(law, 1e15)
    assert plan.N == pytest.approx(plain.N, rel=1e-6)
    assert plan.loss == pytest.approx(plain.loss, rel=1e-12)
    assert plan.a == pytest.approx(plain.a, rel=1e-9)


def test_device_hours_and_core_seconds_become_flops():
    assert training_flops(10.0, 1e14) == pytest.approx(3.6e18)
    assert simulation_flops(0.5, 2e11) == pytest.approx(1e11)
    with pytest.raises(ValueError, match="flop_rate is 0"):
        training_flops(10.0, 0.0)
    with pytest.raises(ValueError, match="core_seconds is nan"):
        simulation_flops(np.nan, 2e11)


@pytest.mark.parametrize(
    "why", [{"doubt": "too narrow"}, {"converged": False, "outcome": "too narrow"}]
)
def test_an_unreliable_fit_gives_an_indicative_plan(law, why):
    plan = allocate(replace(law, **why), 1e12)
    (warning,) = plan.warnings
    assert warning.startswith("the plan is indicative only")
    assert "N, D, loss, a, gamma undecided: too narrow: add runs" in warning
