"""A fit as JSON: written, and read back."""

import json
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

import numpy as np
from jaxtyping import Float

from jetlab.laws.evidence.draws import Draws
from jetlab.laws.evidence.intervals import CONFIDENCE_LEVEL
from jetlab.laws.fitting.misfit import Misfit
from jetlab.laws.forms import get_form
from jetlab.laws.plans.budget import PARTICLES
from jetlab.laws.result import FitResult
from jetlab.laws.terms import Form
from jetlab.records import Table

UNKNOWN = (np.nan, np.nan)
KEPT = 1000  # draws that go into a file, enough for the intervals of an allocation


def to_json(fit: FitResult, level: float = CONFIDENCE_LEVEL, **more: Any) -> str:
    """A fit as one JSON object, with intervals at a level and further keys if given."""
    drawn = fit.draws and fit.draws.values
    record = {
        "verdict": fit.summary,
        "form": fit.form.name,
        "formula": fit.form.formula,
        "params": {k: _rounded(v, 17) for k, v in fit.params.items()},
        "intervals": {
            name: [
                _rounded(end, 17)
                for end in (fit.interval(name, level) if drawn else UNKNOWN)
            ]
            for name in fit.params
        },
        "level": level,
        "derived": {k: _rounded(v, 17) for k, v in fit.derived.items()},
        "objective": _rounded(fit.objective, 17),
        "converged": fit.converged,
        "identified": fit.identified,
        "verdicts": {name: one.record() for name, one in fit.verdicts.items()},
        "outcome": fit.outcome,
        "message": fit.message,
        "issues": list(fit.issues),
        "warnings": fit.warnings,
        "rows": fit.rows,
        "misfit": fit.misfit.record(),
        "weight": fit.weight,
        "scatter": _rounded(fit.scatter, 6),
        "outliers": list(fit.outliers),
        "left_out": {str(row): why for row, why in fit.left_out.items()},
        "fixed": fit.fixed,
        "ties": fit.ties,
        "bounds": {name: list(ends) for name, ends in fit.bounds.items()},
        "span": {name: list(ends) for name, ends in fit.span.items()},
        "points": {
            n: _numbers(fit.table[n]) for n in fit.form.columns if n in fit.table
        },
        "losses": _column(fit, "L", 17),
        "weights": _column(fit, fit.weight, 12),
        "labels": {name: column.tolist() for name, column in fit.labels.items()},
        "clusters": None if fit.clusters is None else fit.clusters.tolist(),
        "clusters_of": fit.clusters_of,
        "particles": fit.particles,
        "doubt": fit.doubt,
        "residuals": [_rounded(r, 6) for r in fit.residuals],
        "draws": _draws_record(fit.draws),
    }
    return json.dumps(record | more, allow_nan=False)


def from_json(text: str) -> FitResult:
    """A fit as `to_json` wrote it, now or in versions that kept no losses.

    Raises:
      ValueError: for anything else.
    """
    try:
        return _read(json.loads(text))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(
            f"not a fit as `jetlab fit --json` writes it: {error!r}"
        ) from error


def _rounded(value: float, digits: int) -> float | None:
    """A number of `digits` digits; None, JSON's null, for one that is not finite."""
    return float(f"{value:.{digits}g}") if isfinite(value) else None


def _numbers(column: Float[np.ndarray, "n"], digits: int = 12) -> list[float | None]:
    return [_rounded(x, digits) for x in column]


def _column(fit: FitResult, name: str | None, digits: int) -> list[float | None] | None:
    """A column of the rows; None where the fit does not hold it."""
    return _numbers(fit.table[name], digits) if name and name in fit.table else None


def _draws_record(draws: Draws | None) -> dict | None:
    if draws is None:
        return None
    return {
        "values": {k: _numbers(v[:KEPT], 8) for k, v in draws.values.items()},
        "asked": draws.asked,
        "message": draws.message,
        "warnings": list(draws.warnings),
    }


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
    columns += [c for k in ("losses", "weights", "clusters") if (c := record.get(k))]
    if any(len(column) != rows for column in [*columns, record["residuals"]]):
        raise TypeError(f"points, losses and residuals have {rows} rows each")
    if not set(record["fixed"].keys() | record["bounds"].keys()) <= names:
        raise KeyError(f"fixed and bounds are of {', '.join(form.names)}")
    drawn = record["draws"]["values"] if record["draws"] else {}
    if drawn and (set(drawn) != names or len({len(v) for v in drawn.values()}) > 1):
        raise TypeError("the draws do not hold every parameter equally often")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)


def _table(record: Mapping, form: Form, params: dict[str, float]) -> Table:
    """The rows of a fit. Files without losses have them in the residuals."""
    table = Table({name: _array(record["points"][name]) for name in form.columns})
    if record.get("losses"):
        table["L"] = _array(record["losses"])
    elif None not in record["params"].values():
        residuals = _array(record["residuals"])
        table["L"] = form.predict(params, table) * np.exp(-residuals)
    else:
        table["L"] = np.full(table.rows, np.nan)
    if record["weight"] and record.get("weights"):
        table[record["weight"]] = _array(record["weights"])
    return table


def _read(record: Mapping) -> FitResult:
    form, draws = get_form(record["form"]), record["draws"]
    _check(record, form)
    params = {k: float(_array([v])[0]) for k, v in record["params"].items()}
    clusters = record.get("clusters")
    return FitResult(
        form=form,
        params=params,
        objective=float(_array([record["objective"]])[0]),
        converged=record["converged"],
        outcome=record.get("outcome", record["message"]),
        rows=record["rows"],
        span=_pairs(record["span"]),
        residuals=_array(record["residuals"]),
        fixed=record["fixed"],
        bounds=_pairs(record["bounds"]),
        ties=record.get("ties", {}),
        misfit=Misfit(**record["misfit"]),
        weight=record["weight"],
        left_out={int(row): why for row, why in record["left_out"].items()},
        table=_table(record, form, params),
        labels=Table(record.get("labels", {})),
        clusters=None if clusters is None else np.array(clusters, int),
        clusters_of=record.get("clusters_of", ""),
        particles=record.get("particles", PARTICLES),
        doubt=record.get("doubt", ""),
        draws=draws
        and Draws(
            values={k: _array(v) for k, v in draws["values"].items()},
            asked=draws["asked"],
            message=draws["message"],
            warnings=tuple(draws.get("warnings", ())),
        ),
    )
