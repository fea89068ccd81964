"""The overfitting threshold: curves whose course is known, and a planted boundary."""

import numpy as np
import pytest

from jetlab.laws.overfitting import threshold, verdict

TIME = np.linspace(0, 1, 40)


def curve(rise=0.0, fall=0.0, noise=0.002, seed=0):
    """A steep start, then a plateau, a rise or a fall in the second half."""
    smooth = 0.7 + 0.5 * np.exp(-12 * TIME)
    late = np.maximum(TIME - 0.5, 0) * 2
    scatter = noise * np.random.default_rng(seed).normal(size=40)
    return smooth + rise * late - fall * late + scatter


@pytest.mark.parametrize("seed", range(5))
def test_a_rise_a_plateau_and_a_fall_are_told_apart(seed):
    assert verdict(curve(rise=0.02, seed=seed)) == "overfits"
    assert verdict(curve(seed=seed)) == "underfits"
    assert verdict(curve(fall=0.02, seed=seed)) == "undecided"


def test_noise_is_no_rise():
    """Of 200 noisy plateaus hardly one is said to overfit."""
    said = [verdict(curve(noise=0.02, seed=seed)) for seed in range(200)]
    assert said.count("overfits") <= 8


def test_a_rise_below_a_thousandth_is_none():
    assert verdict(curve(rise=5e-4, noise=0.0)) == "underfits"


def test_a_short_curve_says_nothing():
    assert verdict(curve()[:11]) == "undecided"


def grid(width=0.0, seed=0):
    """Runs over N and D; models overfit above N = 20 D^0.5, with chances that go over
    within `width` e-folds of N."""
    n, d = (a.ravel() for a in np.meshgrid(np.geomspace(1e3, 1e7, 9), LARGE))
    above = np.log(n) - np.log(20) - 0.5 * np.log(d)
    luck = np.random.default_rng(seed).logistic(size=len(n))
    said = ["overfits" if a > 0 else "underfits" for a in above + width * luck]
    return n, d, said


LARGE = np.geomspace(1e3, 1e7, 9)


def test_a_boundary_that_parts_the_runs_is_found_within_the_grid():
    """Nothing between two neighbours of the grid is told: sqrt(10) / 2 either way."""
    found = threshold(*grid())
    assert found.exponent == pytest.approx(0.5, abs=0.05)
    np.testing.assert_allclose(
        np.log(found.size(LARGE)), np.log(20 * LARGE**0.5), atol=np.log(10) / 4
    )
    assert sum(found.runs) == 81


def test_intervals_hold_a_planted_boundary_as_often_as_they_say():
    held = []
    for seed in range(60):
        found = threshold(*grid(width=0.7, seed=seed), draws=200)
        low, high = found.intervals["exponent"]
        held.append(low <= 0.5 <= high)
    assert 0.53 < np.mean(held) < 0.84


def test_the_band_holds_the_line_and_is_narrowest_amid_the_runs():
    found = threshold(*grid(width=0.7), draws=200)
    low, high = np.log(found.band(np.array([1e1, 1e5, 1e9])))
    assert np.all(high > low)
    assert np.argmin(high - low) == 1


def test_undecided_runs_are_counted():
    n, d, said = grid()
    said[:3] = ["undecided"] * 3
    found = threshold(n, d, said, draws=50)
    assert sum(found.runs) == 78
    assert "3 runs undecided" in found.message


def test_what_has_no_threshold():
    n, d, said = grid()
    with pytest.raises(ValueError, match="no run underfits"):
        threshold(n, d, ["overfits"] * 81)
    with pytest.raises(ValueError, match="D is 1000 in every run"):
        threshold(n, np.full(81, 1e3), said)
    with pytest.raises(ValueError, match="larger models do not overfit more"):
        threshold(1e10 / n, d, said)
