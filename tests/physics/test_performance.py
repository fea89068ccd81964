"""Numbers of a tagger whose scores have a known distribution."""

import numpy as np
import pytest
from scipy.stats import norm

from jetlab.physics.performance import EFFICIENCIES, performance, working_point

SHIFTS = {"Hbb": 2.0, "Tbl": 3.0}


@pytest.fixture(scope="module")
def normal():
    """Log-odds of each signal against QCD: standard normal for QCD jets, shifted for
    its own; of 300,000 jets."""
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], 100_000)
    logits = np.zeros((len(labels), 3))
    for label, shift in enumerate(SHIFTS.values(), start=1):
        logits[:, label] = rng.normal(size=len(labels)) + shift * (labels == label)
    return performance(logits, labels, ("QCD", *SHIFTS))


@pytest.mark.parametrize("signal", SHIFTS)
@pytest.mark.parametrize("efficiency", [0.3, 0.5, 0.9, 0.995])
def test_rejections_are_those_of_two_normal_distributions(normal, signal, efficiency):
    """A threshold at the quantile of the signal lets Phi(-t) of the background pass."""
    expected = 1 / norm.sf(SHIFTS[signal] - norm.ppf(efficiency))
    found = normal.rejections[signal, efficiency]
    # twice the 68 % interval on either side
    assert found.low**2 / found.value < expected < found.high**2 / found.value


def test_every_class_but_the_background_has_every_efficiency(normal):
    assert set(normal.rejections) == {(s, e) for s in SHIFTS for e in EFFICIENCIES}


def test_a_lepton_moves_the_working_point():
    assert [working_point(name) for name in ("Hbb", "Hqql", "Tbl")] == [
        0.5,
        0.99,
        0.995,
    ]
    assert {working_point(name) for name in ("Hbb", "Hqql", "Tbl")} < set(EFFICIENCIES)


def test_scores_shared_by_all_are_numbers_of_chance():
    labels = np.repeat(np.arange(3), 50)
    found = performance(np.zeros((150, 3)), labels, ("QCD", "Hbb", "Tbl"))
    assert found.accuracy == pytest.approx(1 / 3)
    assert found.auc == 0.5
    assert {r.value for r in found.rejections.values()} == {1.0}


def test_classes_without_a_background_have_no_rejections():
    labels = np.repeat(np.arange(3), 50)
    found = performance(np.eye(3)[labels], labels, ("a", "b", "c"))
    assert (found.accuracy, found.auc, found.rejections) == (1.0, 1.0, {})
