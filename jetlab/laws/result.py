"""A fitted law as a value: what it says, how sure it is, and whether to believe it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

import numpy as np
from jaxtyping import Float

from jetlab.laws.form import Form
from jetlab.laws.forms import named
from jetlab.laws.information import scatter
from jetlab.laws.misfit import HUBER, Misfit

UNKNOWN = (np.nan, np.nan)
LEVEL = 0.68
"""Coverage of the intervals quoted, as in arXiv:2602.15781."""

OUTLYING = 5.0  # robust sigmas
FINEST = 1e-6  # of log L: a scatter below it is the arithmetic's
NAMED = 5  # rows that a message names; the JSON has all
KEPT = 1000  # draws that go into a file, enough for the intervals of an allocation


def percentiles(
    values: Float[np.ndarray, "draws *n"], level: float = LEVEL
) -> Float[np.ndarray, "2 *n"]:
    """Central interval that holds a share `level` of the draws."""
    tail = (1 - level) / 2
    return np.quantile(values, (tail, 1 - tail), axis=0)


@dataclass(frozen=True, kw_only=True)
class Draws:
    """Parameters of bootstrap refits: `values[name]` has one entry a refit that
    converged; `asked` counts all, and `message` says what was left out."""

    values: dict[str, Float[np.ndarray, "draws"]]
    asked: int
    message: str

    @property
    def intervals(self) -> dict[str, tuple[float, float]]:
        """68 % percentile interval of each parameter."""
        ends = {k: percentiles(draws) for k, draws in self.values.items() if draws.size}
        return {name: (float(low), float(high)) for name, (low, high) in ends.items()}


@dataclass(frozen=True, kw_only=True)
class FitResult:
    """A form fitted to rows.

    `params` are physical values; `objective` is the weighted sum of the misfit of log
    residuals, `weight` the column of weights. Where `converged` or `identified` is
    False, `message` says why, and the numbers are not to be quoted; they are NaN where
    there was nothing to fit. `residuals` are log(fitted) - log(L), row by row. `span`
    is the range of each column in the rows, and of their product "ND" where the form
    reads both N and D. `left_out` has the reason by number (from 0) of each row of the
    table that was not fitted; `points` are the form's columns of the rows that were.
    """

    form: Form
    params: dict[str, float]
    objective: float
    converged: bool
    identified: bool
    message: str
    rows: int
    span: dict[str, tuple[float, float]]
    residuals: Float[np.ndarray, "n"]
    fixed: dict[str, float] = field(default_factory=dict)
    bounds: dict[str, tuple[float, float]] = field(default_factory=dict)
    draws: Draws | None = None
    misfit: Misfit = HUBER
    weight: str | None = None
    left_out: dict[int, str] = field(default_factory=dict)
    points: dict[str, Float[np.ndarray, "n"]] = field(default_factory=dict)

    @property
    def delta(self) -> float:
        """The misfit's delta."""
        return self.misfit.delta

    @property
    def scatter(self) -> float:
        """Robust sigma of log L about the law (`jetlab.laws.information.scatter`)."""
        if self.rows <= self.free:
            return np.nan
        squares = self.misfit.kind == "squares"
        return scatter(self.residuals, self.free, squares=squares)

    @property
    def free(self) -> int:
        """Number of parameters that were fitted."""
        return len(self.params) - len(self.fixed)

    @property
    def outliers(self) -> tuple[int, ...]:
        """Rows (from 0) more than five robust sigmas off the law, the worst first. They
        are part of the fit."""
        size = np.abs(self.residuals)
        far = np.flatnonzero(size > OUTLYING * max(self.scatter, FINEST))
        return tuple(int(i) for i in far[np.argsort(-size[far])])

    @property
    def exceptions(self) -> list[str]:
        """Sentences on the outliers and on rows left out; none where there are none."""
        off = [
            f"{row} ({100 * np.expm1(-self.residuals[row]):+.3g} %)"
            for row in self.outliers
        ]
        out = [f"{row} ({why})" for row, why in self.left_out.items()]
        return [
            *_listed(off, f"more than {OUTLYING:g} robust sigmas from the law, kept"),
            *_listed(out, "left out"),
        ]

    def predict(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """The fitted loss at each row of columns N, D (those that the form reads)."""
        return self.form.predict(self.params, columns)

    @property
    def intervals(self) -> dict[str, tuple[float, float]]:
        """68 % intervals, of no width for fixed parameters; empty without draws."""
        return self.draws.intervals if self.draws else {}

    @property
    def reliable(self) -> bool:
        """Whether the numbers may be quoted: converged and identified."""
        return self.converged and self.identified

    @property
    def derived(self) -> dict[str, float]:
        """Exponents of the compute-optimal path of a law with N and D: N* ~ C^a,
        D* ~ C^a_D, L - L_inf ~ C^-gamma (arXiv:2203.15556, Eq. 4); empty for others."""
        return {name: float(value) for name, value in _exponents(self.params).items()}

    def interval(self, name: str, level: float = LEVEL) -> tuple[float, float]:
        """Percentile interval of a parameter or a derived exponent over the draws.

        Raises:
          ValueError: for an unknown name, or a fit without draws.
        """
        draws = self.draws.values if self.draws else {}
        values = {**draws, **_exponents(draws)}
        if name not in {*self.params, *self.derived}:
            known = ", ".join([*self.params, *self.derived])
            raise ValueError(f"the fit has no {name}; it has {known}")
        if name not in values or not values[name].size:
            raise ValueError(f"no interval of {name}: fit with bootstrap=1000")
        low, high = percentiles(values[name], level)
        return float(low), float(high)

    def to_json(self) -> str:
        """One object, with null for a number that there is not.

        Scripts may rely on `params`, `intervals`, `objective`, `converged`,
        `identified` and `rows`; `from_json` reads the rest back.
        """
        record = {
            "form": self.form.name,
            "formula": self.form.formula,
            "params": {k: _rounded(v, 17) for k, v in self.params.items()},
            "intervals": {
                name: [_rounded(end, 17) for end in self.intervals.get(name, UNKNOWN)]
                for name in self.params
            },
            "objective": _rounded(self.objective, 17),
            "converged": self.converged,
            "identified": self.identified,
            "message": self.message,
            "rows": self.rows,
            "misfit": self.misfit.record(),
            "weight": self.weight,
            "scatter": _rounded(self.scatter, 6),
            "outliers": list(self.outliers),
            "left_out": {str(row): why for row, why in self.left_out.items()},
            "fixed": self.fixed,
            "bounds": {name: list(ends) for name, ends in self.bounds.items()},
            "span": {name: list(ends) for name, ends in self.span.items()},
            "points": {n: _numbers(column) for n, column in self.points.items()},
            "residuals": [_rounded(r, 6) for r in self.residuals],
            "draws": _draws_record(self.draws),
        }
        return json.dumps(record, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> "FitResult":
        """A fit as `to_json` wrote it. Raises ValueError for anything else."""
        try:
            return _read(json.loads(text))
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(
                f"not a fit as `jetlab fit --json` writes it: {error!r}"
            ) from error


def _exponents(params: Mapping[str, Any]) -> dict[str, Any]:
    """a = beta / (alpha + beta), a_D = 1 - a, gamma = alpha beta / (alpha + beta), of
    values or of arrays of draws."""
    if not {"alpha", "beta", "L_inf"} <= params.keys():
        return {}
    alpha, beta = params["alpha"], params["beta"]
    a = beta / (alpha + beta)
    return {"a": a, "a_D": 1 - a, "gamma": alpha * a}


def _listed(items: list[str], what: str) -> list[str]:
    """One sentence that counts the rows and names the first of them."""
    if not items:
        return []
    noun = "row" if len(items) == 1 else "rows"
    names = ", ".join(items[:NAMED]) + (", ..." if len(items) > NAMED else "")
    return [f"{len(items)} {noun} {what}: {names}"]


def _rounded(value: float, digits: int) -> float | None:
    """A number of so many digits; None, JSON's null, for one that is not finite."""
    return float(f"{value:.{digits}g}") if isfinite(value) else None


def _numbers(column: Float[np.ndarray, "n"]) -> list[float | None]:
    return [_rounded(x, 12) for x in column]


def _draws_record(draws: Draws | None) -> dict | None:
    if draws is None:
        return None
    values = {k: [_rounded(x, 8) for x in v[:KEPT]] for k, v in draws.values.items()}
    return {"values": values, "asked": draws.asked, "message": draws.message}


def _pairs(record: Mapping[str, list[float]]) -> dict[str, tuple[float, float]]:
    return {name: (low, high) for name, (low, high) in record.items()}


def _array(numbers: Sequence[float | None]) -> Float[np.ndarray, "n"]:
    return np.array(numbers, float)  # None becomes NaN


def _check(record: Mapping, form: Form) -> None:
    """Raises KeyError or TypeError for what a fit of this form would not hold."""
    names, rows = set(form.names), record["rows"]
    numbers = [v for v in record["params"].values() if v is not None]
    if set(record["params"]) != names or not all(map(_is_number, numbers)):
        raise KeyError(f"params of {form.name} are {', '.join(form.names)}, as numbers")
    if not set(form.columns) <= set(record["span"]):
        raise KeyError(f"span has {', '.join(form.columns)}")
    columns = [record["points"][name] for name in form.columns]
    if any(len(column) != rows for column in [*columns, record["residuals"]]):
        raise TypeError(f"points and residuals have {rows} rows each")
    if not set(record["fixed"].keys() | record["bounds"].keys()) <= names:
        raise KeyError(f"fixed and bounds are of {', '.join(form.names)}")
    drawn = record["draws"]["values"] if record["draws"] else {}
    if drawn and (set(drawn) != names or len({len(v) for v in drawn.values()}) > 1):
        raise TypeError("the draws do not hold every parameter equally often")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)


def _read(record: Mapping) -> FitResult:
    form, draws = named(record["form"]), record["draws"]
    _check(record, form)
    return FitResult(
        form=form,
        params={k: float(_array([v])[0]) for k, v in record["params"].items()},
        objective=float(_array([record["objective"]])[0]),
        converged=record["converged"],
        identified=record["identified"],
        message=record["message"],
        rows=record["rows"],
        span=_pairs(record["span"]),
        residuals=_array(record["residuals"]),
        fixed=record["fixed"],
        bounds=_pairs(record["bounds"]),
        misfit=Misfit(**record["misfit"]),
        weight=record["weight"],
        left_out={int(row): why for row, why in record["left_out"].items()},
        points={name: _array(column) for name, column in record["points"].items()},
        draws=draws
        and Draws(
            values={k: _array(v) for k, v in draws["values"].items()},
            asked=draws["asked"],
            message=draws["message"],
        ),
    )
