"""Hoffmann et al.'s approaches against laws that are known, and each other."""

import json

import numpy as np
import pytest

from jetlab.laws import forms
from jetlab.laws.bias import Sampling, exponent_bias
from jetlab.laws.chinchilla import compare
from jetlab.laws.conventions import conventions
from jetlab.laws.envelope import envelope, records
from jetlab.laws.isoflop import CUBIC, PARABOLA, Valley, isoflop

BUDGETS = np.logspace(9, 13, 5)


def optimum(p, budgets):
    """arXiv:2203.15556, Eq. 4, C = 6 N D."""
    scale = (p["alpha"] * p["A"] / (p["beta"] * p["B"])) ** (
        1 / (p["alpha"] + p["beta"])
    )
    return scale * (budgets / 6) ** (p["beta"] / (p["alpha"] + p["beta"]))


def profiles(p, reach=4.0, sizes=7, scatter=0.0, seed=0):
    """Iso-FLOP rows about the optimum."""
    steps = np.geomspace(1 / reach, reach, sizes)
    n = (optimum(p, BUDGETS)[:, None] * steps).ravel()
    rows = {"N": n, "D": np.repeat(BUDGETS, sizes) / (6 * n)}
    noise = np.random.default_rng(seed).normal(size=n.size)
    return rows | {"L": forms.additive.predict(p, rows) * np.exp(scatter * noise)}


def test_minima_of_a_known_law(jets):
    found = isoflop(profiles(jets), particles=1)
    truth = optimum(jets, BUDGETS)
    np.testing.assert_allclose([m.N for m in found.minima], truth, rtol=2e-3)
    np.testing.assert_allclose([m.C for m in found.minima], BUDGETS, rtol=1e-12)
    assert found.trajectory.size.exponent == pytest.approx(1 / 3, abs=1e-4)
    assert found.trajectory.data.exponent == pytest.approx(2 / 3, abs=1e-4)
    assert found.trajectory.left_out == ()


def test_errors_of_minima_are_what_they_scatter_by(jets):
    """40 experiments of five minima: misses over errors have unit spread."""
    pulls, exponents, errors = [], [], []
    for seed in range(40):
        found = isoflop(profiles(jets, scatter=0.01, seed=seed), particles=1)
        truth = np.log(optimum(jets, np.array([m.C for m in found.minima])))
        misses = np.log([m.N for m in found.minima]) - truth
        pulls += list(misses / [m.error for m in found.minima])
        exponents.append(found.trajectory.size.exponent)
        errors.append(found.trajectory.size.error)
    assert np.quantile(np.abs(pulls), 0.68) == pytest.approx(1, abs=0.25)
    assert np.median(errors) == pytest.approx(np.std(exponents), rel=0.5)


def test_a_parabola_buys_too_large_and_a_cubic_does_not(jets):
    """The bias of the table in `bias.py`, without noise."""
    wide = Sampling(budgets=BUDGETS.tolist(), reach=30)
    assert exponent_bias(jets, wide, PARABOLA).shift > 0.2
    assert abs(exponent_bias(jets, wide, CUBIC).shift) < 0.03
    astray = Sampling(budgets=BUDGETS.tolist(), offset=1 / 3, drift=9)
    assert exponent_bias(jets, astray, PARABOLA).mean > 0.006
    assert abs(exponent_bias(jets, astray, CUBIC).mean) < 0.004


def test_equal_exponents_leave_no_bias(jets):
    even = jets | {"alpha": 0.3, "beta": 0.3}
    for valley in (PARABOLA, CUBIC):
        bias = exponent_bias(even, Sampling(budgets=BUDGETS.tolist(), reach=30), valley)
        assert abs(bias.mean) < 1e-3
        assert abs(bias.shift) < 1e-3


def test_groups_without_a_minimum_are_named(jets):
    rows = profiles(jets)
    low = rows["N"] < 1.01 * optimum(jets, rows["N"] * rows["D"] * 6) / 2
    first = np.isclose(6 * rows["N"] * rows["D"], BUDGETS[0])
    one_sided = {k: v[~first | low] for k, v in rows.items()}
    found = isoflop(one_sided, particles=1, valley=PARABOLA)
    assert len(found.minima) == 4
    (words,) = found.trajectory.left_out
    assert words.startswith("C = 1e+09: ")
    with pytest.raises(ValueError, match="do not make a power law; C = 1e"):
        isoflop({k: v[first & low] for k, v in rows.items()}, particles=1)
    with pytest.raises(ValueError, match="no column iso"):
        isoflop(rows, group="iso", particles=1)
    with pytest.raises(ValueError, match="degree is 4"):
        Valley(degree=4)


