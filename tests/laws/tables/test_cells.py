"""Means over seeds and their weights."""

import numpy as np
import pytest
from scipy.special import polygamma

from jetlab.laws.fitting.misfit import HUBER, SQUARES
from jetlab.laws.tables.cells import cell_means, shrunk_variance, weights


def seeded(sigma, seeds, rng):
    """Cells of loss 1 with a scatter and a number of seeds each."""
    cell = np.repeat(np.arange(len(seeds)), seeds)
    noise = np.exp(sigma[cell] * rng.normal(size=len(cell)))
    return {"N": cell + 1.0, "D": np.full(len(cell), 2.0), "L": noise}


def test_cells_are_averaged_and_counted():
    table = {
        "N": np.array([2.0, 1.0, 2.0]),
        "D": np.array([5.0, 5.0, 5.0]),
        "L": np.array([1.0, 4.0, 3.0]),
        "C": np.array([7.0, 8.0, 9.0]),
    }
    cells = cell_means(table)
    np.testing.assert_array_equal(cells["N"], [1, 2])
    np.testing.assert_array_equal(cells["L"], [4, 2])
    np.testing.assert_array_equal(cells["C"], [8, 8])
    np.testing.assert_array_equal(cells["seeds"], [1, 2])
    sigma = np.log(3) / np.sqrt(2)  # of the one pair, which the other cell borrows
    np.testing.assert_allclose(cells["error"], [sigma, sigma / np.sqrt(2)])


def test_variances_are_shrunk_by_the_prior_of_their_spread():
    """(d0 s0^2 + d s^2) / (d0 + d), d0 by the spread of log s^2 beyond trigamma(d/2):
    chosen here so that trigamma(d0/2) is trigamma(2), d0 = 4, and digamma terms of
    equal d and d0 cancel, s0^2 = exp(mean log s^2)."""
    half = np.sqrt((polygamma(1, 2) + polygamma(1, 2)) / 2)  # of two values: ddof 1
    variance = np.exp([1 - half, 1 + half])
    freedom = np.array([4, 4])
    found = shrunk_variance(4 * variance, freedom)
    np.testing.assert_allclose(found, (4 * np.e + 4 * variance) / 8, rtol=2e-3)
    alike = shrunk_variance(np.array([4.0, 4.4]), freedom)  # less than chance spreads
    np.testing.assert_allclose(alike, 8.4 / 8)


def test_equal_scatter_is_found_from_pairs():
    rng = np.random.default_rng(0)
    seeds = np.where(np.arange(400) % 4, 2, 1)
    cells = cell_means(seeded(np.full(400, 0.02), seeds, rng))
    np.testing.assert_allclose(cells["error"] * np.sqrt(seeds), 0.02, rtol=0.1)


def test_shrunk_weights_beat_equal_ones_and_the_cells_own():
    """Sigmas over a decade, three seeds: the scatter of the weighted mean of log L."""
    rng = np.random.default_rng(1)
    sigma, seeds = np.geomspace(0.003, 0.03, 30), np.full(30, 3)
    means = {"equal": [], "own": [], "shrunk": []}
    for _ in range(100):
        table = seeded(sigma, seeds, rng)
        cells, logs = cell_means(table), np.log(table["L"]).reshape(30, 3)
        ours = {
            "equal": np.ones(30),
            "own": logs.var(axis=1) ** -1,
            "shrunk": weights(cells, SQUARES),
        }
        for name, weight in ours.items():
            means[name].append(np.average(logs.mean(axis=1), weights=weight))
    scatter = {name: np.std(values) for name, values in means.items()}
    assert scatter["shrunk"] < 0.85 * min(scatter["equal"], scatter["own"])


def test_weights_follow_the_likelihood_and_the_floor():
    cells = {"error": np.array([0.01, 0.02])}
    first, second = weights(cells, SQUARES)
    assert first / second == pytest.approx(4)
    first, second = weights(cells, HUBER)
    assert first / second == pytest.approx(2)
    first, second = weights(cells, SQUARES, floor=1.0)
    assert first / second == pytest.approx(1, abs=1e-3)


def test_seeds_without_a_scatter_are_refused():
    table = {"N": np.array([1.0, 2.0]), "D": np.ones(2), "L": np.ones(2)}
    cells = cell_means(table)
    assert np.isnan(cells["error"]).all()
    with pytest.raises(ValueError, match="no cell has two different losses"):
        weights(cells, SQUARES)
    with pytest.raises(ValueError, match="no column D"):
        cell_means({"N": np.ones(1), "L": np.ones(1)})
