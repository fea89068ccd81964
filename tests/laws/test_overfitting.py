"""The overfitting threshold: curves of known course, and a planted boundary."""

import numpy as np
import pytest
from scipy.optimize import minimize

from jetlab.laws.overfitting import classify_curve, overfitting_threshold

TIME = np.linspace(0, 1, 40)


def curve(rise=0.0, fall=0.0, noise=0.002, seed=0):
    """A steep start, then a plateau, a rise or a fall in the second half."""
    smooth = 0.7 + 0.5 * np.exp(-12 * TIME)
    late = np.maximum(TIME - 0.5, 0) * 2
    scatter = noise * np.random.default_rng(seed).normal(size=40)
    return smooth + rise * late - fall * late + scatter


@pytest.mark.parametrize("seed", range(5))
def test_a_rise_a_plateau_and_a_fall_are_classified(seed):
    assert classify_curve(curve(rise=0.02, seed=seed)) == "overfits"
    assert classify_curve(curve(seed=seed)) == "underfits"
    assert classify_curve(curve(fall=0.02, seed=seed)) == "undecided"


def test_noise_is_no_rise():
    """Of 200 noisy plateaus hardly one is classified as overfitting."""
    found = [classify_curve(curve(noise=0.02, seed=seed)) for seed in range(200)]
    assert found.count("overfits") <= 8


@pytest.mark.parametrize(("change", "significant"), [(6.9e-4, False), (7.1e-4, True)])
def test_changes_below_a_thousandth_of_the_loss_are_neglected(change, significant):
    """Both sides of it, for curves without noise that end on steps of this height."""
    flat, late = np.full(40, 0.7), np.arange(40) >= 37
    rise = classify_curve(flat + change * late)
    assert rise == ("overfits" if significant else "underfits")
    fall = classify_curve(flat + change * (0.7 / (0.7 - change)) * ~late)
    assert fall == ("undecided" if significant else "underfits")


@pytest.mark.parametrize(
    ("factor", "expected"), [(0.98, "underfits"), (1.02, "overfits")]
)
def test_a_rise_counts_beyond_three_standard_errors(factor, expected):
    """Losses that alternate by +-s have second differences of 4 s: noise 1.4826 4 s /
    sqrt 6, and averages of three that alternate by s / 3."""
    s = 0.01
    error = 1.4826 * 4 * s / np.sqrt(6) * np.sqrt(2 / 3)
    losses = 0.7 + s * (-1.0) ** np.arange(41)
    losses[-3:] += 3 * error * factor - 2 * s / 3  # the last average is a high one
    averages = np.convolve(losses, np.ones(3) / 3, "valid")
    assert averages[-1] - averages.min() == pytest.approx(3 * error * factor)
    assert classify_curve(losses) == expected


def test_a_curve_shorter_than_four_windows_is_undecided():
    rising = 0.7 + np.maximum(np.arange(12) - 7, 0) * 0.1
    assert classify_curve(rising) == "overfits"
    assert classify_curve(rising[1:]) == "undecided"
    assert classify_curve(rising, window=4) == "undecided"


LARGE = np.geomspace(1e3, 1e7, 9)


def grid(width=0.0, seed=0):
    """Runs over N and D; models overfit above N = 20 D^0.5, with a logistic probability
    of `width` e-folds in N."""
    n, d = (a.ravel() for a in np.meshgrid(LARGE, LARGE))
    above = np.log(n) - np.log(20) - 0.5 * np.log(d)
    noise = np.random.default_rng(seed).logistic(size=len(n))
    found = ["overfits" if a > 0 else "underfits" for a in above + width * noise]
    return n, d, found


def test_a_boundary_that_separates_the_runs_is_found_within_the_grid():
    """Nothing between two neighbours of the grid is known: sqrt(10) / 2 either way."""
    found = overfitting_threshold(*grid())
    assert found.exponent == pytest.approx(0.5, abs=0.05)
    np.testing.assert_allclose(
        np.log(found.size(LARGE)), np.log(20 * LARGE**0.5), atol=np.log(10) / 4
    )
    assert sum(found.runs) == 81


