"""Metrics of a tagger: accuracy, AUC, efficiencies and background rejection.

The score of a signal class i against the background is p_i / (p_i + p_background)
(arXiv:2202.03772, Section 4). Scores here are its log-odds, the difference of two
logits: they order jets alike, and do not round to 1 at high rejection.
"""

from collections.abc import Iterator, Sequence
from math import inf
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import beta, rankdata

from jetlab.types import CONFIDENCE_LEVEL

BACKGROUND = "QCD"

EFFICIENCIES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.995)
"""Signal efficiencies at which `performance` gives the background rejection: the ROC
curve in a few points."""

WORKING_POINTS = {"Hqql": 0.99, "Tbl": 0.995}
"""Signal efficiencies at which papers quote a class, 0.5 for all others. The lepton
makes these two easy (arXiv:2202.03772, Table 2; arXiv:2602.15781, Fig. 5)."""


class Roc(NamedTuple):
    """The ROC curve: efficiencies of signal and background by falling threshold."""

    threshold: Float[np.ndarray, "t"]
    signal: Float[np.ndarray, "t"]
    background: Float[np.ndarray, "t"]


class Rejection(NamedTuple):
    """The inverse of the background efficiency, with its 68 % interval.

    If no background jet passes, `value` and `low` are the lower limit at 68 % and
    `high` is infinite.
    """

    value: float
    low: float
    high: float
    passed: int  # background jets at or above the threshold
    threshold: float

    @property
    def is_limit(self) -> bool:
        """Whether no background jet passed, so that `value` is a lower limit."""
        return self.passed == 0


class Performance(NamedTuple):
    """Accuracy, macro one-versus-one AUC, and background rejections by (signal class,
    signal efficiency)."""

    accuracy: float
    auc: float
    rejections: dict[tuple[str, float], Rejection]


def score(
    logits: Float[np.ndarray, "n k"], signal: int, background: int = 0
) -> Float[np.ndarray, "n"]:
    """Log-odds of a signal class against the background; classes by column."""
    logits = np.asarray(logits, np.float64)
    return logits[:, signal] - logits[:, background]


def signal_scores(
    logits: Float[np.ndarray, "n k"], classes: Sequence[str]
) -> Iterator[tuple[int, str, Float[np.ndarray, "n"]]]:
    """Column, name and `score` of each signal class, against the `BACKGROUND`."""
    background = classes.index(BACKGROUND)
    for label, name in enumerate(classes):
        if name != BACKGROUND:
            yield label, name, score(logits, label, background)


