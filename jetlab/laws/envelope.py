"""Approach 1: the lowest curve at each compute (arXiv:2203.15556, Section 3.1).

No form is assumed, and only sizes that were run can win: N*(C) is a staircase, and
where the smallest or largest size wins it does so for want of others.
"""

from collections.abc import Mapping

import numpy as np

from jetlab.laws.ladders import Ladder, ladders
from jetlab.laws.optimal_points import Trajectory, trajectory, with_compute
from jetlab.records import TableLike

PER_DECADE = 50  # budgets at which the curves are compared


def envelope(
    curves: Mapping[str, np.ndarray], *, run: str = "run", particles: float = 40.0
) -> Trajectory:
    """The envelope of training curves on a grid of compute.

    `curves` has a row for each point of a curve: its column `run` (a number), N, the
    examples D seen so far, L, and C if it is not 6 n_p N D. `run="N"` takes the runs of
    one size as its curve. Curves count where they reach; a budget gives a point if a
    size wins that is neither the smallest nor the largest there. Raises ValueError if
    that leaves fewer than two. Errors count sizes that win, not budgets.
    """
    rows = with_compute(curves, particles)
    if run not in curves:
        raise ValueError(f"the table has no column {run}; it has {list(curves)}")
    rows = rows | {run: np.asarray(curves[run], float)}
    paths = [path for path in ladders(rows, run) if len(path.log_c) > 2]
    if not paths:
        raise ValueError(f"no {run} has three points: there are no curves")
    low, high = np.log(rows["C"].min()), np.log(rows["C"].max())
    count = 2 + int(PER_DECADE * (high - low) / np.log(10))
    budgets = np.linspace(low, high, count)
    won = [_winner(paths, float(log_c)) for log_c in budgets]
    points = np.array([point for point in won if point is not None]).reshape(-1, 4).T
    left = len(budgets) - points.shape[1]
    columns: TableLike = dict(zip("CNDL", points, strict=True))
    sizes = max(1, np.unique(columns["N"]).size)
    words = (
        f"{left} of {len(budgets)} budgets: the smallest or largest size there is the"
        " best, or there are fewer than three",
    )
    return trajectory(
        columns, words if left else (), alike=max(1.0, points.shape[1] / sizes)
    )


def records(rows: Mapping[str, np.ndarray], *, particles: float = 40.0) -> Trajectory:
    """The envelope of finished runs: those that no cheaper run does as well as.

    Coarser than `envelope`: all runs are compared as they are, the first one counts,
    and so do the smallest and largest sizes.
    """
    table = with_compute(rows, particles)
    order = np.lexsort((table["L"], table["C"]))
    sorted_rows: TableLike = {name: column[order] for name, column in table.items()}
    before = np.minimum.accumulate(np.append(np.inf, sorted_rows["L"][:-1]))
    low = sorted_rows["L"] < before
    return trajectory({name: column[low] for name, column in sorted_rows.items()}, ())


def _winner(paths: list[Ladder], log_c: float) -> list[float] | None:
    """C, N, D, L of the lowest curve; None if its size is at an end."""
    there = [path for path in paths if path.spans(log_c)]
    sizes = {path.size for path in there}
    if len(sizes) < 3:
        return None
    values = [path.at(log_c) for path in there]
    best = int(np.argmin([log_loss for _, log_loss in values]))
    if there[best].size in (min(sizes), max(sizes)):
        return None
    log_d, log_loss = values[best]
    return [np.exp(log_c), there[best].size, np.exp(log_d), np.exp(log_loss)]
