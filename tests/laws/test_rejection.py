"""R(L): planted A, B and C come back, and intervals join both uncertainties."""

from dataclasses import replace

import numpy as np
import pytest

from jetlab.laws import forms
from jetlab.laws.fit import fit
from jetlab.laws.intervals.bootstrap import bootstrap
from jetlab.laws.misfit import SQUARES
from jetlab.laws.rejection import foretold, rejection_at, rows

PLANTED = {"A": 2e5, "B": 9.0, "C": 40.0}
LOSS = np.linspace(0.4, 1.1, 14)


def rejections(loss):
    return PLANTED["A"] * np.exp(-PLANTED["B"] * loss) + PLANTED["C"]


def fitted(table):
    return fit(forms.rejection, table, misfit=SQUARES, weight="weight")


def test_exact_rows_give_back_what_was_planted():
    law = fitted(rows(LOSS, rejections(LOSS), np.full(14, 0.05)))
    assert law.identified
    assert law.params == pytest.approx(PLANTED, rel=1e-6)
    assert rejection_at(law, np.array([0.3]))[0] == pytest.approx(rejections(0.3))


def experiment(seed):
    """Errors grow with the rejection, as fewer background jets are left."""
    exact = rejections(LOSS)
    error = 0.02 * np.sqrt(exact / exact.min())
    noise = error * np.random.default_rng(seed).normal(size=14)
    table = rows(LOSS, exact * np.exp(noise), error)
    law = fitted(table)
    return replace(law, draws=bootstrap(law, table, draws=100))


@pytest.fixture(scope="module")
def noisy():
    return experiment(0)


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
    with pytest.raises(ValueError, match="error of row 1 is inf: leave limits out"):
        rows(np.ones(2), np.ones(2), np.array([0.1, np.inf]))
    with pytest.raises(ValueError, match="needs draws"):
        foretold(replace(noisy, draws=None), np.ones(3))
