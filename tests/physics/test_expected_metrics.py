"""Metrics over jets of a known posterior: by hand, in closed form, and as the mean over
drawn labels."""

import numpy as np
import pytest
from scipy.special import softmax
from scipy.stats import norm

from jetlab.physics.expected_metrics import (
    expected_accuracy,
    expected_macro_auc,
    expected_performance,
    expected_rejection,
)
from jetlab.physics.metrics import performance

SHIFT = 2.0
CLASSES = ("QCD", "Hbb", "Tbl")


def two_normals(rng, count):
    """Jets of two classes, equally likely, with scores of unit width, SHIFT apart: the
    score and the exact posterior."""
    score = rng.normal(size=count) + SHIFT * rng.integers(0, 2, count)
    logits = np.stack([np.zeros(count), SHIFT * score - SHIFT**2 / 2], axis=1)
    return score, softmax(logits, axis=1)


def three_classes(count, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, 3)), softmax(2 * rng.normal(size=(count, 3)), axis=1)


@pytest.mark.parametrize("efficiency", [0.1, 0.5, 0.9])
def test_rejection_of_two_normals_and_the_coverage_of_its_interval(efficiency):
    rng = np.random.default_rng(1)
    true, covered, off = 1 / norm.sf(SHIFT + norm.isf(efficiency)), 0, []
    for _ in range(400):
        score, p = two_normals(rng, 1000)
        found = expected_rejection(score, p[:, 1], p[:, 0], efficiency)
        assert found.high is not None
        covered += found.low <= true <= found.high
        off.append(np.log(found.value / true))
    assert 0.61 < covered / 400 < 0.75
    assert np.mean(off) == pytest.approx(0, abs=0.03)
    assert np.std(off) < 0.2  # 1,937 at 0.1, from 500 jets of the background


def test_accuracy_and_auc_of_two_normals():
    score, p = two_normals(np.random.default_rng(2), 50_000)
    logits = np.stack([0 * score, score], axis=1)
    better = norm.cdf(SHIFT / np.sqrt(2))
    assert expected_macro_auc(logits, p) == pytest.approx(better, abs=0.002)
    assert expected_accuracy(np.log(p), p) == pytest.approx(
        norm.cdf(SHIFT / 2), abs=0.003
    )


def test_certain_jets_give_the_metrics_of_their_labels():
    logits, p = three_classes(600)
    labels = p.argmax(axis=1)
    found = expected_performance(logits, np.eye(3)[labels], CLASSES)
    of_labels = performance(logits, labels, CLASSES)
    assert found.accuracy == of_labels.accuracy
    assert found.auc == pytest.approx(of_labels.auc)
    assert found.rejections.keys() == of_labels.rejections.keys()
    for what, one in of_labels.rejections.items():
        assert found.rejections[what].value == pytest.approx(one.value)


def test_a_threshold_in_a_steep_background_gives_a_finite_limit():
    """The signal's own error reaches over a step of the background by a factor 1e6."""
    score = np.arange(1000.0)
    signal = np.select([score >= 995, score >= 990], [1.0, 0.9], 1e-9)
    background = np.select([score >= 995, score >= 990], [1e-9, 0.1], 1.0)
    found = expected_rejection(score, signal, background, 0.5)
    assert found.high is None
    assert 10 < found.value < 1e5


def test_a_background_that_never_passes_gives_the_limit_of_its_labels():
    """No jet of 500 passes: at most 1.14 do at 68 %."""
    signal = np.repeat([0.0, 1.0], 500)
    found = expected_rejection(signal, signal, 1 - signal, 0.5)
    assert found == (found.value, found.value, None)
    assert found.value == pytest.approx(500 / -np.log(0.32), rel=0.01)


def test_a_rejection_that_one_jet_decides_is_a_limit():
    """Scores far apart, but one jet among the signal may be background."""
    signal = np.repeat([0.0, 1.0], 500)
    signal[-1] = 0.5
    found = expected_rejection(np.repeat([0.0, 1.0], 500), signal, 1 - signal, 1.0)
    assert found.high is None
    assert 250 < found.value < 450


def test_it_is_the_mean_over_drawn_labels():
    logits, p = three_classes(400)
    rng, drawn = np.random.default_rng(3), []
    for _ in range(300):
        labels = (rng.random((400, 1)) > p.cumsum(axis=1)).sum(axis=1)
        one = performance(logits, labels, CLASSES)
        drawn.append([one.accuracy, one.auc, 1 / one.rejections["Hbb", 0.5].value])
    found = expected_performance(logits, p, CLASSES)
    expected = [found.accuracy, found.auc, 1 / found.rejections["Hbb", 0.5].value]
    error = np.std(drawn, axis=0) / np.sqrt(300)
    assert np.all(np.abs(np.mean(drawn, axis=0) - expected) < 4 * error + 1e-3)


def test_few_signal_jets_widen_the_interval():
    """Of 20,000 background jets hundreds pass: six signal jets move the threshold."""
    rng, covered = np.random.default_rng(5), 0
    true = 1 / norm.sf(SHIFT)
    for _ in range(100):
        score = np.concatenate([rng.normal(size=20_000), SHIFT + rng.normal(size=6)])
        signal = np.repeat([0.0, 1.0], [20_000, 6])
        found = expected_rejection(score, signal, 1 - signal, 0.5)
        covered += found.low <= true <= (found.high or np.inf)
    assert covered > 55


@pytest.mark.parametrize(
    ("score", "efficiency", "match"),
    [(np.nan, 0.5, "1 jets are NaN"), (0.0, 2.0, "not in"), (0.0, 0.0, "not in")],
)
def test_scores_and_efficiencies_that_cannot_be(score, efficiency, match):
    p = np.full(3, 0.5)
    with pytest.raises(ValueError, match=match):
        expected_rejection(np.array([score, 1.0, 2.0]), p, p, efficiency)


def test_a_class_that_no_jet_has_is_named():
    p = np.array([[0.5, 0.5, 0.0]] * 4)
    with pytest.raises(ValueError, match="class 2 has no jets"):
        expected_performance(np.zeros((4, 3)), p, CLASSES)


def test_equal_scores_count_half_in_the_auc_and_pass_together():
    p = np.array([[0.5, 0.5], [0.2, 0.8], [0.9, 0.1]])
    assert expected_macro_auc(np.zeros((3, 2)), p) == pytest.approx(0.5)
    assert expected_rejection(np.zeros(3), p[:, 1], p[:, 0], 0.3).value == 1


def test_without_the_background_there_are_no_rejections():
    found = expected_performance(*three_classes(50), ("a", "b", "c"))
    assert not found.rejections
