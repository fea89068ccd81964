"""Is one exponent the same in several tables? A law through each, one of its
parameters common to all, beside laws that share nothing.

arXiv:2602.15781, Section 3.3, holds that inputs move the floor of a tagger and not the
rate at which data lower it: beta_rep in common, L_inf and B_rep for each.
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

WIDEST = 3.0  # times the values fitted one by one, between which one is sought


@dataclass(frozen=True, kw_only=True)
class Shared:
    """Laws through several tables, by least squares of log L.

    `free` are fitted one by one, `common` with `value` for the parameter `name` in all.
    `chance` is that of so large a gain by the free values where there is one value: the
    F test of the two sums of squares, as for a linear model. `aic` is Akaike's
    criterion of the shared law minus that of the free ones, corrected for few rows
    (Hurvich and Tsai, Biometrika 76 (1989) 297). Both are NaN where rows are too few:
    the test needs more than parameters, the criterion twice as many, or its correction
    decides alone.
    """

    name: str
    value: float
    common: tuple[FitResult, ...]
    free: tuple[FitResult, ...]
    chance: float
    aic: float


def shared(
    form: Form,
    tables: Sequence[TableLike],
    name: str,
    fixed: Sequence[Mapping[str, float]],
) -> Shared:
    """Fits of `form` to each table, the parameter `name` free and in common; `fixed`
    holds what is fixed in each.

    Raises:
      ValueError: for fewer than two tables, or one that cannot be fitted.
    """
    if len(tables) < 2:
        raise ValueError(f"{name} is shared by two tables or more; there is one")

    def fits(more: Mapping[str, float]) -> tuple[FitResult, ...]:
        pairs = zip(tables, fixed, strict=True)
        return tuple(
            fit(form, t, fixed={**known, **more}, misfit=SQUARES) for t, known in pairs
        )

    free = fits({})
    alone = np.array([law.params[name] for law in free])
    if not np.isfinite(alone).all():
        bad = next(law for law in free if not np.isfinite(law.params[name]))
        raise ValueError(f"a table has no fit of its own: {bad.message}")
    ends = alone.min() / WIDEST, alone.max() * WIDEST
    found: Any = minimize_scalar(
        lambda value: sum(law.objective for law in fits({name: value})),
        bounds=(min(ends), max(ends)),
        method="bounded",
        options={"xatol": 1e-6},
    )
    value = float(found.x)
    common = fits({name: value})
    count = sum(law.rows for law in free)
    parameters, fewer = sum(law.free for law in free), len(tables) - 1
    few = count < 2 * (parameters + 1) + 1
    one, each = _aic(common, count, parameters - fewer), _aic(free, count, parameters)
    return Shared(
        name=name,
        value=value,
        common=common,
        free=free,
        chance=_chance(common, free, fewer, count - parameters),
        aic=np.nan if few else one - each,
    )


def _aic(laws: Sequence[FitResult], count: int, parameters: int) -> float:
    """n ln(RSS / n) + 2 k + 2 k (k + 1) / (n - k - 1), k with the scatter's one."""
    k = parameters + 1
    if count - k - 1 <= 0:
        return np.nan
    return count * np.log(_squares(laws) / count) + 2 * k * count / (count - k - 1)


def _chance(
    common: Sequence[FitResult], free: Sequence[FitResult], fewer: int, freedom: int
) -> float:
    if freedom < 1:
        return np.nan
    gain = (_squares(common) - _squares(free)) / fewer
    return float(fdtrc(fewer, freedom, max(gain, 0) / (_squares(free) / freedom)))


def _squares(laws: Sequence[FitResult]) -> float:
    return max(sum(float(np.sum(law.residuals**2)) for law in laws), 1e-300)


def held_out(
    form: Form,
    tables: Sequence[TableLike],
    name: str,
    fixed: Sequence[Mapping[str, float]],
) -> tuple[float, float]:
    """How well the rows of each table but that of its largest D foretell it: root mean
    square error of log L, with `name` shared and free.

    Raises:
      ValueError: as `shared` does, for the rows that are left.
    """
    last = [int(np.argmax(table["D"])) for table in tables]
    rest = [
        {key: np.delete(np.asarray(values), row) for key, values in table.items()}
        for table, row in zip(tables, last, strict=True)
    ]
    found = shared(form, rest, name, fixed)

    def error(laws: Sequence[FitResult]) -> float:
        misses = [
            np.log(law.predict({key: table[key][[row]] for key in form.columns})[0])
            - np.log(table["L"][row])
            for law, table, row in zip(laws, tables, last, strict=True)
        ]
        return float(np.sqrt(np.mean(np.square(misses))))

    return error(found.common), error(found.free)
