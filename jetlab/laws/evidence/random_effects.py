"""Scatter between and within clusters, for tables of few clusters.

    log L = law + u_cluster + e_row,  u ~ N(0, between),  e ~ N(0, within)

Few clusters cannot be resampled: six trajectories drawn with replacement leave four on
average, which do not determine a law. The two variances can be estimated from the
residuals, and tables simulated with them. Degrees of freedom are those left between
the clusters (Searle, Casella and McCulloch, Variance Components, 1992, Section 3.6:
analysis of variance of unbalanced tables), less those that the law absorbs.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from jetlab.laws.fitting.information import Linearised

LEAST = 0.75  # degrees of freedom between clusters: fewer give no variance


class RandomEffects(NamedTuple):
    """Variances of scaled residuals (`information.linearise`) between and within the
    clusters `ids`, and the degrees of freedom of the first."""

    ids: Int[np.ndarray, "n"]
    between: float
    within: float
    freedom: float

    def drawn(
        self, rng: np.random.Generator, draws: int
    ) -> Float[np.ndarray, "draws n"]:
        """Simulated scatter of the rows, in scaled residuals."""
        count = self.ids.max() + 1
        common = rng.normal(size=(draws, count))[:, self.ids]
        own = rng.normal(size=(draws, len(self.ids)))
        return np.sqrt(self.between) * common + np.sqrt(self.within) * own

    def whitened(self, columns: Float[np.ndarray, "n *k"]) -> Float[np.ndarray, "n *k"]:
        """Columns in which the scatter has unit variance and no correlation."""
        size = np.bincount(self.ids)
        flat = columns.reshape(len(columns), -1)
        means = cluster_means(flat, self.ids)[self.ids]
        common = np.sqrt(self.within + size * self.between)[self.ids, None]
        white = (flat - means) / np.sqrt(self.within) + means / common
        return white.reshape(columns.shape)


def cluster_means(
    columns: Float[np.ndarray, "n k"], ids: Int[np.ndarray, "n"]
) -> Float[np.ndarray, "g k"]:
    """Mean of each column over the rows of each cluster."""
    size = np.bincount(ids)
    return np.stack([np.bincount(ids, column) / size for column in columns.T], axis=1)


def effects_of(here: Linearised, ids: Int[np.ndarray, "n"]) -> RandomEffects | None:
    """The variances of a fit near its optimum; None where the law leaves no degree of
    freedom between the clusters. Rows that are all clusters of their own scatter
    independently, with the variance of least squares."""
    r, jacobian = here.residuals, here.jacobian
    rows, free = jacobian.shape
    size = np.bincount(ids)
    if len(size) == rows:
        freedom = rows - free
        within = float(r @ r / freedom) if freedom else 0.0
        return RandomEffects(ids, 0.0, within, freedom) if freedom else None
    basis = np.linalg.qr(jacobian)[0]
    means = cluster_means(basis, ids)
    absorbed = float(np.sum(size[:, None] * means**2))  # trace of the projections
    freedom = len(size) - absorbed
    inside = max(rows - len(size) - (free - absorbed), 1.0)
    mean = np.bincount(ids, r) / size
    within = float(np.sum((r - mean[ids]) ** 2) / inside)
    if len(size) < 3 or freedom < LEAST:
        return None
    total = float(np.sum(size * mean**2) / freedom)
    between = max(0.0, (total - within) / float(np.mean(size)))
    return RandomEffects(ids, between, within, freedom)
