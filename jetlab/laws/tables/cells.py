"""Means over the seeds of a cell, and their weights in a fit.

The variance of two or three seeds is a poor estimate: its inverse is a noisy weight,
and a cell with one seed has none. Each variance of log L is therefore shrunk towards
the common one, as far as the spread of the variances warrants (empirical Bayes: Smyth,
Stat. Appl. Genet. Mol. Biol. 3 (2004) 3). Cells with one seed take the common variance.

Measured: 200 tables of 30 cells with three seeds, sigmas spread evenly in logarithm
over a decade (0.003 to 0.03). The weighted mean of the cells scatters by 0.00146 with
equal weights, by 0.00178 with each cell's own variance, by 0.00107 with shrunk ones
and by 0.00073 with the true ones.
"""

from collections.abc import Sequence
from math import inf

import numpy as np
from jaxtyping import Float, Int
from scipy.special import digamma, polygamma

from jetlab.laws.fitting.misfit import Misfit
from jetlab.laws.tables.table_checks import log_columns
from jetlab.records import Table, TableLike


def cell_means(table: TableLike, by: Sequence[str] = ("N", "D")) -> Table:
    """One row a cell: columns `by`, the means of L and of the others, "seeds", "error".

    The mean is that of L itself, not of its logarithm. "error" is the standard error of
    the mean relative to L, from shrunk variances; NaN throughout where no cell has two
    seeds of different loss.

    Raises:
      ValueError: for a missing column, a column `by` that is not finite or a loss
        without a logarithm.
    """
    log_loss = log_columns(table, ("L",))["L"]
    missing = [name for name in by if name not in table]
    if missing:
        raise ValueError(f"the table has no column {missing[0]}; it has {list(table)}")
    keys = np.stack([np.asarray(table[name], float) for name in by], axis=1)
    if not np.isfinite(keys).all():
        raise ValueError(f"columns {', '.join(by)} name the cells: all must be finite")
    cell = Table(table).cells(by)
    first = np.unique(cell, return_index=True)[1]
    seeds = np.bincount(cell)
    centred = log_loss - (np.bincount(cell, log_loss) / seeds)[cell]
    variance = shrunk_variance(np.bincount(cell, centred**2), seeds - 1)
    means = {
        name: np.bincount(cell, np.asarray(column, float)) / seeds
        for name, column in table.items()
    }
    exact = {name: keys[first, i] for i, name in enumerate(by)}
    error = np.sqrt(variance / seeds)
    return Table(means | exact, seeds=seeds.astype(float), error=error)


def weights(
    cells: TableLike, misfit: Misfit, floor: float = 0.0
) -> Float[np.ndarray, "n"]:
    """Weights of the rows of `cell_means` in the likelihood, for a column "weight".

    1 / e^2 for least squares (normal scatter); 1 / e for absolute deviations and for
    Huber's with a delta below the scatter (Laplace's). e^2 = error^2 + floor^2, with
    `floor` the error of the law itself, relative to L. Without it, cells whose seeds
    agree to a thousandth dominate a law that is good to a hundredth.

    Raises:
      ValueError: where no cell has two seeds, or for a floor below 0.
    """
    if not 0 <= floor < inf:
        raise ValueError(f"floor is {floor}: a relative error, 0 or more")
    error = np.hypot(cells["error"], floor)
    if not (np.isfinite(error).all() and (error > 0).all()):
        raise ValueError(
            "the scatter between seeds is unknown, no cell has two different losses:"
            " add seeds, or fit without weights"
        )
    power = 2 if misfit.kind == "squares" else 1
    return np.mean(error) ** power / error**power


def shrunk_variance(
    squares: Float[np.ndarray, "cell"], freedom: Int[np.ndarray, "cell"]
) -> Float[np.ndarray, "cell"]:
    """Variances from sums of squares with `freedom` degrees of freedom each, shrunk
    towards their common value: (d0 s0^2 + squares) / (d0 + freedom)."""
    known = (freedom > 0) & (squares > 0)
    if not known.any():
        return np.full(len(squares), np.nan)
    prior, common = _prior(squares[known] / freedom[known], freedom[known])
    if prior == inf:
        return np.full(len(squares), common)
    return (prior * common + squares) / (prior + freedom)


def _prior(
    variance: Float[np.ndarray, "cell"], freedom: Int[np.ndarray, "cell"]
) -> tuple[float, float]:
    """d0 and s0^2 by the moments of log variance. If cells with d degrees of freedom
    have true variances that are s0^2 times d0 over chi-squared (d0), log variance has
    the mean log s0^2 + digamma(d/2) - log(d/2) - digamma(d0/2) + log(d0/2) and the
    spread trigamma(d/2) + trigamma(d0/2)."""
    half = freedom / 2
    level = np.log(variance) - digamma(half) + np.log(half)
    centre = float(np.mean(level))
    count = len(level)
    excess = 0.0
    if count > 1:
        excess = float(np.var(level, ddof=1) - np.mean(polygamma(1, half)))
    if excess <= 0:  # the spread is that of sampling: one variance
        return inf, float(np.sum(variance * freedom) / np.sum(freedom))
    prior = _inverse_trigamma(excess)
    return 2 * prior, float(np.exp(centre + digamma(prior) - np.log(prior)))


def _inverse_trigamma(value: float) -> float:
    """x with trigamma(x) = value > 0, to a thousandth, between 1e-4 and 1e4."""
    x = np.geomspace(1e4, 1e-4, 2000)  # trigamma rises along it
    return float(np.exp(np.interp(np.log(value), np.log(polygamma(1, x)), np.log(x))))