def roc(signal: Float[np.ndarray, "s"], background: Float[np.ndarray, "b"]) -> Roc:
    """Efficiencies at each score that occurs; a jet at the threshold passes.

    Raises:
      ValueError: without signal or background jets, or for NaN scores.
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
    """1 / (background efficiency) at a signal efficiency of at least `efficiency`.

    The 68 % interval is the sum in quadrature, in the logarithm, of the binomial
    interval of the background efficiency (Clopper and Pearson, Biometrika 26 (1934)
    404) and of the change under one standard error of the signal efficiency, which
    shifts the threshold.

    Raises:
      ValueError: for an efficiency outside of (0, 1], no signal or background jets, or
        NaN scores.
    """
    if not 0 < efficiency <= 1:
        raise ValueError(f"the signal efficiency {efficiency} is not in (0, 1]")
    _check(signal, background)
    falling = np.sort(signal)[::-1]
    threshold = _threshold(falling, efficiency)
    passed = int(_passing(background, threshold))
    ends = _binomial(passed, len(background))
    if passed == 0:
        return Rejection(1 / ends[1], 1 / ends[1], inf, 0, threshold)
    value = len(background) / passed
    error = np.sqrt(efficiency * (1 - efficiency) / len(signal))
    tight, loose = (
        _passing(background, _threshold(falling, e)) / len(background)
        for e in (efficiency - error, efficiency + error)
    )
    tight = max(tight, 1 / len(background))  # at least one jet: the logarithm is finite
    down = np.hypot(np.log(value * ends[1]), np.log(max(1.0, value * loose)))
    up = np.hypot(np.log(value * ends[0]), np.log(min(1.0, value * tight)))
    low, high = value * np.exp(-down), value * np.exp(up)
    return Rejection(value, float(low), float(high), passed, threshold)


def accuracy(logits: Float[np.ndarray, "n k"], labels: Int[np.ndarray, "n"]) -> float:
    """Fraction of jets whose largest logit is that of their class."""
    return float(np.mean(np.argmax(logits, axis=1) == labels))


def auc(signal: Float[np.ndarray, "s"], background: Float[np.ndarray, "b"]) -> float:
    """Probability that a signal jet scores above a background jet; ties count half.

    Raises:
      ValueError: without signal or background jets, or for NaN scores.
    """
    _check(signal, background)
    ranks = rankdata(np.concatenate([signal, background]))[: len(signal)]
    above = ranks.sum() - len(signal) * (len(signal) + 1) / 2
    return float(above / (len(signal) * len(background)))


def macro_auc(logits: Float[np.ndarray, "n k"], labels: Int[np.ndarray, "n"]) -> float:
    """One-versus-one AUC: the mean over ordered pairs of classes, where the score of a
    pair is the probability of its first class (Hand and Till, Mach. Learn. 45 (2001)
    171).

    Raises:
      ValueError: for a class without jets.
    """
    logits = np.asarray(logits, np.float64)
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    count = np.bincount(labels, minlength=logits.shape[1])
    if not count.all():
        missing = int(np.flatnonzero(count == 0)[0])
        raise ValueError(f"class {missing} has no jets: its AUC is not defined")
    each = [_one_versus_one(log_p[:, k], labels, k) for k in range(len(count))]
    return float(np.mean(each))


def working_point(signal: str) -> float:
    """The signal efficiency at which papers quote a class."""
    return WORKING_POINTS.get(signal, 0.5)


def performance(
    logits: Float[np.ndarray, "n k"],
    labels: Int[np.ndarray, "n"],
    classes: Sequence[str],
) -> Performance:
    """All metrics of a tagger; no rejections if no class is the `BACKGROUND`.

    Raises:
      ValueError: for a class without jets.
    """
    return Performance(
        accuracy(logits, labels),
        macro_auc(logits, labels),
        _rejections(logits, labels, classes) if BACKGROUND in classes else {},
    )


def _rejections(
    logits: Float[np.ndarray, "n k"],
    labels: Int[np.ndarray, "n"],
    classes: Sequence[str],
) -> dict[tuple[str, float], Rejection]:
    """Each signal class against the background, by log p_i / p_background."""
    background, found = classes.index(BACKGROUND), {}
    for label, name, scores in signal_scores(logits, classes):
        own, other = scores[labels == label], scores[labels == background]
        for efficiency in EFFICIENCIES:
            found[name, efficiency] = rejection(own, other, efficiency)
    return found


def _one_versus_one(
    score: Float[np.ndarray, "n"], labels: Int[np.ndarray, "n"], signal: int
) -> float:
    """The AUC of one class against each other class, averaged over these."""
    own = np.sort(score[labels == signal])
    below = np.searchsorted(own, score, "left") + np.searchsorted(own, score, "right")
    above = 1 - below / (2 * len(own))  # fraction of signal jets above each jet
    by_class = np.bincount(labels, above) / np.bincount(labels)
    return float(np.delete(by_class, signal).mean())


def _check(signal: np.ndarray, background: np.ndarray) -> None:
    for name, scores in (("signal", signal), ("background", background)):
        if not len(scores):
            raise ValueError(f"there are no {name} jets: rejection is not defined")
        if np.isnan(scores).any():
            raise ValueError(f"{np.isnan(scores).sum()} {name} scores are NaN")


def _passing(
    scores: Float[np.ndarray, "s"], threshold: Float[np.ndarray, "*t"] | float
) -> Int[np.ndarray, "*t"]:
    """Number of scores at or above each threshold."""
    below = np.searchsorted(np.sort(scores), threshold, side="left")
    return np.asarray(len(scores) - below)


def _threshold(falling: Float[np.ndarray, "s"], efficiency: float) -> float:
    """The highest threshold that at least a fraction `efficiency` of jets passes."""
    count = np.ceil(np.clip(efficiency, 0, 1) * len(falling) - 1e-9)
    return float(falling[max(int(count), 1) - 1])


def _binomial(passed: int, total: int) -> tuple[float, float]:
    """Clopper-Pearson interval of a fraction; one-sided at 0 and 1."""
    tail = (1 - CONFIDENCE_LEVEL) / (1 if passed in (0, total) else 2)
    low = beta.ppf(tail, passed, total - passed + 1) if passed else 0.0
    high = beta.ppf(1 - tail, passed + 1, total - passed) if passed < total else 1.0
    return float(low), float(high)
