"""R(L): planted A, B and C are recovered, and intervals combine both uncertainties."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import gamma, norm

from jetlab.laws import forms
from jetlab.laws.evidence.bootstrap import bootstrap
from jetlab.laws.rejection import (
    estimate_from_limit,
    fit_rejection,
    rejection_at,
    rejection_interval,
    rejection_table,
    scatter_between_runs,
)
from tests.laws.stated import draws, stated

PLANTED = {"A": 2e5, "B": 9.0, "C": 40.0}
LOSS = np.linspace(0.4, 1.1, 14)


def rejections(loss):
    return PLANTED["A"] * np.exp(-PLANTED["B"] * loss) + PLANTED["C"]


def test_planted_parameters_are_recovered_from_exact_rows():
    law, _ = fit_rejection(LOSS, rejections(LOSS), np.full(14, 0.05))
    assert law.identified
    assert law.params == pytest.approx(PLANTED, rel=1e-6)
    assert rejection_at(law, np.array([0.3]))[0] == pytest.approx(rejections(0.3))


def experiment(seed):
    """Errors grow with the rejection, as fewer background jets are left."""
    exact = rejections(LOSS)
    error = 0.02 * np.sqrt(exact / exact.min())
    noise = error * np.random.default_rng(seed).normal(size=14)
    law, _ = fit_rejection(LOSS, exact * np.exp(noise), error)
    return replace(law, draws=bootstrap(law, draws=100))


@pytest.fixture(scope="module")
def noisy():
    return experiment(0)


@pytest.mark.slow
def test_intervals_hold_the_truth_as_often_as_they_claim():
    held = 0
    for seed in range(80):
        low, high = rejection_interval(
            experiment(seed), np.full(100, 0.35)
        )  # beyond the rows
        held += low <= rejections(0.35) <= high
    assert 0.56 < held / 80 < 0.80


def test_an_uncertain_loss_widens_the_interval(noisy):
    sharp = rejection_interval(noisy, np.full(200, 0.45))
    losses = 0.45 + 0.05 * np.random.default_rng(1).normal(size=500)
    wide = rejection_interval(noisy, losses)
    # 0.05 of the loss is a factor e^(9 0.05) of the rejection
    assert np.log(wide[1] / wide[0]) == pytest.approx(2 * 0.45, rel=0.2)
    assert sharp[0] > wide[0]
    assert sharp[1] < wide[1]


def test_the_common_error_of_runs_widens_the_interval(noisy):
    """Alone, with a sharp loss and fit: 68 % of a log-normal of width 0.1."""
    fixed = replace(noisy, draws=draws(noisy.params, 100))
    low, high = rejection_interval(fixed, np.full(20_000, 0.45), 0.1)
    R = rejection_at(noisy, np.array([0.45]))[0]
    ends = R * np.exp(0.1 * norm.ppf([0.16, 0.84]))
    assert (low, high) == pytest.approx(ends, rel=5e-3)


def test_draws_of_loss_and_law_are_not_paired(noisy):
    """A and the loss ordered alike would cancel. The sum of two uniform numbers within
    +-0.2 has a 68 % interval of +-0.2 (2 - 2 sqrt(0.32))."""
    order = np.linspace(-1, 1, 2001)
    A = noisy.params["A"] * np.exp(0.2 * order)
    law = replace(noisy, draws=draws(noisy.params | {"C": 1e-9}, 2001, A=A))
    low, high = rejection_interval(law, 0.45 + 0.2 / noisy.params["B"] * order)
    expected = 2 * 0.2 * (2 - 2 * np.sqrt(0.32))
    assert np.log(high / low) == pytest.approx(expected, rel=0.05)


def test_limits_and_missing_draws_are_errors(noisy):
    with pytest.raises(ValueError, match="error of row 1 is inf: for a lower limit"):
        rejection_table(np.ones(2), np.ones(2), np.array([0.1, np.inf]))
    with pytest.raises(ValueError, match="needs draws"):
        rejection_interval(replace(noisy, draws=None), np.ones(3))
    with pytest.raises(ValueError, match="needs draws"):
        rejection_interval(noisy, np.ones(0))


def test_scatter_between_runs_is_found_where_there_is_some():
    """200 runs with errors of 5 %: alone, and with 20 % between runs on top."""
    rng = np.random.default_rng(5)
    loss, error = np.linspace(0.4, 1.1, 200), np.full(200, 0.05)
    noise = error * rng.normal(size=200)
    alone, _ = fit_rejection(loss, rejections(loss) * np.exp(noise), error)
    assert scatter_between_runs(alone, error) < 0.02
    more = noise + 0.2 * rng.normal(size=200)
    law, table = fit_rejection(loss, rejections(loss) * np.exp(more), error)
    assert scatter_between_runs(law, error) == pytest.approx(0.2, rel=0.15)
    assert np.ptp(table["weight"]) < 1e-9
    s = scatter_between_runs(law, error)
    assert np.sum(law.residuals**2) / (0.05**2 + s**2) == pytest.approx(200 - law.free)
    assert table["weight"][0] == pytest.approx(1 / (0.05**2 + s**2), rel=1e-3)


def test_scatter_between_runs_needs_a_degree_of_freedom(noisy):
    """Both sides of it, and both sides of chi^2 equal to the degrees of freedom."""
    off = stated(forms.rejection, noisy.params, rows=4, residuals=np.full(4, 0.1))
    assert scatter_between_runs(off, np.full(4, 0.05)) == pytest.approx(
        np.sqrt(4 * 0.01 - 0.0025), rel=1e-9
    )
    assert scatter_between_runs(off, np.full(4, 0.1999)) > 0
    assert scatter_between_runs(off, np.full(4, 0.2001)) == 0
    three = replace(off, rows=3, residuals=np.full(3, 0.1))
    assert scatter_between_runs(three, np.full(3, 0.05)) == 0


def test_scatter_between_runs_keeps_sharp_rows_from_dominating():
    """Rows of small errors lie 30 % off at random: weights are nearly equal."""
    rng = np.random.default_rng(6)
    exact = rejections(LOSS)
    error = 0.01 * np.sqrt(exact / exact.min())
    values = exact * np.exp(0.3 * rng.normal(size=14))
    _, table = fit_rejection(LOSS, values, error)
    assert table["weight"].max() / table["weight"].min() < 1.5
    assert (error.max() / error.min()) ** 2 > 10


def test_a_constant_of_zero_is_left_out():
    """R = A e^(-B L) with 5 % scatter: C is not identified, and not needed."""
    noise = 0.05 * np.random.default_rng(3).normal(size=14)
    R = PLANTED["A"] * np.exp(-PLANTED["B"] * LOSS + noise)
    law, _ = fit_rejection(LOSS, R, np.full(14, 0.05))
    assert law.identified
    assert law.fixed == {"C": 1e-9}
    assert law.params["B"] == pytest.approx(PLANTED["B"], abs=0.3)


@pytest.mark.parametrize("passing", [0.1, 0.7, 2.0])
def test_the_estimate_from_a_limit_holds_the_truth(passing):
    """Nothing passed of 1000 jets, of which few pass on average: R within its error."""
    R, error = estimate_from_limit(1000 / -np.log(1 - 0.68))
    assert abs(np.log(R * passing / 1000)) < error
    assert R == pytest.approx(1000 / gamma.ppf(0.5, 0.5))
    assert error == pytest.approx(np.pi / np.sqrt(2))  # sqrt(psi'(1/2))


def test_leaving_out_limits_would_be_biased():
    """0.7 background jets pass on average, a Poisson number: without the runs of which
    none did, the mean log R is too low by more."""
    R, _ = estimate_from_limit(1000 / -np.log(1 - 0.68))
    passed = np.random.default_rng(0).poisson(0.7, 20_000)
    kept = np.where(passed == 0, R, 1000 / np.maximum(passed, 1))
    without = 1000 / passed[passed > 0]
    truth = np.log(1000 / 0.7)
    assert abs(np.mean(np.log(kept)) - truth) < abs(np.mean(np.log(without)) - truth)


@pytest.mark.slow
def test_the_error_of_common_background_jets_is_in_the_interval():
    """Every run of a table counts the same 200,000 background jets, which pass by one
    uniform number each: their fluctuation causes no scatter between runs."""
    held = {True: 0, False: 0}
    for seed in range(60):
        rng = np.random.default_rng(seed)
        score = rng.uniform(size=200_000)
        passed = np.array([(score < 1 / R).sum() for R in rejections(LOSS)])
        values = 200_000 / passed
        law, _ = fit_rejection(LOSS, values, 1 / np.sqrt(passed))
        law = replace(law, draws=bootstrap(law, draws=100))
        for shared in held:
            common = 1 / np.sqrt(passed[0]) if shared else 0.0
            low, high = rejection_interval(law, np.full(100, LOSS[0]), common)
            held[shared] += low <= rejections(LOSS[0]) <= high
    assert held[False] / 60 < 0.5
    assert held[True] / 60 > 0.6  # that of the best run is more than the law's
