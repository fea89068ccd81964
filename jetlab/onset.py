"""The onset of learning: from where on the runs of a trajectory can follow a law.

A network begins at the loss of a constant prediction and stays there until it has found
something to learn; then its loss drops. On a law L_inf + A / N^alpha + B / D^beta the
logarithm of the loss falls ever less steeply with log D. A trajectory that falls slowly
at first and steeply later is therefore on no such law before the end of its steepest
fall, the change point.
"""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Real

MARGIN = 0.05
"""Share of the chance loss by which a run must beat it to count as having learned."""

STEEPER, BY = 1.5, 0.1
"""A fall of log L over log D is steeper than an earlier one beyond their scatter if it
exceeds `STEEPER` times that one by `BY`."""

ONE_RUN = ("arm", "inputs", "N", "seed", "learning_rate", "batch", "group")
"""Columns in which the rows of one trajectory agree, those that a table has."""


def beats_chance(
    loss: Real[np.ndarray, "n"], chance_loss: Real[np.ndarray, "n"]
) -> Bool[np.ndarray, "n"]:
    """Which losses are lower than that of a constant prediction by 5 %."""
    return np.asarray(loss < (1 - MARGIN) * chance_loss, bool)


def has_learned(table: Mapping[str, np.ndarray]) -> Bool[np.ndarray, "n"]:
    """Which rows beat the chance loss and, of several single passes of one trajectory,
    come after its change point.

    The columns are L and chance_loss; D, epochs and those of `ONE_RUN` where there are
    any.
    """
    beats = beats_chance(table["L"], table["chance_loss"])
    if "D" not in table or not len(beats):
        return beats
    once = np.asarray(table.get("epochs", np.ones(len(beats)))) == 1
    names = [name for name in ONE_RUN if name in table]
    keys = list(zip(*(np.asarray(table[name]).tolist() for name in names), strict=True))
    keys = keys or [()] * len(beats)
    for key in dict.fromkeys(keys):
        own = np.flatnonzero(once & np.array([other == key for other in keys]))
        own = own[np.argsort(table["D"][own], kind="stable")]
        D, L = table["D"][own], table["L"][own]
        if (np.diff(D) > 0).all():  # several rows of one D are no trajectory
            beats[own[: change_point(D, L)]] = False
    return beats


def change_point(D: Real[np.ndarray, "n"], L: Real[np.ndarray, "n"]) -> int:
    """The number of leading points that precede the law, by rising D."""
    if len(D) < 3:
        return 0
    falls = -np.diff(np.log(L)) / np.diff(np.log(D))
    steepest = int(np.argmax(falls))
    earlier = falls[:steepest]
    if (falls[steepest] > STEEPER * np.maximum(earlier, 0) + BY).any():
        return steepest + 1
    return 0
