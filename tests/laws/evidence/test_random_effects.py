"""Variances between and within clusters, against balanced analysis of variance."""

import numpy as np
import pytest
from scipy.stats import chi2

from jetlab.laws.evidence.random_effects import RandomEffects, effects_of
from jetlab.laws.fitting.information import Linearised

IDS = np.repeat(np.arange(200), 5)


def linearised(r, jacobian):
    k = jacobian.shape[1]
    return Linearised(r, jacobian, np.zeros(k), np.eye(k))


def test_planted_variances_are_found():
    """200 clusters of 5 rows: between 4, within 1; errors of a variance are 10 %."""
    rng = np.random.default_rng(0)
    r = 2 * rng.normal(size=200)[IDS] + rng.normal(size=1000)
    found = effects_of(linearised(r - r.mean(), np.ones((1000, 1))), IDS)
    assert found is not None
    assert found.between == pytest.approx(4, rel=0.25)
    assert found.within == pytest.approx(1, rel=0.12)
    assert found.freedom == pytest.approx(199)


def test_a_column_within_clusters_takes_no_freedom_between_them():
    """Of six trajectories: a constant and a slope in N are between, one in D within."""
    ids = np.repeat(np.arange(6), 8)
    D = np.tile(np.linspace(-1, 1, 8), 6)
    jacobian = np.stack([np.ones(48), ids - 2.5, D], axis=1)
    r = np.random.default_rng(1).normal(size=48)
    found = effects_of(linearised(r, jacobian), ids)
    assert found is not None
    assert found.freedom == pytest.approx(4)


def test_rows_of_their_own_have_the_variance_of_least_squares():
    r = np.array([1.0, -1.0, 2.0, -2.0])
    found = effects_of(linearised(r, np.ones((4, 1))), np.arange(4))
    assert found == (pytest.approx(np.arange(4)), 0.0, pytest.approx(10 / 3), 3)


@pytest.mark.parametrize("clusters", [1, 2])
def test_no_freedom_no_variance(clusters):
    ids = np.arange(12) % clusters
    jacobian = np.stack([np.ones(12), np.linspace(0, 1, 12)], axis=1)
    assert effects_of(linearised(np.ones(12), jacobian), ids) is None


def test_simulated_scatter_has_the_variances():
    ids = np.repeat([0, 1, 2], 4)
    drawn = RandomEffects(ids, 4.0, 1.0, 2.0).drawn(np.random.default_rng(0), 20000)
    covariance = np.cov(drawn.T)
    expected = 4.0 * (ids[:, None] == ids) + np.eye(12)
    np.testing.assert_allclose(covariance, expected, atol=0.2)


def test_whitened_scatter_has_unit_variance():
    effects = RandomEffects(np.repeat([0, 1, 2], [2, 3, 4]), 4.0, 1.0, 2.0)
    drawn = effects.drawn(np.random.default_rng(0), 5000)
    white = effects.whitened(drawn.T)
    total = np.sum(white**2, axis=0)
    np.testing.assert_allclose(np.cov(white), np.eye(9), atol=0.1)
    assert np.mean(total > chi2.ppf(0.9, 9)) == pytest.approx(0.1, abs=0.02)
