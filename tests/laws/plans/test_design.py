"""Suggested runs: they beat random ones of the same cost, as much as they claim."""

from dataclasses import replace
from itertools import combinations_with_replacement

import jax
import numpy as np
import pytest

from jetlab.laws import forms
from jetlab.laws.evidence.bootstrap import bootstrap, refit
from jetlab.laws.fit import fit
from jetlab.laws.fitting.misfit import Misfit
from jetlab.laws.fitting.newton import ProblemBatch
from jetlab.laws.fitting.objective import pose
from jetlab.laws.plans import design
from jetlab.laws.plans.allocation import allocate
from jetlab.laws.plans.design import candidates, select_runs, suggest, target_function
from tests.laws.stated import draws

EXPERIMENTS = 1000
SQUARES = Misfit(kind="squares")


def floor(params):
    return params["L_inf"]


@pytest.fixture(scope="module")
def runs():
    n, d = np.meshgrid(np.logspace(3, 8, 6), np.logspace(3, 8, 6))
    return {"N": n.ravel(), "D": d.ravel()}


@pytest.fixture(scope="module")
def law(small):
    return fit(forms.additive, small, misfit=SQUARES)


@pytest.fixture(scope="module")
def small(grid):
    return grid(np.logspace(3, 5, 4), np.logspace(3, 6, 4), scatter=0.01)


def spread(table, jets) -> float:
    """Scatter of the fitted floor over experiments with these N and D."""
    exact = table | {"L": forms.additive.predict(jets, table)}
    with jax.enable_x64(True):
        problem = pose(forms.additive, exact, misfit=SQUARES)
        rows = problem.rows
        rng = np.random.default_rng(5)
        noise = 0.01 * rng.normal(size=(EXPERIMENTS, len(rows.weight)))
        truth = np.tile(problem.space.coordinates(jets), (EXPERIMENTS, 1))
        weight = np.tile(rows.weight, (EXPERIMENTS, 1))
        z, found = refit(
            problem, ProblemBatch(truth, np.asarray(rows.log_loss) + noise, weight)
        )
        floors = problem.space.many_params(z[found])["L_inf"]
    low, high = np.quantile(floors, (0.16, 0.84))
    return float(high - low) / 2


def six(n, d, costs):
    """Candidates padded to six by runs that no budget affords: one compiled shape."""
    more = 6 - len(n)
    runs = {"N": np.append(n, [1e3] * more), "D": np.append(d, [1e3] * more)}
    return runs, np.append(np.asarray(costs, float), [np.inf] * more)


def added(table, runs, chosen):
    return {name: np.append(table[name], runs[name][chosen]) for name in ("N", "D")}


@pytest.mark.slow
def test_suggested_runs_beat_random_ones_of_the_same_cost(law, small, runs, jets):
    drawn = replace(law, draws=bootstrap(law, draws=64))
    costs = 240 * runs["N"] * runs["D"]
    budget = 1e15
    found = select_runs(drawn, runs, costs, budget, floor)
    assert found.cost <= budget
    chosen = {"N": np.array(found.N), "D": np.array(found.D)}
    ours = spread({n: np.append(small[n], chosen[n]) for n in ("N", "D")}, jets)
    rng = np.random.default_rng(0)
    affordable = np.flatnonzero(costs <= budget)
    others = []
    for _ in range(5):
        picked, left = [], budget
        while (costs[affordable] <= left).any() and len(picked) < len(found.N):
            one = rng.choice(affordable[costs[affordable] <= left])
            picked.append(one)
            left -= costs[one]
        others.append(spread(added(small, runs, picked), jets))
    assert ours < 0.85 * np.median(others)
    assert ours < min(others)


def gradient(p, n, d):
    """Of log L in (L_inf, A, alpha, B, beta), row by row."""
    loss = p["L_inf"] + p["A"] / n ** p["alpha"] + p["B"] / d ** p["beta"]
    columns = [
        np.ones_like(n),
        n ** -p["alpha"],
        -p["A"] * np.log(n) / n ** p["alpha"],
        d ** -p["beta"],
        -p["B"] * np.log(d) / d ** p["beta"],
    ]
    return np.stack(columns, axis=1) / loss[:, None]


def error(p, table, chosen, runs, g):
    """Standard error of a number with gradient g, to a factor."""
    both = added(table, runs, chosen) if len(chosen) else table
    x = gradient(p, both["N"], both["D"])
    return np.sqrt(g @ np.linalg.inv(x.T @ x) @ g)


FLOOR, ALPHA = np.eye(5)[0], np.eye(5)[2]


@pytest.mark.parametrize(("name", "g"), [("L_inf", FLOOR), ("alpha", ALPHA)])
def test_the_gain_is_that_of_the_fisher_information(
    law, small, runs, name, g, monkeypatch
):
    """By the gradients in the physical parameters, for runs of unequal cost and without
    prior information; greedy selection comes close to the best of all selections."""
    monkeypatch.setattr(design, "PRIOR", 1e-12)
    few = {k: v[14:20] for k, v in runs.items()}
    costs = np.array([1.0, 2.0, 1.5, 1.0, 3.0, 2.0])
    found = select_runs(law, few, costs, 4.0, lambda p: p[name])
    pairs = list(zip(few["N"], few["D"], strict=True))
    chosen = [pairs.index(pair) for pair in zip(found.N, found.D, strict=True)]
    assert found.cost == pytest.approx(costs[chosen].sum())
    before = error(law.params, small, [], few, g)
    gain = error(law.params, small, chosen, few, g) / before
    assert found.gain == pytest.approx(gain, rel=1e-4)
    best = min(
        error(law.params, small, list(some), few, g) / before
        for size in (1, 2, 3, 4)
        for some in combinations_with_replacement(range(6), size)
        if costs[list(some)].sum() <= 4.0
    )
    assert best <= found.gain * (1 + 1e-4)
    assert found.gain < 1.1 * best


