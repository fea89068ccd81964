"""Approach 2: the best size at each compute (arXiv:2203.15556, Section 3.2).

A polynomial of log N is fitted to the losses of each isoFLOP profile; power laws go
through the minima. How far a parabola is biased: docs/approaches.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from jetlab.laws.approaches.optimal_path import OptimalPath, fit_path, with_compute
from jetlab.records import TableLike


@dataclass(frozen=True, kw_only=True)
class IsoflopOptions:
    """How the minimum of a profile is found.

    Attributes:
      degree: of the polynomial, 3 (cubic) or 2 (parabola).
      log_loss: fit log L, whose scatter is uniform, or L.
      max_loss_ratio: rows above this times the lowest loss of their profile are left
        out, and named.
      tolerance: largest relative step in compute between neighbouring rows of one
        profile.

    Raises:
      ValueError: for other values.
    """

    degree: int = 3
    log_loss: bool = True
    max_loss_ratio: float = np.inf
    tolerance: float = 0.02

    def __post_init__(self):
        if self.degree not in (2, 3):
            raise ValueError(f"degree is {self.degree}: 2, a parabola, or 3, a cubic")
        if not (self.max_loss_ratio > 1 and 0 < self.tolerance < 1):
            raise ValueError(
                f"max_loss_ratio is {self.max_loss_ratio}, which must be above 1, and"
                f" tolerance {self.tolerance}, which must be between 0 and 1"
            )


CUBIC = IsoflopOptions()
PARABOLA = IsoflopOptions(degree=2)


@dataclass(frozen=True, kw_only=True)
class Minimum:
    """The minimum of one profile. `error` is the standard error of log N (NaN without a
    degree of freedom), `variance` that of the residuals, `dof` degrees of freedom."""

    C: float
    N: float
    D: float
    L: float
    error: float
    variance: float
    dof: int


@dataclass(frozen=True, kw_only=True)
class IsoflopResult:
    """The minima of the profiles that have one, and the power laws through them."""

    minima: tuple[Minimum, ...]
    path: OptimalPath


def isoflop(
    rows: Mapping[str, np.ndarray],
    *,
    group: str | None = None,
    particles: float = 40.0,
    options: IsoflopOptions = CUBIC,
    weighted: bool = True,
) -> IsoflopResult:
    """Minima at each compute, and power laws through them.

    Args:
      rows: columns N, D, L, and C if it is not 6 n_p N D.
      group: the column that names profiles; without, rows within the tolerance in C.
      weighted: weight minima by their errors, of which the scatter is pooled over
        profiles, where there is a degree of freedom.

    A profile without a minimum inside its sizes is named in `path.left_out`.

    Raises:
      ValueError: if fewer than two profiles have a minimum.
    """
    table = with_compute(rows, particles)
    labels = _labels(table, rows, group, options.tolerance)
    minima, left_out = [], []
    for label in np.unique(labels):
        own = {name: column[labels == label] for name, column in table.items()}
        found, reason = _minimum(own, options)
        left_out += [f"C = {_compute(own):.4g}: {reason}"] if reason else []
        minima += [found] if found else []
    minima = _with_pooled_errors(minima)
    errors = np.array([minimum.error for minimum in minima])
    known = weighted and len(errors) > 0 and bool(np.all(errors > 0))
    points = {k: np.array([getattr(m, k) for m in minima]) for k in "CNDL"}
    path = fit_path(points, tuple(left_out), weight=errors**-2 if known else None)
    return IsoflopResult(minima=tuple(minima), path=path)


def _labels(
    table: TableLike,
    rows: Mapping[str, np.ndarray],
    group: str | None,
    tolerance: float,
) -> Int[np.ndarray, "n"]:
    """The number of each row's profile."""
    if group is not None and group not in rows:
        raise ValueError(f"the table has no column {group}; it has {list(rows)}")
    if group is not None:
        return np.unique(rows[group], return_inverse=True)[1].ravel()
    order = np.argsort(table["C"])
    steps = np.diff(np.log(table["C"][order]), prepend=np.log(table["C"].min()))
    labels = np.empty(len(order), int)
    labels[order] = np.cumsum(steps > np.log1p(tolerance))
    return labels


def _compute(own: TableLike) -> float:
    return float(np.exp(np.mean(np.log(own["C"]))))


def _minimum(own: TableLike, options: IsoflopOptions) -> tuple[Minimum | None, str]:
    """The minimum of one profile, and what is missing or left out."""
    near = own["L"] <= options.max_loss_ratio * own["L"].min()
    far = np.unique(own["N"][~near]).size
    ratio = options.max_loss_ratio
    note = f"left out {far} sizes above {ratio:g} times the lowest loss" if far else ""
    own = {name: column[near] for name, column in own.items()}
    sizes, needed = np.unique(own["N"]).size, options.degree + 1
    if sizes < needed:
        return None, f"{sizes} sizes, where degree {options.degree} needs {needed}"
    x = np.log(own["N"])
    centre, width = x.mean(), np.ptp(x) / 2
    y = np.log(own["L"]) if options.log_loss else own["L"]
    design = np.vander((x - centre) / width, needed, increasing=True)
    c = np.linalg.lstsq(design, y, rcond=None)[0]
    at, slope = _stationary(c)
    ends = (x.min() - centre) / width, (x.max() - centre) / width
    if not np.isfinite(at):
        return None, "no minimum: the polynomial through the rows has none"
    if not ends[0] < at < ends[1]:
        side = "below the smallest" if at <= ends[0] else "above the largest"
        return None, f"no minimum inside: it lies {side} size; add sizes there"
    dof = len(y) - len(c)
    squares = float(np.sum((design @ c - y) ** 2))
    variance = float(slope @ np.linalg.inv(design.T @ design) @ slope) * width**2
    height = float(np.polynomial.polynomial.polyval(at, c))
    order = np.argsort(x)
    log_d = np.interp(centre + width * at, x[order], np.log(own["D"])[order])
    return Minimum(
        C=_compute(own),
        N=float(np.exp(centre + width * at)),
        D=float(np.exp(log_d)),
        L=float(np.exp(height)) if options.log_loss else height,
        error=float(np.sqrt(variance)),  # for unit scatter, until the scatter is pooled
        variance=squares / dof if dof else np.nan,
        dof=dof,
    ), note


def _stationary(c: Float[np.ndarray, "p"]) -> tuple[float, Float[np.ndarray, "p"]]:
    """The minimum of a parabola or cubic (coefficients from the constant up), NaN
    without one, and its derivatives by the coefficients."""
    c1, c2, c3 = c[1], c[2], c[3] if len(c) == 4 else 0.0
    root = c2**2 - 3 * c1 * c3
    if root <= 0 or c2 + np.sqrt(root) <= 0:
        return np.nan, np.zeros_like(c)
    at = -c1 / (c2 + np.sqrt(root))
    powers = np.array([0.0, 1.0, 2 * at, 3 * at**2])[: len(c)]
    return float(at), -powers / (2 * np.sqrt(root))


def _with_pooled_errors(minima: list[Minimum]) -> list[Minimum]:
    """Errors by the scatter of all profiles: one degree of freedom determines none."""
    dof = sum(minimum.dof for minimum in minima)
    squares = sum(m.variance * m.dof for m in minima if m.dof)
    scatter = np.sqrt(squares / dof) if dof else np.nan
    return [replace(m, error=m.error * scatter) for m in minima]
