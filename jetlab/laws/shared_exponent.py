"""Is one exponent common to several tables? A joint fit against separate fits.

arXiv:2602.15781, Section 3.3, holds that inputs move the floor of a tagger and not the
rate at which data lower it: one beta_rep for all, L_inf and B_rep for each.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import fdtrc

from jetlab.laws.fit import fit
from jetlab.laws.misfit import SQUARES
from jetlab.laws.result import FitResult
from jetlab.laws.terms import Form
from jetlab.records import TableLike

SEARCHED = 3.0  # times beyond the separate values
ROUNDING = 1e-300  # in place of a sum of squares of zero


@dataclass(frozen=True, kw_only=True)
class SharedExponent:
    """Laws of several tables, by least squares of log L.

    `separate` are fitted one by one, `common` with one `value` of the parameter `name`.
    `p_value` is that of the F test of one value against separate ones, as for linear
    models. `delta_aicc` is Akaike's criterion of the common fit minus that of the
    separate ones, corrected for few rows (Hurvich and Tsai, Biometrika 76 (1989) 297):
    negative where one value suffices; NaN for fewer rows than about twice the
    parameters, where its correction dominates.
    """

    name: str
    value: float
    common: tuple[FitResult, ...]
    separate: tuple[FitResult, ...]
    p_value: float
    delta_aicc: float


def fit_shared_exponent(
    form: Form,
    tables: Sequence[TableLike],
    name: str,
    fixed: Sequence[Mapping[str, float]],
) -> SharedExponent:
    """Fits of `form` to each table, with the parameter `name` separate and in common.

    Args:
      fixed: parameters fixed in each table.

    Raises:
      ValueError: for fewer than two tables, or one that cannot be fitted.
    """
    if len(tables) < 2:
        raise ValueError(
            f"a joint fit of {name} needs two tables or more; there is one"
        )

    def fits(more: Mapping[str, float]) -> tuple[FitResult, ...]:
        pairs = zip(tables, fixed, strict=True)
        return tuple(
            fit(form, t, fixed={**known, **more}, misfit=SQUARES) for t, known in pairs
        )

    separate = fits({})
    values = np.array([law.params[name] for law in separate])
    if not np.isfinite(values).all():
        bad = next(law for law in separate if not np.isfinite(law.params[name]))
        raise ValueError(f"a table has no fit of its own: {bad.message}")
    ends = values.min() / SEARCHED, values.max() * SEARCHED
    found: Any = minimize_scalar(
        lambda value: sum(law.objective for law in fits({name: value})),
        bounds=(min(ends), max(ends)),
        method="bounded",
        options={"xatol": 1e-6},
    )
    common = fits({name: float(found.x)})
    return SharedExponent(
        name=name,
        value=float(found.x),
        common=common,
        separate=separate,
        p_value=_p_value(common, separate),
        delta_aicc=_delta_aicc(common, separate),
    )


def _p_value(common: Sequence[FitResult], separate: Sequence[FitResult]) -> float:
    """F test of the two sums of squares."""
    rows, parameters = _counts(separate)
    saved, dof = len(separate) - 1, rows - parameters  # > 0, as each table has a fit
    gain = (_squares(common) - _squares(separate)) / saved
    return float(fdtrc(saved, dof, max(gain, 0) / (_squares(separate) / dof)))


def _delta_aicc(common: Sequence[FitResult], separate: Sequence[FitResult]) -> float:
    rows, parameters = _counts(separate)
    if rows < 2 * (parameters + 1) + 1:
        return np.nan
    fewer = parameters - (len(separate) - 1)
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
      ValueError: as `fit_shared_exponent`, for the rows that are left.
    """
    last = [int(np.argmax(table["D"])) for table in tables]
    rest = [
        {key: np.delete(np.asarray(values), row) for key, values in table.items()}
        for table, row in zip(tables, last, strict=True)
    ]
    found = fit_shared_exponent(form, rest, name, fixed)

    def error(laws: Sequence[FitResult]) -> float:
        misses = [
            np.log(law.predict({key: table[key][[row]] for key in form.columns})[0])
            - np.log(table["L"][row])
            for law, table, row in zip(laws, tables, last, strict=True)
        ]
        return float(np.sqrt(np.mean(np.square(misses))))

    return error(found.common), error(found.separate)
