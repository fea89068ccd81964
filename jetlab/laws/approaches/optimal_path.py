"""The compute-optimal path: optima at several budgets, and power laws through them.

    N*(C) = k_N C^a,  D*(C) = k_D C^a_D,  L(C) = L_inf + K C^-gamma

Result of approaches 1 and 2 of arXiv:2203.15556 (Sections 3.1 and 3.2), and the loss at
a compute between runs, which both need.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import exp
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from jetlab.laws import forms
from jetlab.laws.fit import fit
from jetlab.laws.plans.budget import flops_per_parameter
from jetlab.laws.result import FitResult
from jetlab.laws.tables.table_checks import log_columns
from jetlab.records import TableLike


@dataclass(frozen=True, kw_only=True)
class PowerLaw:
    """y = prefactor x^exponent; `error` is the exponent's standard error, NaN without a
    degree of freedom."""

    exponent: float
    prefactor: float
    error: float


@dataclass(frozen=True, kw_only=True)
class OptimalPath:
    """Optimal N, D and L at each budget C; the power laws N*(C) (`size`) and D*(C)
    (`data`); the fit of L(C) (`loss`), reliable or not. `left_out` names budgets
    without an optimum."""

    C: Float[np.ndarray, "b"]
    N: Float[np.ndarray, "b"]
    D: Float[np.ndarray, "b"]
    L: Float[np.ndarray, "b"]
    size: PowerLaw
    data: PowerLaw
    loss: FitResult
    left_out: tuple[str, ...]


def fit_path(
    points: Mapping[str, Float[np.ndarray, "b"]],
    left_out: tuple[str, ...],
    *,
    weight: Float[np.ndarray, "b"] | None = None,
    points_per_optimum: float = 1.0,
) -> OptimalPath:
    """Power laws through `points` (columns C, N, D, L) by least squares in logarithms.

    Args:
      weight: of the squares.
      points_per_optimum: by how much correlated points exceed independent ones; it
        enlarges the errors.

    Raises:
      ValueError: for fewer than two different budgets.
    """
    distinct = np.unique(points["C"])
    if len(distinct) < 2:
        raise ValueError(
            f"{len(distinct)} compute-optimal points do not make a power law"
            + "".join(f"; {reason}" for reason in left_out)
        )
    weights = np.ones(len(points["C"])) if weight is None else weight
    return OptimalPath(
        C=points["C"],
        N=points["N"],
        D=points["D"],
        L=points["L"],
        size=power_law(points["C"], points["N"], weights, points_per_optimum),
        data=power_law(points["C"], points["D"], weights, points_per_optimum),
        loss=fit(forms.compute_only, {"C": points["C"], "L": points["L"]}),
        left_out=left_out,
    )


def power_law(
    x: Float[np.ndarray, "b"],
    y: Float[np.ndarray, "b"],
    weight: Float[np.ndarray, "b"],
    points_per_optimum: float = 1.0,
) -> PowerLaw:
    """Weighted least squares of log y on log x."""
    share = weight / weight.sum()
    centre = share @ np.log(x), share @ np.log(y)
    dx, dy = np.log(x) - centre[0], np.log(y) - centre[1]
    slope = float(share @ (dx * dy) / (share @ dx**2))
    dof = len(x) / points_per_optimum - 2
    variance = share @ (dy - slope * dx) ** 2
    error = np.sqrt(variance / dof / (share @ dx**2)) if dof > 0 else np.nan
    return PowerLaw(
        exponent=slope,
        prefactor=exp(float(centre[1] - slope * centre[0])),
        error=float(error),
    )


def with_compute(
    rows: Mapping[str, np.ndarray], particles: float
) -> dict[str, np.ndarray]:
    """Columns N, D, L and C as float64; C = 6 n_p N D where the rows have none.

    Raises:
      ValueError: for values that are not positive and finite.
    """
    if not particles > 0:
        raise ValueError(f"particles is {particles}, not positive")
    names = ("N", "D", "L", "C") if "C" in rows else ("N", "D", "L")
    logs = log_columns(rows, names)
    columns = {name: np.asarray(rows[name], float) for name in logs}
    return {"C": flops_per_parameter(particles) * columns["N"] * columns["D"]} | columns


class LossCurve(NamedTuple):
    """Loss and examples against rising compute, of one size or one training run."""

    size: float
    log_c: Float[np.ndarray, "n"]
    log_d: Float[np.ndarray, "n"]
    log_loss: Float[np.ndarray, "n"]

    def spans(self, log_c: float) -> bool:
        return bool(self.log_c[0] <= log_c <= self.log_c[-1])

    def at(self, log_c: float) -> tuple[float, float]:
        """log D and log L at a compute, by the parabola through both neighbours and the
        nearer point beyond them: a chord across factors of C lies above a falling law.
        Linear where every point beyond is closer to a neighbour than half a step."""
        x = self.log_c
        low = int(np.clip(np.searchsorted(x, log_c, "right") - 1, 0, len(x) - 2))
        nodes = [low, low + 1]
        beyond = [i for i in (low - 1, low + 2) if 0 <= i < len(x)]
        gaps = [np.abs(x[i] - x[nodes]).min() for i in beyond]
        half_step = np.ptp(x[nodes]) / 2
        usable = [i for i, gap in zip(beyond, gaps, strict=True) if gap > half_step]
        if usable:
            nodes.append(min(usable, key=lambda i: abs(x[i] - log_c)))
        lagrange = np.array(
            [
                np.prod([(log_c - x[j]) / (x[i] - x[j]) for j in nodes if j != i])
                for i in nodes
            ]
        )
        return float(lagrange @ self.log_d[nodes]), float(
            lagrange @ self.log_loss[nodes]
        )


def loss_curves(rows: Mapping[str, np.ndarray], by: str) -> list[LossCurve]:
    """One curve for each value of column `by`, from columns N, D, L and C; rows of
    equal compute are averaged. Raises ValueError for a curve of several sizes."""
    curves = []
    for label in np.unique(rows[by]):
        own = {name: column[rows[by] == label] for name, column in rows.items()}
        if np.unique(own["N"]).size > 1:
            raise ValueError(f"{by} {label} has several sizes N: a run has one")
        steps, index = np.unique(own["C"], return_inverse=True)
        count = np.bincount(index)
        means = {k: np.bincount(index, own[k]) / count for k in ("D", "L")}
        logs = np.log(steps), np.log(means["D"]), np.log(means["L"])
        curves.append(LossCurve(float(own["N"][0]), *logs))
    return curves


def isoflop_profiles(
    rows: Mapping[str, np.ndarray], budgets: Float[np.ndarray, "b"]
) -> TableLike:
    """Rows N, D, L, C at each budget, one for every size whose runs span it:
    interpolated along D from a grid with columns N, D, L, C."""
    cells = []
    for log_c in np.log(budgets):
        for curve in loss_curves(rows, "N"):
            if len(curve.log_c) > 1 and curve.spans(log_c):
                log_d, log_loss = curve.at(log_c)
                cells.append([curve.size, *np.exp([log_d, log_loss, log_c])])
    columns = np.array(cells).reshape(-1, 4).T
    return dict(zip(("N", "D", "L", "C"), columns, strict=True))
