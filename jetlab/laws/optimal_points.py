"""Compute-optimal points, and the power laws through them.

    N*(C) = k_N C^a_N,  D*(C) = k_D C^a_D,  L(C) = L_inf + K C^-gamma

What approaches 1 and 2 of arXiv:2203.15556 (Sections 3.1 and 3.2) end in.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import exp

import numpy as np
from jaxtyping import Float

from jetlab.laws import forms
from jetlab.laws.fit import fit
from jetlab.laws.result import FitResult
from jetlab.laws.table_io import log_columns


@dataclass(frozen=True, kw_only=True)
class PowerLaw:
    """y = prefactor x^exponent, with the exponent's standard error (NaN where two
    points leave none)."""

    exponent: float
    prefactor: float
    error: float


@dataclass(frozen=True, kw_only=True)
class Trajectory:
    """Optimal N, D and L at each budget C, power laws N*(C) and D*(C) through them, and
    the law L(C), which says itself whether these points decide it. `left_out` names
    what gave no point."""

    C: Float[np.ndarray, "b"]
    N: Float[np.ndarray, "b"]
    D: Float[np.ndarray, "b"]
    L: Float[np.ndarray, "b"]
    size: PowerLaw
    data: PowerLaw
    loss: FitResult
    left_out: tuple[str, ...]


def trajectory(
    points: Mapping[str, Float[np.ndarray, "b"]],
    left_out: tuple[str, ...],
    *,
    weight: Float[np.ndarray, "b"] | None = None,
    alike: float = 1.0,
) -> Trajectory:
    """Power laws through `points` (columns C, N, D, L) by least squares in logarithms.

    `weight` multiplies the squares; `alike` is how many points repeat one another, by
    which errors allow. Raises ValueError for fewer than two different budgets.
    """
    distinct = np.unique(points["C"])
    if len(distinct) < 2:
        raise ValueError(
            f"{len(distinct)} compute-optimal points do not make a power law"
            + "".join(f"; {words}" for words in left_out)
        )
    equal = np.ones(len(points["C"])) if weight is None else weight
    return Trajectory(
        C=points["C"],
        N=points["N"],
        D=points["D"],
        L=points["L"],
        size=power_law(points["C"], points["N"], equal, alike),
        data=power_law(points["C"], points["D"], equal, alike),
        loss=fit(forms.compute_only, {"C": points["C"], "L": points["L"]}),
        left_out=left_out,
    )


def power_law(
    x: Float[np.ndarray, "b"],
    y: Float[np.ndarray, "b"],
    weight: Float[np.ndarray, "b"],
    alike: float = 1.0,
) -> PowerLaw:
    """Weighted least squares of log y on log x."""
    share = weight / weight.sum()
    centre = share @ np.log(x), share @ np.log(y)
    dx, dy = np.log(x) - centre[0], np.log(y) - centre[1]
    slope = float(share @ (dx * dy) / (share @ dx**2))
    spare = len(x) / alike - 2
    misses = share @ (dy - slope * dx) ** 2
    error = np.sqrt(misses / spare / (share @ dx**2)) if spare > 0 else np.nan
    return PowerLaw(
        exponent=slope,
        prefactor=exp(float(centre[1] - slope * centre[0])),
        error=float(error),
    )


def with_compute(
    rows: Mapping[str, np.ndarray], particles: float
) -> dict[str, np.ndarray]:
    """Columns N, D, L and C as float64; C = 6 n_p N D unless the rows count it
    themselves. Raises ValueError for values without a logarithm."""
    if not particles > 0:
        raise ValueError(f"particles is {particles}, not positive")
    names = ("N", "D", "L", "C") if "C" in rows else ("N", "D", "L")
    logs = log_columns(rows, names)
    columns = {name: np.asarray(rows[name], float) for name in logs}
    return {"C": 6 * particles * columns["N"] * columns["D"]} | columns
