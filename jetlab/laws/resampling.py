"""Other experiments that might have been: rows drawn anew, or losses scattered anew.

Rows that share something (seeds of one cell, points of one trajectory) share their
luck: a cluster is drawn, or scattered, as one.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int
from scipy.special import stdtrit

from jetlab.laws.cells import cells
from jetlab.laws.newton import Rows

Labels = Sequence | np.ndarray


def clusters(
    labels: Labels | None, table: Mapping[str, np.ndarray], columns: Sequence[str]
) -> Int[np.ndarray, "n"]:
    """The number of each row's cluster; without labels those are the cells.

    Raises:
      ValueError: for labels of another number of rows.
    """
    if labels is None:
        return cells(table, columns)
    rows = len(table["L"])
    if len(labels) != rows:
        raise ValueError(f"{len(labels)} labels for a table of {rows} rows")
    return np.unique(np.asarray(labels), return_inverse=True)[1].reshape(-1)


def student(level: float, freedom: float) -> float:
    """t such that |Student's t| with so many degrees of freedom stays below it with
    probability `level`."""
    return float(stdtrit(freedom, (1 + level) / 2))


def drawn(
    rows: Rows, ids: Int[np.ndarray, "n"], draws: int, seed: int
) -> Float[np.ndarray, "draws p"]:
    """Weights of tables whose clusters are drawn with replacement, as many as there
    are (arXiv:2404.10102 draws rows)."""
    count = ids.max() + 1
    rng = np.random.default_rng(seed)
    times = rng.multinomial(count, np.full(count, 1 / count), draws)
    weight = np.asarray(rows.weight)
    shaken = np.zeros((draws, len(weight)))
    shaken[:, : len(ids)] = times[:, ids]
    return shaken * weight


def scattered(
    rows: Rows,
    residuals: Float[np.ndarray, "n"],
    ids: Int[np.ndarray, "n"],
    free: int,
    draws: int,
    seed: int,
) -> Float[np.ndarray, "draws p"]:
    """log L of tables that keep N and D: the wild bootstrap by cluster.

    The fitted log L plus the residual, turned by one sign a cluster, +1 or -1 (Cameron,
    Gelbach and Miller, Rev. Econ. Stat. 90 (2008) 414). Residuals are enlarged by
    sqrt(G / (G - 1) (n - 1) / (n - k)), as fits take k of them up; `residuals` are
    log L_fit - log L.
    """
    n, count = len(ids), ids.max() + 1
    enlarged = np.sqrt(count / (count - 1) * (n - 1) / (n - free)) * residuals
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], (draws, count))
    log_loss = np.asarray(rows.log_loss)
    tables = np.broadcast_to(log_loss, (draws, len(log_loss))).copy()
    tables[:, :n] += residuals + signs[:, ids] * enlarged
    return tables