@pytest.fixture
def curves(jets):
    """Twenty-five training curves, each a run of one size."""
    sizes, steps = np.logspace(3, 7, 25), np.logspace(3, 9, 60)
    n, d = np.meshgrid(sizes, steps, indexing="ij")
    rows = {"N": n.ravel(), "D": d.ravel(), "run": np.repeat(np.arange(25.0), 60)}
    return rows | {"L": forms.additive.predict(jets, rows)}


def test_the_envelope_of_a_known_law(curves, jets):
    found = envelope(curves, particles=1)
    assert found.size.exponent == pytest.approx(1 / 3, abs=0.01)
    assert found.data.exponent == pytest.approx(2 / 3, abs=0.01)
    truth = optimum(jets, found.C)
    step = np.log(10) * 4 / 24 / 2
    assert np.abs(np.log(found.N / truth)).max() < 1.02 * step  # half a step of sizes
    assert found.loss.params["gamma"] == pytest.approx(0.1467, abs=0.003)
    assert 1e3 < found.N.min()
    assert found.N.max() < 1e7
    assert "the smallest or largest size" in found.left_out[0]


def test_records_of_finished_runs_fall(wide):
    found = records(wide)
    assert (np.diff(found.L) < 0).all()
    assert (np.diff(found.C) > 0).all()


def test_curves_that_are_none(curves):
    with pytest.raises(ValueError, match="has several sizes"):
        envelope(curves | {"run": np.zeros(len(curves["N"]))})
    with pytest.raises(ValueError, match="no column seed"):
        envelope(curves, run="seed")
    with pytest.raises(ValueError, match="has three points"):
        envelope(curves | {"run": np.arange(len(curves["N"]), dtype=float)})


def test_all_approaches_on_one_table(grid, jets, curves):
    """One law, several estimators: a = 1/3, N* and D* at a budget agree."""
    rows = grid(np.logspace(3, 7, 9), np.logspace(3, 9, 13))
    both = compare(rows, particles=1, curves=curves, profiles=profiles(jets))
    for found in both.found:
        assert found.a == pytest.approx(1 / 3, abs=0.01), found.name
        assert found.a + found.a_D == pytest.approx(1, abs=1e-6)
        best = found.size * 1e11**found.a
        assert best == pytest.approx(float(optimum(jets, np.array(1e11))), rel=0.1)
    assert both["parametric"].gamma == pytest.approx(0.44 * 0.22 / 0.66, rel=1e-6)
    record = json.loads(both.to_json())
    assert record["approaches"]["cubic"]["a"] == both["cubic"].a
    assert record["approaches"]["parametric"]["error"] is None


def test_a_grid_alone_is_enough_and_says_why_approaches_differ(grid):
    rows = grid(np.logspace(3, 7, 9), np.logspace(3, 9, 13))
    both = compare(rows)
    assert both["cubic"].a == pytest.approx(1 / 3, abs=0.01)
    assert both["parabola"].a > 0.36  # sizes over four decades are no parabola
    assert any("parabola and cubic differ" in words for words in both.words)


def test_an_approach_that_finds_nothing_says_so(grid):
    rows = grid([1e4, 1e6], np.logspace(3, 8, 15))
    both = compare(rows)
    assert np.isnan(both["envelope"].a)
    assert "no power law" in both["cubic"].message
    assert json.loads(both.to_json())["approaches"]["cubic"]["a"] is None


def test_the_count_that_leaves_much_out_drifts(grid):
    """A law in all parameters, told in a count that lacks 800 of the first 1,000."""
    rows = grid(np.logspace(3, 7, 9), np.logspace(3, 9, 9), scatter=0.003)
    rows["core"] = rows["N"] - 800
    whole, core = conventions(rows, ("N", "core"))
    assert whole.a == pytest.approx(1 / 3, abs=0.01)
    assert abs(whole.drift) < 0.02 < abs(core.drift)
    with pytest.raises(ValueError, match="no column total"):
        conventions(rows, ("total",))
