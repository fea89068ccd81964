"""Numbers of jets: spaced evenly, in whole batches, and what a source can give."""

from collections.abc import Sequence

import numpy as np

from jetlab.types import Source

BATCH = 128

SHORTEST = 32
"""Batches of the smallest training set of a `Size`: shorter runs learn nothing."""

MIN_VALID = 10
"""Validation jets of each class: fewer give no error of the loss."""


def log_spaced(
    low: float, high: float, count: int, *, multiple: int = BATCH
) -> list[int]:
    """`count` sizes at equal ratios from low to high, rounded to whole batches."""
    sizes = np.geomspace(low, high, count)
    return [multiple * max(1, round(size / multiple)) for size in sizes]


def balanced(num_valid: int, source: Source) -> int:
    """`num_valid`, or all that the source holds out, rounded down to equal classes.

    Raises:
      ValueError: for fewer than `MIN_VALID` jets of each class.
    """
    classes, held_out = len(source.classes), source.held_out
    count = num_valid if held_out is None else min(num_valid, held_out)
    if count < MIN_VALID * classes:
        has = "" if held_out is None else f" and the source holds out {held_out:,}"
        raise ValueError(
            f"num_valid is {num_valid:,}{has}: at least {MIN_VALID} validation jets of"
            f" each of the {classes} classes are needed, {MIN_VALID * classes} in all"
        )
    return count // classes * classes


def clip_sizes(
    num_train: Sequence[int], size: int | None, batch: int = BATCH
) -> list[int]:
    """Training sizes scaled down to the `size` jets of a source, at equal ratios from
    no fewer than `SHORTEST` batches.

    Raises:
      ValueError: for a source with fewer than 2 `SHORTEST` batches.
    """
    if size is None or size >= max(num_train):
        return list(num_train)
    if size < 2 * SHORTEST * batch:
        raise ValueError(
            f"the source has {size:,} training jets: a grid needs at least"
            f" {2 * SHORTEST * batch:,}"
        )
    share = size // batch * batch / max(num_train)
    low = min(share * max(num_train), max(share * min(num_train), SHORTEST * batch))
    return log_spaced(low, share * max(num_train), len(num_train), multiple=batch)
