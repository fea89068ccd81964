"""Sliced Wasserstein distances: of shifted Gaussians, by hand, and as POT has them."""

import numpy as np
import pytest

from jetlab.physics.wasserstein import (
    Truth,
    directions,
    distance,
    quantile_divergence,
    sliced_wasserstein,
)

RNG = np.random.default_rng(0)


def test_gaussians_that_are_shifted():
    """W_1 of shifted Gaussians is the shift along the direction; its mean over the
    sphere in five dimensions is 3/8 of the shift."""
    mean = 3 / 8
    x = RNG.normal(size=(40_000, 5))
    shift = np.array([1.2, 0, 0, 0, 0])
    found = sliced_wasserstein(x, x + shift, directions(5, 2000))
    assert found == pytest.approx(1.2 * mean, rel=0.03)


def test_one_dimension_by_hand():
    x, y = np.array([[0.0], [1.0]]), np.array([[5.0], [2.0]])
    assert sliced_wasserstein(x, y, np.array([[1.0]])) == 3.0
    assert sliced_wasserstein(x, y, np.array([[-1.0]]), p=2) == pytest.approx(
        np.sqrt((2**2 + 4**2) / 2)
    )


@pytest.mark.parametrize("p", [1, 2])
def test_it_is_that_of_pot(p):
    ot = pytest.importorskip("ot")
    x, y = RNG.normal(size=(500, 5)), RNG.exponential(size=(500, 5))
    along = directions(5, 50)
    other = ot.sliced_wasserstein_distance(x, y, projections=along.T, p=p)
    assert sliced_wasserstein(x, y, along, p) == pytest.approx(other, rel=1e-12)


def test_a_sample_of_the_truth_is_as_far_as_the_truth_from_itself():
    truth = Truth.of(RNG.normal(3.0, [1, 10, 100], size=(4000, 3)))
    same = RNG.normal(3.0, [1, 10, 100], size=(2000, 3))
    found = distance(truth, same, count=200)
    assert found.value == pytest.approx(found.floor, abs=4 * found.floor_error)
    other = distance(truth, same + np.eye(3)[0], count=200)
    assert other.value > other.floor + 10 * other.floor_error
    assert other.value == pytest.approx(0.5, abs=0.1)  # mean |theta_1| in 3 dimensions


def test_floors_fall_with_the_square_root_of_the_jets():
    """1.8 / sqrt(n) in five dimensions, of standardised Gaussians."""
    truth = Truth.of(RNG.normal(size=(8000, 5)))
    few, many = (
        distance(truth, RNG.normal(size=(n, 5)), count=400).floor for n in (500, 2000)
    )
    assert few == pytest.approx(1.8 / np.sqrt(500), rel=0.2)
    assert few / many == pytest.approx(2, rel=0.2)


def test_the_error_is_the_scatter_of_repeated_samples():
    found = []
    for _ in range(60):
        truth = Truth.of(RNG.normal(size=(1000, 2)))
        made = RNG.normal(0.5, 1, size=(400, 2))
        found.append(distance(truth, made, count=50))
    scatter = np.std([one.value for one in found])
    assert np.mean([one.error for one in found]) == pytest.approx(scatter, rel=0.4)


def test_divergence_of_shares_known_by_hand():
    truth = np.arange(1000.0)
    assert quantile_divergence(truth, truth, bins=4) == pytest.approx(0, abs=1e-5)
    half = truth[truth < 500]  # nothing in the upper two bins of four
    q = np.array([250.5, 250.5, 0.5, 0.5]) / 502
    assert quantile_divergence(truth, half, bins=4) == pytest.approx(
        (0.25 * np.log(0.25 / q)).sum(), rel=1e-6
    )


def test_samples_that_cannot_be_compared():
    x = np.zeros((20, 2))
    with pytest.raises(ValueError, match="take equally many jets"):
        sliced_wasserstein(x, x[:10], directions(2, 3))
    one_bad = np.where(np.arange(20)[:, None] == 3, np.nan, x)
    with pytest.raises(ValueError, match="1 jets of the second sample are not finite"):
        sliced_wasserstein(x, one_bad, directions(2, 3))
    with pytest.raises(ValueError, match="1 jets of the truth sample are not finite"):
        Truth.of(one_bad)
    with pytest.raises(ValueError, match="1 jets of the second sample are not finite"):
        quantile_divergence(x[:, 0], one_bad[:, 0])
    with pytest.raises(ValueError, match="one value in all jets"):
        Truth.of(x)
    with pytest.raises(ValueError, match="at least 10"):
        distance(Truth.of(RNG.normal(size=(100, 2))), x[:5])
