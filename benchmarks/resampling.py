"""Errors by drawing jets anew: how often each comes up, and what that does to
quantiles, peaks and whatever is a function of sums over jets."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Shaped
from scipy.ndimage import gaussian_filter1d

RANGE, BIN, KERNEL = (40.0, 240.0), 0.25, 4.0  # GeV


class Measured(NamedTuple):
    """A value, and its standard error by the bootstrap over jets."""

    value: float
    error: float


class Sums(NamedTuple):
    """A statistic that is `of` the sums of some columns over jets."""

    columns: Float[np.ndarray, "b m"]
    of: Callable[[Float[np.ndarray, "*n m"]], Float[np.ndarray, "*n"]]


def ratio(over: np.ndarray, under: np.ndarray) -> Sums:
    columns = np.stack([over, under], axis=1, dtype=np.float64)
    return Sums(columns, lambda sums: sums[..., 0] / sums[..., 1])


def mean(values: np.ndarray) -> Sums:
    return ratio(values, np.ones(len(values)))


def spread(count: np.ndarray, first: np.ndarray, second: np.ndarray) -> Sums:
    """Standard deviation, from sums of 1, x and x^2 in every jet."""
    columns = np.stack([count, first, second], axis=1, dtype=np.float64)

    def of(sums: Float[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n"]:
        count, first, second = np.moveaxis(sums, -1, 0)
        return np.sqrt(second / count - (first / count) ** 2)

    return Sums(columns, of)


def times_drawn(
    strata: Int[np.ndarray, "b"], draws: int, rng: np.random.Generator
) -> Int[np.ndarray, "draws b"]:
    """How often each jet comes up when as many are drawn of every stratum as it has."""
    found = np.zeros((draws, len(strata)), np.int32)
    for stratum in np.unique(strata):
        members = np.flatnonzero(strata == stratum)
        chosen = rng.integers(len(members), size=(draws, len(members)))
        chosen += len(members) * np.arange(draws)[:, None]
        counted = np.bincount(chosen.ravel(), minlength=draws * len(members))
        found[:, members] = counted.reshape(draws, -1)
    return found


def measured(statistic: Sums, drawn: Int[np.ndarray, "draws b"]) -> Measured:
    value = statistic.of(statistic.columns.sum(axis=0))
    return Measured(float(value), float(statistic.of(drawn @ statistic.columns).std()))


def quantiles(
    values: Float[np.ndarray, "n"],
    owner: Int[np.ndarray, "n"],
    drawn: Int[np.ndarray, "draws b"],
    shares: Sequence[float] | Float[np.ndarray, "q"],
) -> tuple[Float[np.ndarray, "q"], Float[np.ndarray, "q"]]:
    """Quantiles of values that belong to jets, and their standard errors."""
    rising = np.argsort(values)
    values, owner = values[rising], owner[rising]

    def at(weights: Shaped[np.ndarray, "n"]) -> Float[np.ndarray, "q"]:
        total = np.cumsum(weights)
        return values[np.searchsorted(total, np.asarray(shares) * total[-1])]

    repeated = np.stack([at(weights[owner]) for weights in drawn])
    return at(np.ones(len(values))), repeated.std(axis=0)


def peak(
    masses: Float[np.ndarray, "b"], draws: int, rng: np.random.Generator
) -> Measured | None:
    """Where the density is highest between 40 and 240 GeV, smoothed by a Gaussian of
    4 GeV; None where that is at an end."""
    edges = np.arange(RANGE[0], RANGE[1] + BIN / 2, BIN)
    counts, _ = np.histogram(masses, edges)
    if not counts.any():
        return None
    shares = counts / counts.sum()
    repeated = np.vstack([counts, rng.multinomial(counts.sum(), shares, size=draws)])
    smooth = gaussian_filter1d(repeated.astype(float), KERNEL / BIN, mode="constant")
    highest = smooth.argmax(axis=1)
    where = edges[highest] + BIN / 2
    margin = KERNEL / BIN
    if not margin < highest[0] < len(counts) - margin:
        return None
    return Measured(float(where[0]), float(where[1:].std()))
