"""Bootstrap over jets: standard errors of quantiles, of peaks of a density, and of
functions of sums over jets."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Shaped
from scipy.ndimage import gaussian_filter1d

PEAK_RANGE, BIN, BANDWIDTH = (40.0, 240.0), 0.25, 4.0  # GeV


class Estimate(NamedTuple):
    """A value and its standard error."""

    value: float
    error: float


class Statistic(NamedTuple):
    """A function `of` the sums of `columns` over jets."""

    columns: Float[np.ndarray, "b m"]
    of: Callable[[Float[np.ndarray, "*n m"]], Float[np.ndarray, "*n"]]


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> Statistic:
    columns = np.stack([numerator, denominator], axis=1, dtype=np.float64)
    return Statistic(columns, lambda sums: sums[..., 0] / sums[..., 1])


def mean(values: np.ndarray) -> Statistic:
    return ratio(values, np.ones(len(values)))


def standard_deviation(
    count: np.ndarray, first: np.ndarray, second: np.ndarray
) -> Statistic:
    """Of x over particles, from the sums of 1, x and x^2 in every jet."""
    columns = np.stack([count, first, second], axis=1, dtype=np.float64)

    def of(sums: Float[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n"]:
        count, first, second = np.moveaxis(sums, -1, 0)
        return np.sqrt(second / count - (first / count) ** 2)

    return Statistic(columns, of)


def multiplicities(
    strata: Int[np.ndarray, "b"], draws: int, rng: np.random.Generator
) -> Int[np.ndarray, "draws b"]:
    """How often each draw of the stratified bootstrap contains each jet."""
    times = np.zeros((draws, len(strata)), np.int32)
    for stratum in np.unique(strata):
        members = np.flatnonzero(strata == stratum)
        chosen = rng.integers(len(members), size=(draws, len(members)))
        chosen += len(members) * np.arange(draws)[:, None]
        counted = np.bincount(chosen.ravel(), minlength=draws * len(members))
        times[:, members] = counted.reshape(draws, -1)
    return times


def estimate(statistic: Statistic, times: Int[np.ndarray, "draws b"]) -> Estimate:
    value = statistic.of(statistic.columns.sum(axis=0))
    return Estimate(float(value), float(statistic.of(times @ statistic.columns).std()))


def quantiles(
    values: Float[np.ndarray, "n"],
    owner: Int[np.ndarray, "n"],
    times: Int[np.ndarray, "draws b"],
    probabilities: Sequence[float] | Float[np.ndarray, "q"],
) -> tuple[Float[np.ndarray, "q"], Float[np.ndarray, "q"]]:
    """Quantiles of the values of all particles, and their standard errors; `owner` is
    the jet of each value."""
    order = np.argsort(values)
    values, owner = values[order], owner[order]

    def at(weights: Shaped[np.ndarray, "n"]) -> Float[np.ndarray, "q"]:
        total = np.cumsum(weights)
        return values[np.searchsorted(total, np.asarray(probabilities) * total[-1])]

    draws = np.stack([at(weights[owner]) for weights in times])
    return at(np.ones(len(values))), draws.std(axis=0)


def peak(
    masses: Float[np.ndarray, "b"], draws: int, rng: np.random.Generator
) -> Estimate | None:
    """Maximum between 40 and 240 GeV of the density smoothed by a Gaussian of 4 GeV;
    None where it lies at an end."""
    edges = np.arange(PEAK_RANGE[0], PEAK_RANGE[1] + BIN / 2, BIN)
    counts, _ = np.histogram(masses, edges)
    if not counts.any():
        return None
    fractions = counts / counts.sum()
    resampled = rng.multinomial(counts.sum(), fractions, size=draws)
    histograms = np.vstack([counts, resampled]).astype(float)
    bandwidth = BANDWIDTH / BIN
    density = gaussian_filter1d(histograms, bandwidth, mode="constant")
    highest = density.argmax(axis=1)
    if not bandwidth < highest[0] < len(counts) - bandwidth:
        return None
    peaks = edges[highest] + BIN / 2
    return Estimate(float(peaks[0]), float(peaks[1:].std()))
