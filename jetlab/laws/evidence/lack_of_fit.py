"""Does the law hold? Tests of what its residuals should not show.

Each is an F test: how much less the residuals are when further columns are fitted to
them beside the law. The columns are dummies of the sizes of N or of D, of the values of
a label (learning rate, experiment), and cubic polynomials of log N and log D; where
cells have several runs, the scatter between cells is compared with that within them
(Draper and Smith, Applied Regression Analysis, 1998, Sections 2.1 and 6.1).

Residuals are whitened for the correlation of clusters and cut at three sigmas, so that
outliers do not decide.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations_with_replacement
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.special import fdtrc

from jetlab.laws.evidence.clusters import row_clusters
from jetlab.laws.evidence.random_effects import (
    RandomEffects,
    cluster_means,
    effects_of,
)
from jetlab.laws.fitting.information import Linearised, scatter
from jetlab.laws.result import FINEST, FitResult
from jetlab.records import Table, codes

SIGNIFICANT = 0.01  # a p-value below which the law does not hold
ALIKE = 0.02  # log-distance within which two values of a column are one size
SIZES = 12  # at most; columns with more are grouped
SIGNIFICANT_N = 0.003  # and for N, at one of which rows of one run may err alike
CORRELATED = 0.2  # a p-value above which clusters scatter as their rows do
CUT = 3.0  # sigmas at which residuals are cut
DIRECTION = 1e-3  # share of a column beside the law that counts as a column
VALUES = 8  # of a label at most


class LawTest(NamedTuple):
    """A test of the residuals: what a low p-value means, and of which column."""

    what: str
    p_value: float
    column: str = ""

    @property
    def failed(self) -> bool:
        return self.p_value < (SIGNIFICANT_N if self.column == "N" else SIGNIFICANT)

    @property
    def sentence(self) -> str:
        """What was found."""
        return f"{self.what} (p = {self.p_value:.2g})"


def law_tests(law: FitResult) -> tuple[LawTest, ...]:
    """The tests of a fit; none for exact rows and for a fit without parameters."""
    if not _testable(law):
        return ()
    here = law.linearised
    effects = _effects(here, row_clusters(law))
    if effects is None or not effects.within:
        return ()
    columns = law.form.columns
    found = [
        LawTest(f"residuals depend on {n}", size_trend(here, effects, law.table[n]), n)
        for n in columns
    ]
    found.append(
        LawTest("residuals bend along the rows", _bend(here, effects, law.points))
    )
    found += [
        LawTest(f"residuals depend on {n}", label_trend(here, effects, column), n)
        for n, column in law.labels.items()
    ]
    cells = law.table.cells(columns)
    if cells.max() + 1 < law.rows:
        what = "cells scatter about the law more than the runs in them"
        found.append(LawTest(what, replicates(here, cells)))
    return tuple(found)


def _effects(here: Linearised, ids: Int[np.ndarray, "n"]) -> RandomEffects | None:
    """Random effects of the clusters; independent rows where clusters show none."""
    alone = effects_of(here, np.arange(len(ids)))
    if alone is None or ids.max() + 1 == len(ids):
        return alone
    together = added(here, alone, dummies(ids))
    return effects_of(here, ids) if together < CORRELATED else alone


def size_trend(
    here: Linearised, effects: RandomEffects, column: Float[np.ndarray, "n"]
) -> float:
    """p-value of the residuals' dependence on the sizes of a column."""
    return added(here, effects, dummies(np.searchsorted(levels(column), column)))


def label_trend(here: Linearised, effects: RandomEffects, column: np.ndarray) -> float:
    """p-value of the residuals' dependence on the values of a label."""
    return added(here, effects, dummies(codes(column)))


def agreement(law: FitResult, ids: Int[np.ndarray, "n"]) -> float:
    """p-value of residuals that agree within clusters; 1 where that cannot be tested,
    or leaves no degree of freedom between the clusters for their variance."""
    if not _testable(law):
        return 1.0
    here = law.linearised
    effects = effects_of(here, np.arange(law.rows))
    if effects is None or effects_of(here, ids) is None:
        return 1.0
    return added(here, effects, dummies(ids))


def cells_agree(law: FitResult) -> bool:
    """Whether runs of one cell err alike."""
    if not _testable(law):
        return False
    cells = law.table.cells(law.form.columns)
    return replicates(law.linearised, cells) < SIGNIFICANT


def _testable(law: FitResult) -> bool:
    """Whether a fit has residuals that are more than the arithmetic's."""
    return bool(np.isfinite(law.objective)) and law.scatter > FINEST


def labels_of(table: Table, used: Sequence[str]) -> Table:
    """The columns of a table that tell rows of equal N and D apart: of a few values,
    which do not follow from N or D."""
    found = {}
    for name, column in table.items():
        if name in (*used, "C") or not 2 <= len(np.unique(column)) <= VALUES:
            continue
        values = codes(column)
        if not any(_follows(values, table[n]) for n in used if n != "L"):
            found[name] = column
    return Table(found)


