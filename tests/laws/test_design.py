"""Suggested runs: they beat random ones of the same cost, as much as they say."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from jetlab.laws import forms
from jetlab.laws.bootstrap import bootstrap, refit
from jetlab.laws.design import suggest
from jetlab.laws.fit import fit
from jetlab.laws.misfit import Misfit
from jetlab.laws.newton import ProblemBatch
from jetlab.laws.objective import pose

EXPERIMENTS = 1000
SQUARES = Misfit(kind="squares")


def floor(params):
    return params["L_inf"]


@pytest.fixture(scope="module")
def candidates():
    n, d = np.meshgrid(np.logspace(3, 8, 6), np.logspace(3, 8, 6))
    return {"N": n.ravel(), "D": d.ravel()}


@pytest.fixture(scope="module")
def started(small):
    law = fit(forms.additive, small, misfit=SQUARES)
    return replace(law, draws=bootstrap(law, draws=64))


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


def added(table, candidates, chosen):
    return {
        name: np.append(table[name], candidates[name][chosen]) for name in ("N", "D")
    }


@pytest.mark.slow
def test_suggested_runs_beat_random_ones_of_the_same_cost(
    started, small, candidates, jets
):
    costs = 240 * candidates["N"] * candidates["D"]
    budget = 1e15
    found = suggest(started, candidates, costs, budget, floor)
    assert found.cost <= budget
    chosen = {"N": np.array(found.N), "D": np.array(found.D)}
    told = spread({n: np.append(small[n], chosen[n]) for n in ("N", "D")}, jets)
    rng = np.random.default_rng(0)
    affordable = np.flatnonzero(costs <= budget)
    others = []
    for _ in range(5):
        picked, left = [], budget
        while (costs[affordable] <= left).any() and len(picked) < len(found.N):
            one = rng.choice(affordable[costs[affordable] <= left])
            picked.append(one)
            left -= costs[one]
        others.append(spread(added(small, candidates, picked), jets))
    assert told < 0.85 * np.median(others)
    assert told < min(others)


def test_nothing_affordable_is_told(started, small, candidates):
    costs = 240 * candidates["N"] * candidates["D"]
    with pytest.raises(ValueError, match=r"cheapest takes 2\.4e\+08 FLOPs"):
        suggest(started, candidates, costs, 1e6, floor)


def test_what_is_asked_decides_what_is_suggested(started, small, candidates):
    """The floor shows where both terms are small, alpha between small N and large."""
    costs = np.ones(36)
    floors = suggest(started, candidates, costs, 3.0, floor)
    assert min(floors.N) >= 1e6
    assert min(floors.D) == 1e8
    assert "beyond its rows" in floors.message
    alphas = suggest(started, candidates, costs, 3.0, lambda p: p["alpha"])
    assert max(alphas.N) >= 1e3 * min(alphas.N)
