"""What a tagger is worth to an analysis: background rejection, efficiencies, AUC.

The jets of one signal class are told from the background by p_i / (p_i + p_background)
(arXiv:2202.03772, Section 4). Scores here are its log-odds, the difference of two
logits: the order is the same, and they do not round to one where few background jets
are left.
"""

from math import inf
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import beta, rankdata

LEVEL = 0.68


class Roc(NamedTuple):
    """Shares of signal and background that pass, by falling threshold on the score."""

    threshold: Float[np.ndarray, "t"]
    signal: Float[np.ndarray, "t"]
    background: Float[np.ndarray, "t"]


class Rejection(NamedTuple):
    """One background jet in `value` passes. Where none did, `value` is the lower limit
    at 68 % (and `low`), `high` is infinite and `passed` is 0."""

    value: float
    low: float
    high: float
    passed: int
    threshold: float

    @property
    def is_limit(self) -> bool:
        """Whether no background jet passed, so that only a lower limit is known."""
        return self.passed == 0


def score(
    logits: Float[np.ndarray, "n k"], signal: int, background: int = 0
) -> Float[np.ndarray, "n"]:
    """Log-odds of a signal class against the background class, by column."""
    wide = np.asarray(logits, np.float64)
    return wide[:, signal] - wide[:, background]


def roc(signal: Float[np.ndarray, "s"], background: Float[np.ndarray, "b"]) -> Roc:
    """Efficiencies at each score that occurs; jets at a threshold pass it.

    Raises:
      ValueError: without signal or background jets, or for scores that are not numbers.
    """
    _check(signal, background)
    threshold = np.unique(np.concatenate([signal, background]))[::-1]
    return Roc(
        threshold,
        _passing(signal, threshold) / len(signal),
        _passing(background, threshold) / len(background),
    )


def rejection(
    signal: Float[np.ndarray, "s"],
    background: Float[np.ndarray, "b"],
    efficiency: float,
) -> Rejection:
    """1 / (share of background that passes) where at least `efficiency` of the signal
    passes, with its 68 % interval.

    The interval joins in quadrature, in the logarithm, the background's binomial one
    (Clopper and Pearson, Biometrika 26 (1934) 404) and what one standard error of the
    signal's efficiency does to the threshold.

    Raises:
      ValueError: for an efficiency outside of (0, 1], or scores as `roc` refuses.
    """
    if not 0 < efficiency <= 1:
        raise ValueError(f"a signal efficiency of {efficiency} is not in (0, 1]")
    _check(signal, background)
    best = np.sort(signal)[::-1]
    threshold = _threshold(best, efficiency)
    passed = int(_passing(background, threshold))
    ends = _binomial(passed, len(background))
    if passed == 0:
        return Rejection(1 / ends[1], 1 / ends[1], inf, 0, threshold)
    value = len(background) / passed
    error = np.sqrt(efficiency * (1 - efficiency) / len(signal))
    tight, loose = (
        _passing(background, _threshold(best, e)) / len(background)
        for e in (efficiency - error, efficiency + error)
    )
    tight = max(tight, 1 / len(background))  # past all of them a threshold says less
    down = np.hypot(np.log(value * ends[1]), np.log(max(1.0, value * loose)))
    up = np.hypot(np.log(value * ends[0]), np.log(min(1.0, value * tight)))
    low, high = value * np.exp(-down), value * np.exp(up)
    return Rejection(value, float(low), float(high), passed, threshold)


def accuracy(logits: Float[np.ndarray, "n k"], labels: Int[np.ndarray, "n"]) -> float:
    """Share of jets whose likeliest class is theirs."""
    return float(np.mean(np.argmax(logits, axis=1) == labels))


def auc(signal: Float[np.ndarray, "s"], background: Float[np.ndarray, "b"]) -> float:
    """Probability that a signal jet scores above a background jet, ties half."""
    _check(signal, background)
    ranks = rankdata(np.concatenate([signal, background]))[: len(signal)]
    above = ranks.sum() - len(signal) * (len(signal) + 1) / 2
    return float(above / (len(signal) * len(background)))


def macro_auc(logits: Float[np.ndarray, "n k"], labels: Int[np.ndarray, "n"]) -> float:
    """Mean AUC over ordered pairs of classes, each by the probability of its first
    (one against one: Hand and Till, Mach. Learn. 45 (2001) 171).

    Raises:
      ValueError: where a class has no jet.
    """
    wide = np.asarray(logits, np.float64)
    top = wide - wide.max(axis=1, keepdims=True)
    log_p = top - np.log(np.exp(top).sum(axis=1, keepdims=True))
    count = np.bincount(labels, minlength=wide.shape[1])
    if not count.all():
        missing = int(np.flatnonzero(count == 0)[0])
        raise ValueError(f"no jet of class {missing}: its AUC is not defined")
    return float(np.mean([_above(log_p[:, k], labels, k) for k in range(len(count))]))


def _above(
    score: Float[np.ndarray, "n"], labels: Int[np.ndarray, "n"], signal: int
) -> float:
    """Probability that a signal jet scores above one of another class, ties half, in
    the mean over the other classes."""
    own = np.sort(score[labels == signal])
    below = np.searchsorted(own, score, "left") + np.searchsorted(own, score, "right")
    share = 1 - below / (2 * len(own))
    of_class = np.bincount(labels, share) / np.bincount(labels)
    return float(np.delete(of_class, signal).mean())


def _check(signal: np.ndarray, background: np.ndarray) -> None:
    for name, scores in (("signal", signal), ("background", background)):
        if not len(scores):
            raise ValueError(f"there are no {name} jets")
        if np.isnan(scores).any():
            raise ValueError(f"{np.isnan(scores).sum()} {name} scores are NaN")


def _passing(
    scores: Float[np.ndarray, "s"], threshold: Float[np.ndarray, "*t"] | float
) -> Int[np.ndarray, "*t"]:
    """Number of scores at or above each threshold."""
    below = np.searchsorted(np.sort(scores), threshold, side="left")
    return np.asarray(len(scores) - below)


def _threshold(falling: Float[np.ndarray, "s"], efficiency: float) -> float:
    """The highest score that at least so large a share of the jets reaches."""
    count = np.ceil(np.clip(efficiency, 0, 1) * len(falling) - 1e-9)
    return float(falling[max(int(count), 1) - 1])


def _binomial(passed: int, total: int) -> tuple[float, float]:
    """68 % interval of a share; one-sided where nothing or all passed."""
    tail = (1 - LEVEL) / (1 if passed in (0, total) else 2)
    low = beta.ppf(tail, passed, total - passed + 1) if passed else 0.0
    high = beta.ppf(1 - tail, passed + 1, total - passed) if passed < total else 1.0
    return float(low), float(high)
