"""Rejection, ROC and AUC on scores whose curves are known."""

import numpy as np
import pytest
from scipy.stats import norm

from jetlab.physics.metrics import (
    accuracy,
    auc,
    macro_auc,
    rejection,
    roc,
    score,
)

SHIFT = 2.0


@pytest.fixture(scope="module")
def normal():
    """Scores of unit width, signal SHIFT above background: TPR = Phi(SHIFT - t)."""
    rng = np.random.default_rng(0)
    return SHIFT + rng.normal(size=50_000), rng.normal(size=200_000)


def test_the_curve_is_that_of_two_normal_distributions(normal):
    curve = roc(*normal)
    at = np.searchsorted(-curve.threshold, -np.array([2.5, 1.0, -0.5]))
    np.testing.assert_allclose(
        curve.signal[at], norm.sf(np.array([2.5, 1.0, -0.5]) - SHIFT), atol=0.01
    )
    np.testing.assert_allclose(
        curve.background[at], norm.sf([2.5, 1.0, -0.5]), atol=0.005
    )
    assert curve.signal[-1] == curve.background[-1] == 1
    assert auc(*normal) == pytest.approx(norm.cdf(SHIFT / np.sqrt(2)), abs=0.002)


@pytest.mark.parametrize("efficiency", [0.3, 0.5, 0.99])
def test_rejection_is_the_known_one(normal, efficiency):
    true = 1 / norm.sf(SHIFT + norm.isf(efficiency))
    found = rejection(normal[0], normal[1], efficiency)
    assert found.low < found.value < found.high
    assert found.value == pytest.approx(true, rel=0.05)


def test_intervals_hold_the_truth_as_often_as_they_say():
    """400 experiments in which both samples matter."""
    rng = np.random.default_rng(1)
    true = 1 / norm.sf(SHIFT)
    held = 0
    for _ in range(400):
        found = rejection(SHIFT + rng.normal(size=500), rng.normal(size=20_000), 0.5)
        held += found.low <= true <= found.high
    assert 0.62 < held / 400 < 0.76


def test_without_a_background_jet_there_is_only_a_limit():
    found = rejection(np.full(100, 5.0), np.linspace(-1, 1, 1000), 0.5)
    assert found.is_limit
    assert found.high == np.inf
    # a share p lets none of 1000 pass with probability (1 - p)^1000 = 0.32
    assert found.value == found.low == pytest.approx(1 / (1 - 0.32 ** (1 / 1000)))


def test_jets_at_the_threshold_pass():
    """Ties may not make a tagger better: a constant score rejects nothing."""
    found = rejection(np.zeros(10), np.zeros(50), 0.5)
    assert found.value == 1
    assert auc(np.zeros(10), np.zeros(50)) == 0.5


def test_a_count_by_hand():
    signal = np.array([4.0, 3.0, 2.0, 1.0])
    background = np.array([3.5, 2.5, 0.5, 0.0, -1.0])
    assert rejection(signal, background, 0.5).value == 5  # 3.5 alone reaches 3
    assert rejection(signal, background, 0.51).value == 2.5
    assert auc(signal, background) == (5 + 4 + 3 + 3) / 20


def test_scores_do_not_round_to_one():
    """p_1 / (p_0 + p_1) of the two jets is 1 in float64; their order is kept."""
    logits = np.array([[0.0, 40.0], [0.0, 41.0]], np.float32)
    assert np.diff(score(logits, 1))[0] == 1


def test_of_several_classes_it_is_scikit_learns():
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 4, 3000)
    logits = rng.normal(size=(3000, 4)) + 1.5 * np.eye(4)[labels]
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    expected = metrics.roc_auc_score(labels, p, multi_class="ovo", average="macro")
    assert macro_auc(logits, labels) == pytest.approx(expected, abs=1e-12)
    expected = metrics.accuracy_score(labels, logits.argmax(axis=1))
    assert accuracy(logits, labels) == expected


@pytest.mark.parametrize(
    ("signal", "background", "efficiency", "words"),
    [
        ([], [1.0], 0.5, "no signal jets"),
        ([1.0], [], 0.5, "no background jets"),
        ([np.nan, 1.0], [1.0], 0.5, "1 signal scores are NaN"),
        ([1.0], [1.0], 0.0, "not in"),
        ([1.0], [1.0], 1.5, "not in"),
    ],
)
def test_what_has_no_rejection(signal, background, efficiency, words):
    with pytest.raises(ValueError, match=words):
        rejection(np.array(signal), np.array(background), efficiency)


def test_a_class_without_jets_has_no_auc():
    with pytest.raises(ValueError, match="no jet of class 2"):
        macro_auc(np.eye(3), np.array([0, 1, 1]))