@pytest.mark.parametrize("dear", [5.0, 100.0])
def test_the_better_of_two_selections_is_kept(law, dear):
    """One dear run that tells much, or as many cheap ones as it costs."""
    runs, costs = six([1e8, 1e5], [1e8, 1e8], [dear, 1])
    one = select_runs(law, runs, np.where(costs == 1, np.inf, costs), dear, floor)
    many = select_runs(law, runs, np.where(costs == dear, np.inf, costs), dear, floor)
    found = select_runs(law, runs, costs, dear, floor)
    assert (one.N, many.N) == ([1e8], [1e5] * int(dear))
    assert abs(one.gain / many.gain - 1) > 0.05
    assert found.gain == pytest.approx(min(one.gain, many.gain), rel=1e-12)


def test_a_budget_may_be_spent_to_the_last_flop(law):
    one, costs = six([1e3], [1e3], [2])
    found = select_runs(law, one, costs, 4.0, floor)
    assert (len(found.N), found.cost) == (2, 4.0)
    many = select_runs(law, one, costs / 1e3, 4.0, floor)
    assert len(many.N) == 200


def test_nothing_affordable_is_an_error(law, runs):
    costs = 240 * runs["N"] * runs["D"]
    with pytest.raises(ValueError, match=r"cheapest takes 2\.4e\+08 FLOPs"):
        select_runs(law, runs, costs, 1e6, floor)
    lost = replace(law, objective=np.nan, outcome="no rows", converged=False)
    with pytest.raises(ValueError, match="no fit to improve on: no rows"):
        select_runs(lost, runs, costs, 1e15, floor)


def test_the_target_decides_the_runs(law, runs):
    """The floor shows where both terms are small, alpha between small N and large."""
    costs = np.ones(36)
    floors = select_runs(law, runs, costs, 3.0, floor)
    assert min(floors.N) >= 1e6
    assert min(floors.D) == 1e8
    assert "extrapolation: N to" in floors.warnings[0]
    alphas = select_runs(law, runs, costs, 3.0, lambda p: p["alpha"])
    assert max(alphas.N) >= 1e3 * min(alphas.N)


def test_an_unreliable_fit_is_a_warning(law):
    inside, costs = six([1e4], [1e5], [1])
    assert select_runs(law, inside, costs, 1.0, floor).warnings == ()
    doubtful = replace(law, doubt="too narrow")
    (warning,) = select_runs(doubtful, inside, costs, 1.0, floor).warnings
    assert "the present fit is undecided: too narrow: fit again" in warning


def test_candidates_are_half_decades_that_the_budget_affords(law):
    runs, costs = candidates(law, 1e30, 40)
    half = 10 ** (1 / 2)
    for name, top in (("N", 1e6), ("D", 1e7)):
        axis = np.unique(runs[name])
        np.testing.assert_allclose(axis[[0, -1]], [1e3, top], rtol=1e-9)
        np.testing.assert_allclose(axis[1:] / axis[:-1], half, rtol=1e-9)
    np.testing.assert_allclose(costs, 240 * runs["N"] * runs["D"])
    _, costs = candidates(law, 2.4e8 * half * 1.001, 40)
    assert len(costs) == 3
    with pytest.raises(ValueError, match=r"do not pay for one run .* \(2\.4e\+08\)"):
        candidates(law, 2.39e8, 40)


@pytest.mark.parametrize("name", ["a", "a_D", "gamma", "loss@1e15", "B"])
def test_targets_are_functions_of_the_parameters(law, jets, name):
    alpha, beta = jets["alpha"], jets["beta"]
    expected = {
        "a": beta / (alpha + beta),
        "a_D": alpha / (alpha + beta),
        "gamma": alpha * beta / (alpha + beta),
        "B": jets["B"],
        "loss@1e15": allocate(replace(law, params=jets), 1e15, particles=1).loss,
    }
    value = target_function(law, name, 1.0)(jets)
    assert value == pytest.approx(expected[name], rel=1e-12)


def test_unknown_targets_are_errors(law):
    fixed = replace(law, fixed={"L_inf": 0.3})
    with pytest.raises(ValueError, match="no target 'L_inf': choose from A, alpha"):
        target_function(fixed, "L_inf", 40)
    with pytest.raises(ValueError, match="write loss@FLOPS with a number"):
        target_function(law, "loss@much", 40)


def test_suggest_joins_candidates_target_and_selection(law, small, monkeypatch):
    """For the exponent a = beta / (alpha + beta); gains are averaged over the fit and
    its draws, which are equal to it here."""
    monkeypatch.setattr(design, "PRIOR", 1e-12)
    p = law.params
    found = suggest(replace(law, draws=draws(p, 2)), 1e11, target="a")
    g = np.array([0, 0, -p["beta"], 0, p["alpha"]]) / (p["alpha"] + p["beta"]) ** 2
    chosen = {"N": np.array(found.N), "D": np.array(found.D)}
    every = np.arange(len(found.N))
    gain = error(p, small, every, chosen, g) / error(p, small, [], chosen, g)
    assert found.gain == pytest.approx(gain, rel=1e-4)
    assert 0 < found.gain < 1
    assert found.cost == pytest.approx(240 * np.dot(found.N, found.D))
    assert "expected to fall to" in found.message
