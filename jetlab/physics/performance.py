"""How good a tagger is, by the numbers that papers on JetClass quote."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from jetlab.physics.metrics import Rejection, accuracy, macro_auc, rejection, score

BACKGROUND = "QCD"

EFFICIENCIES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.995)
"""Of the signal, at which the background's rejection is kept: a ROC in a few points."""

WORKING_POINTS = {"Hqql": 0.99, "Tbl": 0.995}
"""Efficiencies at which a class is quoted, 0.5 for all others: a lepton gives these
two away (arXiv:2202.03772, Table 2; arXiv:2602.15781, Fig. 5)."""


class Performance(NamedTuple):
    """Share of jets whose likeliest class is theirs, macro one-versus-one AUC, and by
    (signal class, signal efficiency) the rejection of the background."""

    accuracy: float
    auc: float
    rejections: dict[tuple[str, float], Rejection]


def working_point(signal: str) -> float:
    """The signal efficiency at which a class is quoted."""
    return WORKING_POINTS.get(signal, 0.5)


def performance(
    logits: Float[np.ndarray, "n k"],
    labels: Int[np.ndarray, "n"],
    classes: Sequence[str],
) -> Performance:
    """The numbers of a tagger with these logits; no rejections where no class is the
    background. Raises ValueError where a class has no jet."""
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
    """Each class against the background by log p_i / p_background."""
    background, found = classes.index(BACKGROUND), {}
    for label, name in enumerate(classes):
        if name == BACKGROUND:
            continue
        odds = score(logits, label, background)
        own, other = odds[labels == label], odds[labels == background]
        for efficiency in EFFICIENCIES:
            found[name, efficiency] = rejection(own, other, efficiency)
    return found