def _follows(values: np.ndarray, column: np.ndarray) -> bool:
    """Whether one column is a monotonic function of another that has fewer values than
    rows, as the width or a learning rate by width is of N."""
    sizes, group = np.unique(column, return_inverse=True)
    if len(sizes) == len(column):
        return False
    pairs = np.unique(np.stack([group, values]), axis=1)
    steps = np.diff(pairs[1])
    return pairs.shape[1] == len(sizes) and bool(
        np.all(steps >= 0) or np.all(steps <= 0)
    )


def levels(column: Float[np.ndarray, "n"]) -> Sequence[float]:
    """The sizes of a column, each by its largest value.

    Values within `ALIKE` of the one below are one size, and neighbours are grouped
    where there are more than `SIZES`.
    """
    values = np.unique(column)
    ends = values[np.append(np.diff(np.log(values)) > ALIKE, True)]
    groups = np.array_split(ends, min(SIZES, len(ends)))
    return [float(group[-1]) for group in groups]


def dummies(group: Float[np.ndarray, "n"] | Int[np.ndarray, "n"]) -> np.ndarray:
    """One column of zeros and ones for each value."""
    return (group[:, None] == np.unique(group)).astype(float)


def added(
    here: Linearised, effects: RandomEffects, columns: Float[np.ndarray, "n m"]
) -> float:
    """p-value of the F test of further columns beside the law; 1 where they add no
    direction to it, or leave no row.

    Columns of one value in each cluster are compared with the scatter between clusters.
    Others are compared with the scatter within; rows of one trajectory differ less at
    neighbouring D than at distant ones, which the random effects do not describe, so
    that the degrees of freedom are then those of the lower bound of Geisser and
    Greenhouse (Ann. Math. Stat. 29 (1958) 885) for repeated measures: 1, and those
    between the trajectories.
    """
    law, r = effects.whitened(here.jacobian), effects.whitened(here.residuals)
    sigma = scatter(r, law.shape[1], squares=True)
    r = np.clip(r, -CUT * sigma, CUT * sigma)
    own = _beside(law, effects.whitened(columns))
    explained, count = float(np.sum((own.T @ r) ** 2)), own.shape[1]
    trajectories = _within(effects, here.jacobian)
    along = _within(effects, columns)
    if trajectories and not along:
        clusters = _beside(law, effects.whitened(dummies(effects.ids)))
        whole, left = float(np.sum((clusters.T @ r) ** 2)), effects.freedom - count
    else:
        basis = np.linalg.qr(law)[0]
        whole = float(r @ r - np.sum((basis.T @ r) ** 2))
        left = len(r) - law.shape[1] - count
    if not count or left < 1:
        return 1.0
    ratio = explained / count / (max(whole - explained, 1e-300) / left)
    if trajectories and along:
        count, left = 1, max(effects.freedom, 1.0)
    return float(fdtrc(count, left, ratio))


def _beside(
    law: Float[np.ndarray, "n k"], columns: Float[np.ndarray, "n m"]
) -> Float[np.ndarray, "n j"]:
    """Directions that columns add to those of the law."""
    basis = np.linalg.qr(law)[0]
    size = np.linalg.norm(columns, axis=0)
    more = (columns - basis @ (basis.T @ columns)) / np.where(size > 0, size, 1)
    own, spread, _ = np.linalg.svd(more, full_matrices=False)
    return own[:, spread > DIRECTION]


def _within(effects: RandomEffects, columns: Float[np.ndarray, "n m"]) -> bool:
    """Whether columns differ between rows of one cluster, of which some have several
    rows."""
    ids = effects.ids
    if ids.max() + 1 == len(ids):
        return False
    inside = columns - cluster_means(columns, ids)[ids]
    return bool(np.abs(inside).max() > 1e-9 * np.abs(columns).max())


def _bend(
    here: Linearised, effects: RandomEffects, points: Mapping[str, np.ndarray]
) -> float:
    """p-value of quadratic and cubic terms in the logarithms of the columns."""
    logs = [np.log(column) for column in points.values()]
    scaled = [2 * (x - x.mean()) / max(float(np.ptp(x)), 1e-9) for x in logs]
    terms = [
        np.prod(term, axis=0)
        for order in (2, 3)
        for term in combinations_with_replacement(scaled, order)
    ]
    return added(here, effects, np.stack(terms, axis=1))


def replicates(here: Linearised, cells: Int[np.ndarray, "n"]) -> float:
    """p-value of the scatter between cells, beyond that of the runs in them; 1 without
    cells of several runs, or with no more cells than parameters."""
    rows, free = here.jacobian.shape
    count = np.bincount(cells)
    between, within = len(count) - free, rows - len(count)
    if between < 1 or within < 1:
        return 1.0
    mean = np.bincount(cells, here.residuals) / count
    inside = np.sum((here.residuals - mean[cells]) ** 2) / within
    outside = np.sum(count * mean**2) / between
    return float(fdtrc(between, within, outside / max(inside, 1e-300)))