def test_the_line_maximises_the_likelihood_with_jeffreys_prior():
    """Firth's estimate by direct maximisation of log L + log |X^T W X| / 2."""
    n, d, classes = grid(width=0.7)
    y = np.array([one == "overfits" for one in classes])
    X = np.stack([np.ones(81), np.log(n) - 11.5, np.log(d) - 11.5], axis=1)

    def loss(beta):
        p = 1 / (1 + np.exp(-X @ beta))
        _, log_det = np.linalg.slogdet(X.T @ (X * (p * (1 - p))[:, None]))
        return -np.sum(np.log(np.where(y, p, 1 - p))) - log_det / 2

    b = minimize(loss, np.zeros(3), method="Nelder-Mead", options={"xatol": 1e-9}).x
    found = overfitting_threshold(n, d, classes, draws=2)
    assert found.exponent == pytest.approx(-b[2] / b[1], rel=1e-4)
    log_k = -b[0] / b[1] + 11.5 * (1 + b[2] / b[1])
    assert np.log(found.k) == pytest.approx(log_k, rel=1e-4)
    assert found.runs == (int((~y).sum()), int(y.sum()))


def test_intervals_hold_a_planted_boundary_as_often_as_they_claim():
    held = []
    for seed in range(60):
        found = overfitting_threshold(*grid(width=0.7, seed=seed), draws=200)
        low, high = found.intervals["exponent"]
        held.append(low <= 0.5 <= high)
    assert 0.53 < np.mean(held) < 0.84


def test_the_band_holds_the_line_and_is_narrowest_amid_the_runs():
    found = overfitting_threshold(*grid(width=0.7), draws=200)
    low, high = np.log(found.band(np.array([1e1, 1e5, 1e9])))
    assert np.all(high > low)
    assert np.argmin(high - low) == 1


def test_undecided_runs_are_left_out_and_counted():
    n, d, classes = grid()
    classes[:3] = ["undecided"] * 3
    found = overfitting_threshold(n, d, classes, draws=50)
    without = overfitting_threshold(n[3:], d[3:], classes[3:], draws=50)
    assert (found.k, found.exponent) == (without.k, without.exponent)
    assert sum(found.runs) == 78
    assert "3 runs undecided" in found.message


def test_draws_without_a_threshold_are_counted():
    """Some resamples of four runs lack a class or overfit less at larger N."""
    n, d = np.array([1e3, 1e4, 1e5, 1e6]), np.array([1e4, 1e3, 1e5, 1e3])
    classes = ["underfits", "overfits", "underfits", "overfits"]
    found = overfitting_threshold(n, d, classes, draws=200)
    kept = len(found.draws["exponent"])
    assert 0 < kept < 200
    assert f"{200 - kept} of 200 draws have no threshold" in found.message


def test_resamples_of_one_class_are_left_out():
    """Eight runs separated in N: nearly every resample with both has a threshold."""
    n, d = np.geomspace(1e3, 1e6, 8), np.tile([1e3, 1e4], 4)
    for over in ([6, 7], [2, 3, 4, 5, 6, 7]):
        classes = ["overfits" if i in over else "underfits" for i in range(8)]
        found = overfitting_threshold(n, d, classes, draws=200)
        times = np.random.default_rng(0).multinomial(8, np.full(8, 1 / 8), 200)
        count = times[:, over].sum(axis=1)
        both = np.sum((count > 0) & (count < 8))
        assert both - 3 <= len(found.draws["exponent"]) <= both


def test_runs_without_a_threshold():
    n, d, classes = grid()
    with pytest.raises(ValueError, match="no run underfits"):
        overfitting_threshold(n, d, ["overfits"] * 81)
    with pytest.raises(ValueError, match="no run overfits"):
        overfitting_threshold(n, d, ["underfits"] * 81)
    with pytest.raises(ValueError, match="D is 1000 in every run"):
        overfitting_threshold(n, np.full(81, 1e3), classes)
    with pytest.raises(ValueError, match="larger models do not overfit more"):
        overfitting_threshold(1e10 / n, d, classes)
