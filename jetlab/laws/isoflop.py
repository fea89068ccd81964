"""Approach 2: the best size at each compute (arXiv:2203.15556, Section 3.2).

Rows of one compute are a valley in log N. A polynomial of log L through them has a
minimum; power laws go through the minima.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from jetlab.laws.optimal_points import Trajectory, trajectory, with_compute
from jetlab.records import TableLike


@dataclass(frozen=True, kw_only=True)
class Valley:
    """How the minimum of a valley is found.

    `degree` 3 is a cubic of log N, 2 a parabola. `logarithm` fits log L, whose scatter
    is alike everywhere, else L itself. Rows with more than `rise` times the lowest loss
    of their group are left out, by name. `tolerance` is how far apart (relative) the
    compute of neighbouring rows of one group may be. Raises ValueError for others.
    """

    degree: int = 3
    logarithm: bool = True
    rise: float = np.inf
    tolerance: float = 0.02

    def __post_init__(self):
        if self.degree not in (2, 3):
            raise ValueError(f"degree is {self.degree}: 2, a parabola, or 3, a cubic")
        if not (self.rise > 1 and 0 < self.tolerance < 1):
            raise ValueError(
                f"rise {self.rise} must be above 1 and tolerance {self.tolerance}"
                " between 0 and 1"
            )


CUBIC = Valley()
PARABOLA = Valley(degree=2)


@dataclass(frozen=True, kw_only=True)
class Minimum:
    """The minimum of one valley: `error` is the standard error of log N* (NaN where no
    row is to spare), `variance` that of the misses, `spare` rows past parameters."""

    C: float
    N: float
    D: float
    L: float
    error: float
    variance: float
    spare: int


@dataclass(frozen=True, kw_only=True)
class Valleys:
    """The minima of the groups that have one, and the power laws through them."""

    minima: tuple[Minimum, ...]
    trajectory: Trajectory


def isoflop(
    rows: Mapping[str, np.ndarray],
    *,
    group: str | None = None,
    particles: float = 40.0,
    valley: Valley = CUBIC,
    weighted: bool = True,
) -> Valleys:
    """Minima at each compute, and power laws through them.

    `rows` has N, D, L, and C if it is not 6 n_p N D. Groups are equal values of column
    `group`, or computes that lie within the tolerance. A group without a minimum inside
    its sizes is named in `trajectory.left_out`. `weighted` minima count by their
    errors, the scatter pooled over groups, if a row is to spare somewhere. Raises
    ValueError if fewer than two groups have a minimum.
    """
    table = with_compute(rows, particles)
    labels = _labels(table, rows, group, valley.tolerance)
    minima, words = [], []
    for label in np.unique(labels):
        own = {name: column[labels == label] for name, column in table.items()}
        found, said = _minimum(own, valley)
        words += [f"C = {_compute(own):.4g}: {said}"] if said else []
        minima += [found] if found else []
    minima = _pooled(minima)
    errors = np.array([minimum.error for minimum in minima])
    sure = weighted and len(errors) > 0 and bool(np.all(errors > 0))
    points = {k: np.array([getattr(m, k) for m in minima]) for k in "CNDL"}
    through = trajectory(points, tuple(words), weight=errors**-2 if sure else None)
    return Valleys(minima=tuple(minima), trajectory=through)


def _labels(
    table: TableLike,
    rows: Mapping[str, np.ndarray],
    group: str | None,
    tolerance: float,
) -> Int[np.ndarray, "n"]:
    """A number for each row's group."""
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


def _minimum(own: TableLike, valley: Valley) -> tuple[Minimum | None, str]:
    """The minimum of one group, and words on what is missing or left out."""
    near = own["L"] <= valley.rise * own["L"].min()
    far = np.unique(own["N"][~near])
    said = f"left out {len(far)} sizes above {valley.rise:g} times the lowest loss"
    said = said if far.size else ""
    own = {name: column[near] for name, column in own.items()}
    sizes = np.unique(own["N"]).size
    if sizes < valley.degree + 1:
        need = valley.degree + 1
        return None, f"{sizes} sizes, where degree {valley.degree} needs {need}"
    x = np.log(own["N"])
    centre, width = x.mean(), np.ptp(x) / 2
    y = np.log(own["L"]) if valley.logarithm else own["L"]
    design = np.vander((x - centre) / width, valley.degree + 1, increasing=True)
    c = np.linalg.lstsq(design, y, rcond=None)[0]
    at, slope = _bottom(c)
    ends = (x.min() - centre) / width, (x.max() - centre) / width
    if not np.isfinite(at):
        return None, "no minimum: the curve through the rows has none"
    if not ends[0] < at < ends[1]:
        side = "below the smallest" if at <= ends[0] else "above the largest"
        return None, f"no minimum inside: it lies {side} size; add sizes there"
    spare = len(y) - len(c)
    squares = float(np.sum((design @ c - y) ** 2))
    shape = float(slope @ np.linalg.inv(design.T @ design) @ slope) * width**2
    height = float(np.polynomial.polynomial.polyval(at, c))
    order = np.argsort(x)
    log_d = np.interp(centre + width * at, x[order], np.log(own["D"])[order])
    return Minimum(
        C=_compute(own),
        N=float(np.exp(centre + width * at)),
        D=float(np.exp(log_d)),
        L=float(np.exp(height)) if valley.logarithm else height,
        error=float(np.sqrt(shape)),  # at a scatter of 1; `_pooled` has the scatter
        variance=squares / spare if spare else np.nan,
        spare=spare,
    ), said


def _bottom(c: Float[np.ndarray, "p"]) -> tuple[float, Float[np.ndarray, "p"]]:
    """Where a parabola or cubic (coefficients from the constant up) has its minimum,
    NaN without one, and its derivatives by the coefficients."""
    c1, c2, c3 = c[1], c[2], c[3] if len(c) == 4 else 0.0
    root = c2**2 - 3 * c1 * c3
    if root <= 0 or c2 + np.sqrt(root) <= 0:
        return np.nan, np.zeros_like(c)
    at = -c1 / (c2 + np.sqrt(root))
    powers = np.array([0.0, 1.0, 2 * at, 3 * at**2])[: len(c)]
    return float(at), -powers / (2 * np.sqrt(root))


def _pooled(minima: list[Minimum]) -> list[Minimum]:
    """Errors with the scatter of all groups: one row to spare tells none by itself."""
    spare = sum(minimum.spare for minimum in minima)
    squares = sum(m.variance * m.spare for m in minima if m.spare)
    scatter = np.sqrt(squares / spare) if spare else np.nan
    return [replace(m, error=m.error * scatter) for m in minima]
