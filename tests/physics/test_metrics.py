"""Metrics of scores whose distributions are known, and by hand."""

import numpy as np
import pytest
from scipy.stats import beta, norm

from jetlab.physics.metrics import (
    EFFICIENCIES,
    accuracy,
    auc,
    macro_auc,
    performance,
    rejection,
    roc,
    score,
    working_point,
)

SHIFT = 2.0
SHIFTS = {"Hbb": 2.0, "Tbl": 3.0}


@pytest.fixture(scope="module")
def normal():
    """Scores of unit width, signal SHIFT above background: TPR = Phi(SHIFT - t)."""
    rng = np.random.default_rng(0)
    return SHIFT + rng.normal(size=50_000), rng.normal(size=200_000)


def test_roc_of_two_normal_distributions(normal):
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
def test_rejection_of_two_normal_distributions(normal, efficiency):
    true = 1 / norm.sf(SHIFT + norm.isf(efficiency))
    found = rejection(normal[0], normal[1], efficiency)
    assert found.low < found.value < found.high
    assert found.value == pytest.approx(true, rel=0.05)


def test_intervals_have_their_coverage():
    """Over 400 experiments; both sample sizes contribute to the interval."""
    rng = np.random.default_rng(1)
    true = 1 / norm.sf(SHIFT)
    covered = 0
    for _ in range(400):
        found = rejection(SHIFT + rng.normal(size=500), rng.normal(size=20_000), 0.5)
        covered += found.low <= true <= found.high
    assert 0.62 < covered / 400 < 0.76


def test_the_interval_is_the_quadratic_sum_of_both_errors():
    """Signal 1 to 100, so that an efficiency e has the threshold 101 - 100 e; of the
    1000 background jets 20, 30 and 40 pass at e = 0.45, 0.5 and 0.55."""
    signal = np.arange(1.0, 101.0)
    background = np.repeat([60.0, 54.0, 47.0, 0.0], [20, 10, 10, 960])
    found = rejection(signal, background, 0.5)
    assert (found.passed, found.threshold) == (30, 51.0)
    assert found.value == pytest.approx(1000 / 30)
    low, high = beta.ppf(0.16, 30, 971), beta.ppf(0.84, 31, 970)
    down = np.hypot(np.log(high / 0.03), np.log(40 / 30))
    up = np.hypot(np.log(low / 0.03), np.log(20 / 30))
    assert found.low == pytest.approx(found.value * np.exp(-down))
    assert found.high == pytest.approx(found.value * np.exp(up))


def test_without_background_jets_the_rejection_is_a_lower_limit():
    found = rejection(np.full(100, 5.0), np.linspace(-1, 1, 1000), 0.5)
    assert found.is_limit
    assert found.high == np.inf
    # no jet of 1000 passes an efficiency p with probability (1 - p)^1000 = 0.32
    assert found.value == found.low == pytest.approx(1 / (1 - 0.32 ** (1 / 1000)))


def test_jets_at_the_threshold_pass():
    """Ties do not count as rejected: a constant score rejects nothing."""
    found = rejection(np.zeros(10), np.zeros(50), 0.5)
    assert found.value == 1
    assert auc(np.zeros(10), np.zeros(50)) == 0.5


def test_rejection_and_auc_counted_by_hand():
    signal = np.array([4.0, 3.0, 2.0, 1.0])
    background = np.array([3.5, 2.5, 0.5, 0.0, -1.0])
    assert rejection(signal, background, 0.5).value == 5  # 3.5 alone is above 3
    assert rejection(signal, background, 0.51).value == 2.5
    assert auc(signal, background) == (5 + 4 + 3 + 3) / 20


def test_scores_do_not_round_to_one():
    """p_1 / (p_0 + p_1) of both jets is 1 in float64; the log-odds differ."""
    logits = np.array([[0.0, 40.0], [0.0, 41.0]], np.float32)
    assert np.diff(score(logits, 1))[0] == 1


def test_macro_auc_and_accuracy_equal_scikit_learn():
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
def test_invalid_samples_are_refused(signal, background, efficiency, words):
    with pytest.raises(ValueError, match=words):
        rejection(np.array(signal), np.array(background), efficiency)


def test_macro_auc_refuses_a_class_without_jets():
    with pytest.raises(ValueError, match="class 2 has no jets"):
        macro_auc(np.eye(3), np.array([0, 1, 1]))


@pytest.fixture(scope="module")
def tagger():
    """Log-odds of each signal class: standard normal for other jets, shifted for jets
    of the class; 100,000 jets of each of three classes."""
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], 100_000)
    logits = np.zeros((len(labels), 3))
    for label, shift in enumerate(SHIFTS.values(), start=1):
        logits[:, label] = rng.normal(size=len(labels)) + shift * (labels == label)
    return performance(logits, labels, ("QCD", *SHIFTS))


@pytest.mark.parametrize("signal", SHIFTS)
@pytest.mark.parametrize("efficiency", [0.3, 0.5, 0.9, 0.995])
def test_rejections_of_a_tagger_with_normal_scores(tagger, signal, efficiency):
    """At the threshold t of the signal efficiency, Phi(-t) of the background passes."""
    expected = 1 / norm.sf(SHIFTS[signal] - norm.ppf(efficiency))
    found = tagger.rejections[signal, efficiency]
    # within twice the 68 % interval
    assert found.low**2 / found.value < expected < found.high**2 / found.value


def test_all_signal_classes_have_all_efficiencies(tagger):
    assert set(tagger.rejections) == {(s, e) for s in SHIFTS for e in EFFICIENCIES}


def test_classes_with_leptons_have_their_own_working_points():
    assert [working_point(name) for name in ("Hbb", "Hqql", "Tbl")] == [
        0.5,
        0.99,
        0.995,
    ]
    assert {working_point(name) for name in ("Hbb", "Hqql", "Tbl")} < set(EFFICIENCIES)


def test_constant_scores_give_the_metrics_of_chance():
    labels = np.repeat(np.arange(3), 50)
    found = performance(np.zeros((150, 3)), labels, ("QCD", "Hbb", "Tbl"))
    assert found.accuracy == pytest.approx(1 / 3)
    assert found.auc == 0.5
    assert {r.value for r in found.rejections.values()} == {1.0}


def test_classes_without_a_background_have_no_rejections():
    labels = np.repeat(np.arange(3), 50)
    found = performance(np.eye(3)[labels], labels, ("a", "b", "c"))
    assert (found.accuracy, found.auc, found.rejections) == (1.0, 1.0, {})
