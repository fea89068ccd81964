"""Losses at a compute that was not run, between runs of one size or along one curve."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from jetlab.records import TableLike


class Ladder(NamedTuple):
    """One size, or one training run: losses and examples at rising compute."""

    size: float
    log_c: Float[np.ndarray, "n"]
    log_d: Float[np.ndarray, "n"]
    log_loss: Float[np.ndarray, "n"]

    def spans(self, log_c: float) -> bool:
        return bool(self.log_c[0] <= log_c <= self.log_c[-1])

    def at(self, log_c: float) -> tuple[float, float]:
        """log D and log L there, by the parabola through the rungs on both sides and
        the nearer of those beyond: a straight line between rungs that are factors apart
        is above a falling law. Straight where that third one all but doubles a rung."""
        x = self.log_c
        low = int(np.clip(np.searchsorted(x, log_c, "right") - 1, 0, len(x) - 2))
        near = [low, low + 1]
        beyond = [i for i in (low - 1, low + 2) if 0 <= i < len(x)]
        gaps = [np.abs(x[i] - x[near]).min() for i in beyond]
        apart = np.ptp(x[near]) / 2
        wide = [i for i, gap in zip(beyond, gaps, strict=True) if gap > apart]
        if wide:
            near.append(min(wide, key=lambda i: abs(x[i] - log_c)))
        share = np.array(
            [
                np.prod([(log_c - x[j]) / (x[i] - x[j]) for j in near if j != i])
                for i in near
            ]
        )
        return float(share @ self.log_d[near]), float(share @ self.log_loss[near])


def ladders(rows: Mapping[str, np.ndarray], by: str) -> list[Ladder]:
    """One for each value of column `by`, from columns N, D, L, C; rows at the same
    compute are averaged. Raises ValueError if such a group has two sizes."""
    found = []
    for label in np.unique(rows[by]):
        own = {name: column[rows[by] == label] for name, column in rows.items()}
        if np.unique(own["N"]).size > 1:
            raise ValueError(f"{by} {label} has several sizes N: a run has one")
        steps, rung = np.unique(own["C"], return_inverse=True)
        count = np.bincount(rung)
        means = {k: np.bincount(rung, own[k]) / count for k in ("D", "L")}
        logs = np.log(steps), np.log(means["D"]), np.log(means["L"])
        found.append(Ladder(float(own["N"][0]), *logs))
    return found


def slices(
    rows: Mapping[str, np.ndarray], budgets: Float[np.ndarray, "b"]
) -> TableLike:
    """Rows N, D, L, C at each budget, one for every size whose runs span it: an
    iso-FLOP table out of a grid, from columns N, D, L, C."""
    cells = []
    for log_c in np.log(budgets):
        for ladder in ladders(rows, "N"):
            if len(ladder.log_c) > 1 and ladder.spans(log_c):
                log_d, log_loss = ladder.at(log_c)
                cells.append([ladder.size, *np.exp([log_d, log_loss, log_c])])
    columns = np.array(cells).reshape(-1, 4).T
    return dict(zip(("N", "D", "L", "C"), columns, strict=True))
