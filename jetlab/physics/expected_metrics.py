"""Metrics of a tagger over jets of which the probability of each class is known.

Every jet counts for every class with its probability, in place of for its label alone.
The expectation is that of `jetlab.physics.metrics` over the draw of the labels, without
the scatter of the draw: a background that one jet in a million resembles is measured by
the small probabilities of the jets that do.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from jetlab.physics.metrics import BACKGROUND, EFFICIENCIES, signal_scores
from jetlab.types import CONFIDENCE_LEVEL

NONE_PASSED = -float(np.log(1 - CONFIDENCE_LEVEL))
"""Upper limit of the expected number of jets of which none passed."""


FEWEST = 2
"""Jets among those that pass, as their variance counts them, that give a rejection."""


class ExpectedRejection(NamedTuple):
    """The inverse of the background efficiency, with its 68 % interval; without an
    upper end `value` and `low` are the lower limit at 68 %."""

    value: float
    low: float
    high: float | None


class ExpectedPerformance(NamedTuple):
    """Accuracy, macro one-versus-one AUC, and background rejections by (signal class,
    signal efficiency)."""

    accuracy: float
    auc: float
    rejections: dict[tuple[str, float], ExpectedRejection]


def expected_performance(
    logits: Float[np.ndarray, "n k"],
    posterior: Float[np.ndarray, "n k"],
    classes: Sequence[str],
) -> ExpectedPerformance:
    """All metrics of a tagger; no rejections if no class is the `BACKGROUND`.

    Args:
      logits: of each jet and class; they are compared, and need no normalisation.
      posterior: P(class | jet), rows of sum 1.
      classes: names of the columns.

    Raises:
      ValueError: for logits that are NaN, or a class that no jet has.
    """
    logits = np.asarray(logits, np.float64)
    _check(logits, posterior)
    return ExpectedPerformance(
        expected_accuracy(logits, posterior),
        expected_macro_auc(logits, posterior),
        _rejections(logits, posterior, classes) if BACKGROUND in classes else {},
    )


def _check(values: Float[np.ndarray, "n m"], weights: Float[np.ndarray, "n k"]) -> None:
    bad = int(np.isnan(values).any(axis=1).sum())
    if bad:
        raise ValueError(f"the outputs of {bad} jets are NaN")
    missing = np.flatnonzero(weights.sum(axis=0) <= 0)
    if missing.size:
        raise ValueError(f"class {missing[0]} has no jets: no metric is defined")


def expected_accuracy(
    logits: Float[np.ndarray, "n k"], posterior: Float[np.ndarray, "n k"]
) -> float:
    """Mean probability of the class with the largest logit."""
    chosen = np.argmax(logits, axis=1)
    return float(posterior[np.arange(len(chosen)), chosen].mean())


def expected_macro_auc(
    logits: Float[np.ndarray, "n k"], posterior: Float[np.ndarray, "n k"]
) -> float:
    """One-versus-one AUC, the mean over ordered pairs of classes, where the score of a
    pair is the probability of its first class (Hand and Till, Mach. Learn. 45 (2001)
    171). A jet is not compared with itself."""
    log_p = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
    classes, total = posterior.shape[1], posterior.sum(0)
    pairs = np.outer(total, total) - posterior.T @ posterior
    wins = np.stack([_wins(log_p[:, k], posterior, k) for k in range(classes)])
    return float((wins / pairs)[~np.eye(classes, dtype=bool)].mean())


def _wins(
    scores: Float[np.ndarray, "n"], posterior: Float[np.ndarray, "n k"], own: int
) -> Float[np.ndarray, "k"]:
    """Weight of the pairs of jets in which the one of class `own` scores higher than
    that of each other class; ties count half."""
    order = np.argsort(scores, kind="stable")
    rising, weight = scores[order], posterior[order]
    reached = np.concatenate([np.zeros((1, weight.shape[1])), weight.cumsum(0)])
    below = reached[np.searchsorted(rising, rising, side="left")]
    upto = reached[np.searchsorted(rising, rising, side="right")]
    beaten = (below + upto - weight) / 2  # half of the ties, without the jet itself
    return weight[:, own] @ beaten


def _rejections(
    logits: Float[np.ndarray, "n k"],
    posterior: Float[np.ndarray, "n k"],
    classes: Sequence[str],
) -> dict[tuple[str, float], ExpectedRejection]:
    """Each signal class against the background, by log p_i / p_background."""
    background, found = classes.index(BACKGROUND), {}
    for label, name, scores in signal_scores(logits, classes):
        order = np.argsort(-scores)  # once for all efficiencies
        own, other = posterior[order, label], posterior[order, background]
        for efficiency in EFFICIENCIES:
            reached = expected_rejection(scores[order], own, other, efficiency)
            found[name, efficiency] = reached
    return found


def expected_rejection(
    scores: Float[np.ndarray, "n"],
    signal: Float[np.ndarray, "n"],
    background: Float[np.ndarray, "n"],
    efficiency: float,
) -> ExpectedRejection:
    """1 / (background efficiency) at a signal efficiency of at least `efficiency`, of
    jets that are signal and background with these probabilities.

    The 68 % interval is that of the logarithm in linear order: each jet moves both
    efficiencies, and the signal efficiency moves the threshold. Where fewer than
    `FEWEST` jets make up the background that passes, or the interval is wider than a
    factor e, the rejection is a lower limit at 68 %: of what has passed, and the larger
    of its error and of what may pass where none is seen.

    Args:
      scores: higher for signal.
      signal, background: P(class | jet) of each jet.
      efficiency: above 0, at most 1.

    Raises:
      ValueError: for an efficiency outside of (0, 1], scores that are NaN, or classes
        that no jet has.
    """
    if not 0 < efficiency <= 1:
        raise ValueError(f"the signal efficiency {efficiency} is not in (0, 1]")
    _check(scores[:, None], np.stack([signal, background], axis=1))
    signal, background = signal / signal.sum(), background / background.sum()
    order = np.argsort(-scores, kind="stable")
    falling, reached = scores[order], signal[order].cumsum()

    def passes(share: float) -> Bool[np.ndarray, "n"]:
        last = np.searchsorted(reached, min(share, reached[-1]) - 1e-12)
        return scores >= falling[min(int(last), len(falling) - 1)]

    passed = passes(efficiency)
    off = signal * (passed - efficiency)  # of each jet, in the signal efficiency
    error = float(np.sqrt((off**2).sum()))
    ends = efficiency - error, efficiency + error
    tight, loose = (float(background[passes(share)].sum()) for share in ends)
    reach = float(background[passed].sum())
    slope = (loose - tight) / (2 * error) if error else 0.0
    moved = background * (passed - reach) - slope * off
    width = float(np.sqrt((moved**2).sum()))
    few = FEWEST * float((background[passed] ** 2).sum()) >= reach**2
    if few or width >= reach:
        unseen = NONE_PASSED * float((background**2).sum())
        least = 1 / (reach + max(unseen, width))
        return ExpectedRejection(least, least, None)
    low, high = np.exp(np.array([-width, width]) / reach) / reach
    return ExpectedRejection(1 / reach, float(low), float(high))
