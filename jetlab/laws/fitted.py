"""A fitted law as a value: what it says, how sure it is, and whether to believe it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite

import numpy as np
from jaxtyping import Float

from jetlab.laws.forms import Form, named

UNKNOWN = (np.nan, np.nan)
LEVEL = 0.68
"""Coverage of the intervals quoted, as in arXiv:2602.15781."""

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
class Fit:
    """A form fitted to rows.

    `params` are physical values; `objective` is the weighted sum of Huber(log
    residual). Where `converged` or `identified` is False, `message` says why, and the
    numbers are not to be quoted; they are NaN where there was nothing to fit.
    `residuals` are log(fitted) - log(L), row by row. `span` is the range of each column
    in the rows, and of their product "ND" where the form reads both N and D.
    """

    form: Form
    params: dict[str, float]
    objective: float
    converged: bool
    identified: bool
    message: str
    rows: int
    delta: float
    span: dict[str, tuple[float, float]]
    residuals: Float[np.ndarray, "n"]
    fixed: dict[str, float] = field(default_factory=dict)
    bounds: dict[str, tuple[float, float]] = field(default_factory=dict)
    draws: Draws | None = None

    def predict(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """The fitted loss at each row of columns N, D (those that the form reads)."""
        return self.form.predict(self.params, columns)

    @property
    def intervals(self) -> dict[str, tuple[float, float]]:
        """68 % intervals, of no width for fixed parameters; empty without draws."""
        return self.draws.intervals if self.draws else {}

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
            "delta": self.delta,
            "fixed": self.fixed,
            "bounds": {name: list(ends) for name, ends in self.bounds.items()},
            "span": {name: list(ends) for name, ends in self.span.items()},
            "residuals": [_rounded(r, 6) for r in self.residuals],
            "draws": _draws_record(self.draws),
        }
        return json.dumps(record, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> "Fit":
        """A fit as `to_json` wrote it. Raises ValueError for anything else."""
        try:
            return _read(json.loads(text))
        except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
            raise ValueError(
                f"not a fit as `jetlab fit --json` writes it: {error!r}"
            ) from error


def _rounded(value: float, digits: int) -> float | None:
    """A number of so many digits; None, JSON's null, for one that is not finite."""
    return float(f"{value:.{digits}g}") if isfinite(value) else None


def _draws_record(draws: Draws | None) -> dict | None:
    if draws is None:
        return None
    values = {k: [_rounded(x, 8) for x in v[:KEPT]] for k, v in draws.values.items()}
    return {"values": values, "asked": draws.asked, "message": draws.message}


def _pairs(record: Mapping[str, list[float]]) -> dict[str, tuple[float, float]]:
    return {name: (low, high) for name, (low, high) in record.items()}


def _array(numbers: Sequence[float | None]) -> Float[np.ndarray, "n"]:
    return np.array(numbers, float)  # None becomes NaN


def _read(record: Mapping) -> Fit:
    draws = record["draws"]
    return Fit(
        form=named(record["form"]),
        params={k: float(_array([v])[0]) for k, v in record["params"].items()},
        objective=float(_array([record["objective"]])[0]),
        converged=record["converged"],
        identified=record["identified"],
        message=record["message"],
        rows=record["rows"],
        delta=record["delta"],
        span=_pairs(record["span"]),
        residuals=_array(record["residuals"]),
        fixed=record["fixed"],
        bounds=_pairs(record["bounds"]),
        draws=draws
        and Draws(
            values={k: _array(v) for k, v in draws["values"].items()},
            asked=draws["asked"],
            message=draws["message"],
        ),
    )
