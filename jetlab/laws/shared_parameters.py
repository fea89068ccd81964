"""Are parameters common to several tables? A joint fit against separate fits.

arXiv:2602.15781, Section 3.3, holds that inputs move the floor of a tagger and not the
rate at which data lower it: one beta_rep for all, L_inf and B_rep for each.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.optimize import minimize, minimize_scalar
from scipy.special import fdtrc

from jetlab.laws.fit import fit
from jetlab.laws.fitting.misfit import SQUARES
from jetlab.laws.result import FitResult
from jetlab.laws.terms import Form
from jetlab.records import TableLike

SEARCHED = 3.0  # times beyond the separate values
SIMPLEX = 0.05  # first steps of several parameters, relative
ROUNDING = 1e-300  # in place of a sum of squares of zero


@dataclass(frozen=True, kw_only=True)
class SharedParameters:
    """Laws of several tables, by least squares of log L.

    `separate` are fitted one by one, `common` with the same `values` of the shared
    parameters. `p_value` is that of the F test of common values against separate ones,
    as for linear models. `delta_aicc` is Akaike's criterion of the common fit minus
    that of the separate ones, corrected for few rows (Hurvich and Tsai, Biometrika 76
    (1989) 297): negative where common values suffice; NaN for fewer rows than about
    twice the parameters, where its correction dominates.
    """

    values: dict[str, float]
    common: tuple[FitResult, ...]
    separate: tuple[FitResult, ...]
    p_value: float
    delta_aicc: float

    def record(self, names: Sequence[str]) -> dict[str, Any]:
        """As JSON holds it, the parameters of each table by its name."""
        return {
            "values": self.values,
            "p_value": self.p_value,
            "delta_aicc": self.delta_aicc if np.isfinite(self.delta_aicc) else None,
            "params": {
                name: law.params for name, law in zip(names, self.common, strict=True)
            },
        }

    def lines(self, names: Sequence[str]) -> list[str]:
        """The test in words, and the parameters of each table."""
        values = ", ".join(f"{name} = {v:.4g}" for name, v in self.values.items())
        found = [
            f"in common: {values}; F test of one value against one for each group:"
            f" p = {self.p_value:.2g}"
        ]
        for name, law in zip(names, self.common, strict=True):
            own = [
                f"{n} = {v:.4g}" for n, v in law.params.items() if n not in law.fixed
            ]
            found.append(f"  {name}: {', '.join(own)}")
        return found


def fit_shared(
    form: Form,
    tables: Sequence[TableLike],
    names: Sequence[str],
    fixed: Sequence[Mapping[str, float]],
) -> SharedParameters:
    """Fits of `form` to each table, with the parameters `names` separate and in common.

    Args:
      fixed: parameters fixed in each table.

    Raises:
      ValueError: for fewer than two tables, one that cannot be fitted, or parameters
        that the form lacks or that are fixed.
    """
    if len(tables) < 2:
        raise ValueError(
            f"a joint fit of {', '.join(names)} needs two tables or more; there is one"
        )
    free = [n for n in form.names if not any(n in known for known in fixed)]
    if unknown := [name for name in names if name not in free]:
        raise ValueError(
            f"{unknown[0]} cannot be shared: the free parameters of {form.name} are"
            f" {', '.join(free)}"
        )

    def fits(more: Mapping[str, float]) -> tuple[FitResult, ...]:
        pairs = zip(tables, fixed, strict=True)
        return tuple(
            fit(form, t, fixed={**known, **more}, misfit=SQUARES) for t, known in pairs
        )

    def total(values: Float[np.ndarray, "s"]) -> float:
        found = fits(dict(zip(names, values.tolist(), strict=True)))
        return sum(law.objective for law in found)

    separate = fits({})
    each = np.array([[law.params[name] for name in names] for law in separate])
    if not np.isfinite(each).all():
        bad = next(law for law in separate if not np.isfinite(law.objective))
        raise ValueError(f"a table has no fit of its own: {bad.message}")
    values = dict(zip(names, _minimum(total, each).tolist(), strict=True))
    common = fits(values)
    return SharedParameters(
        values=values,
        common=common,
        separate=separate,
        p_value=_p_value(common, separate, len(names)),
        delta_aicc=_delta_aicc(common, separate, len(names)),
    )


def _minimum(total: Any, each: Float[np.ndarray, "t s"]) -> Float[np.ndarray, "s"]:
    """The shared values of the least sum of squares: between the separate ones and a
    factor beyond for one parameter, from their mean for several."""
    if each.shape[1] == 1:
        ends = each.min() / SEARCHED, each.max() * SEARCHED
        found: Any = minimize_scalar(
            lambda value: total(np.array([value])),
            bounds=(min(ends), max(ends)),
            method="bounded",
            options={"xatol": 1e-6},
        )
        return np.array([float(found.x)])
    start = each.mean(axis=0)
    simplex = np.concatenate([start[None], start + np.diag(SIMPLEX * np.abs(start))])
    options = {"initial_simplex": simplex, "xatol": 1e-6, "fatol": 1e-12}
    return np.asarray(minimize(total, start, method="Nelder-Mead", options=options).x)


def _p_value(
    common: Sequence[FitResult], separate: Sequence[FitResult], shared: int
) -> float:
    """F test of the two sums of squares."""
    rows, parameters = _counts(separate)
    saved, dof = shared * (len(separate) - 1), rows - parameters  # > 0: each has a fit
    gain = (_squares(common) - _squares(separate)) / saved
    return float(fdtrc(saved, dof, max(gain, 0) / (_squares(separate) / dof)))


def _delta_aicc(
    common: Sequence[FitResult], separate: Sequence[FitResult], shared: int
) -> float:
    rows, parameters = _counts(separate)
    if rows < 2 * (parameters + 1) + 1:
        return np.nan
    fewer = parameters - shared * (len(separate) - 1)
    return _aicc(common, rows, fewer) - _aicc(separate, rows, parameters)


def _aicc(laws: Sequence[FitResult], rows: int, parameters: int) -> float:
    """n ln(RSS / n) + 2 k + 2 k (k + 1) / (n - k - 1), with the scatter among the k."""
    k = parameters + 1
    return rows * np.log(_squares(laws) / rows) + 2 * k * rows / (rows - k - 1)


def _counts(separate: Sequence[FitResult]) -> tuple[int, int]:
    """Rows and free parameters of all tables."""
    return sum(law.rows for law in separate), sum(law.free for law in separate)


def _squares(laws: Sequence[FitResult]) -> float:
    return max(sum(float(np.sum(law.residuals**2)) for law in laws), ROUNDING)


def holdout_errors(
    form: Form,
    tables: Sequence[TableLike],
    name: str,
    fixed: Sequence[Mapping[str, float]],
) -> tuple[float, float]:
    """Prediction of each table's row of largest D from its other rows: root mean square
    error of log L, with `name` in common and separate.

    Raises:
      ValueError: as `fit_shared`, for the rows that are left.
    """
    last = [int(np.argmax(table["D"])) for table in tables]
    rest = [
        {key: np.delete(np.asarray(values), row) for key, values in table.items()}
        for table, row in zip(tables, last, strict=True)
    ]
    found = fit_shared(form, rest, [name], fixed)

    def error(laws: Sequence[FitResult]) -> float:
        misses = [
            np.log(law.predict({key: table[key][[row]] for key in form.columns})[0])
            - np.log(table["L"][row])
            for law, table, row in zip(laws, tables, last, strict=True)
        ]
        return float(np.sqrt(np.mean(np.square(misses))))

    return error(found.common), error(found.separate)
