"""R(L): planted A, B and C come back, and intervals join both uncertainties."""

from dataclasses import replace

import numpy as np
import pytest

from jetlab.laws.bootstrap import bootstrap
from jetlab.laws.rejection import (
    between,
    fit_rejection,
    foretold,
    rejection_at,
    rows,
    unpassed,
)

PLANTED = {"A": 2e5, "B": 9.0, "C": 40.0}
LOSS = np.linspace(0.4, 1.1, 14)


def rejections(loss):
    return PLANTED["A"] * np.exp(-PLANTED["B"] * loss) + PLANTED["C"]


def test_exact_rows_give_back_what_was_planted():
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
def test_what_is_foretold_holds_the_truth_as_often_as_it_says():
    held = 0
    for seed in range(80):
        low, high = foretold(experiment(seed), np.full(100, 0.35))  # beyond the rows
        held += low <= rejections(0.35) <= high
    assert 0.56 < held / 80 < 0.80


def test_an_uncertain_loss_widens_what_is_foretold(noisy):
    sure = foretold(noisy, np.full(200, 0.45))
    losses = 0.45 + 0.05 * np.random.default_rng(1).normal(size=500)
    unsure = foretold(noisy, losses)
    # 0.05 of the loss is a factor e^(9 0.05) of the rejection
    assert np.log(unsure[1] / unsure[0]) == pytest.approx(2 * 0.45, rel=0.2)
    assert sure[0] > unsure[0]
    assert sure[1] < unsure[1]


def test_a_limit_is_no_row(noisy):
    with pytest.raises(ValueError, match="error of row 1 is inf: for a limit"):
        rows(np.ones(2), np.ones(2), np.array([0.1, np.inf]))
    with pytest.raises(ValueError, match="needs draws"):
        foretold(replace(noisy, draws=None), np.ones(3))


def test_scatter_between_runs_is_found_and_none_where_there_is_none():
    """200 runs with errors of 5 %: alone, and with 20 % between runs on top."""
    rng = np.random.default_rng(5)
    loss, error = np.linspace(0.4, 1.1, 200), np.full(200, 0.05)
    noise = error * rng.normal(size=200)
    alone, _ = fit_rejection(loss, rejections(loss) * np.exp(noise), error)
    assert between(alone, error) < 0.02
    more = noise + 0.2 * rng.normal(size=200)
    law, _ = fit_rejection(loss, rejections(loss) * np.exp(more), error)
    assert between(law, error) == pytest.approx(0.2, rel=0.15)
    assert np.ptp(law.table["weight"]) < 1e-9


def test_scatter_between_runs_keeps_sharp_rows_from_deciding_alone():
    """Rows of small errors lie 30 % off at random: weighed by errors alone they bend
    the law; the planted one is found with what they scatter."""
    rng = np.random.default_rng(6)
    exact = rejections(LOSS)
    error = 0.01 * np.sqrt(exact / exact.min())
    values = exact * np.exp(0.3 * rng.normal(size=14))
    _, table = fit_rejection(LOSS, values, error)
    assert table["weight"].max() / table["weight"].min() < 1.5
    assert (error.max() / error.min()) ** 2 > 10


@pytest.mark.parametrize("passing", [0.1, 0.7, 2.0])
def test_what_stands_for_nothing_passed_holds_the_truth(passing):
    """Nothing passed of 1000 jets, of which few pass on average: R within its error."""
    R, error = unpassed(1000 / -np.log(1 - 0.68))
    assert abs(np.log(R * passing / 1000)) < error


def test_runs_that_let_nothing_pass_are_not_lost():
    """0.7 background jets pass on average, a Poisson number: without the runs of which
    none did, the mean log R is too low by more."""
    R, _ = unpassed(1000 / -np.log(1 - 0.68))
    passed = np.random.default_rng(0).poisson(0.7, 20_000)
    kept = np.where(passed == 0, R, 1000 / np.maximum(passed, 1))
    without = 1000 / passed[passed > 0]
    truth = np.log(1000 / 0.7)
    assert abs(np.mean(np.log(kept)) - truth) < abs(np.mean(np.log(without)) - truth)


@pytest.mark.slow
def test_background_jets_that_all_runs_share_are_in_the_interval():
    """Every run of a table counts the same 200,000 background jets, which pass by one
    uniform number each: no scatter shows their luck, the common error has to."""
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
            low, high = foretold(law, np.full(100, LOSS[0]), common)
            held[shared] += low <= rejections(LOSS[0]) <= high
    assert held[False] / 60 < 0.5
    assert held[True] / 60 > 0.6  # that of the best run is more than the law's
