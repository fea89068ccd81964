"""Predictions of a law with intervals, and how far they extrapolate."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from jetlab.laws.intervals import CONFIDENCE_LEVEL, percentiles
from jetlab.laws.result import FitResult

NEW_RUNS = 4000  # drawn for the interval of a new run


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """The loss at some points.

    Attributes:
      mean: interval of the law at coverage `level`; NaN without draws.
      run: prediction interval of one new run, which scatters about the law.
      decades: distance from the rows fitted, in powers of ten of the column that is
        farthest outside (of N, D or their product); 0 inside.
    """

    columns: dict[str, Float[np.ndarray, "n"]]
    loss: Float[np.ndarray, "n"]
    mean: Float[np.ndarray, "2 n"]
    run: Float[np.ndarray, "2 n"]
    decades: Float[np.ndarray, "n"]
    level: float

    @property
    def words(self) -> list[str]:
        """Point by point "interpolation", or "extrapolation" with its distance."""
        return [
            f"extrapolation by {far:.2g} decades" if far > 0 else "interpolation"
            for far in self.decades
        ]


def predictions(
    fit: FitResult,
    columns: Mapping[str, np.ndarray | float],
    *,
    level: float = CONFIDENCE_LEVEL,
    seed: int = 0,
) -> Predictions:
    """The loss at points given by the form's columns.

    New runs scatter about the law by residuals drawn from the rows that the fit does
    not pass through.

    Raises:
      ValueError: for a column that is missing, not positive or of another length, or
        a fit without parameters.
    """
    points = _points(fit, columns)
    loss = fit.predict(points)
    mean = run = np.full((2, len(loss)), np.nan)
    if fit.draws and fit.draws.values:
        laws = np.stack([fit.form.predict(p, points) for p in _each(fit)])
        mean = percentiles(laws, level)
        rng = np.random.default_rng(seed)
        chosen = laws[rng.integers(0, len(laws), NEW_RUNS)]
        scatter = rng.choice(_missed(fit), chosen.shape)
        run = percentiles(chosen * np.exp(-scatter), level)
    return Predictions(
        columns=points,
        loss=loss,
        mean=mean,
        run=run,
        decades=_decades(fit, points),
        level=level,
    )


def _points(
    fit: FitResult, columns: Mapping[str, np.ndarray | float]
) -> dict[str, Float[np.ndarray, "n"]]:
    if not all(np.isfinite(value) for value in fit.params.values()):
        raise ValueError(f"the fit has no parameters: {fit.message}")
    missing = [name for name in fit.form.columns if name not in columns]
    if missing:
        raise ValueError(f"{fit.form.name} needs a column {missing[0]} to predict")
    values = {n: np.atleast_1d(np.asarray(columns[n], float)) for n in fit.form.columns}
    rows = max(len(column) for column in values.values())
    for name, column in values.items():
        if column.ndim != 1 or len(column) not in (1, rows):
            raise ValueError(f"column {name} has shape {column.shape}, not ({rows},)")
        if not np.all(np.isfinite(column) & (column > 0)):
            raise ValueError(f"column {name} must be positive and finite: {column}")
    return {name: np.broadcast_to(column, rows) for name, column in values.items()}


def _each(fit: FitResult) -> list[dict[str, float]]:
    """The parameters of every draw."""
    values = fit.draws.values if fit.draws else {}
    return [
        dict(zip(values, draw, strict=True))
        for draw in zip(*values.values(), strict=True)
    ]


def _missed(fit: FitResult) -> Float[np.ndarray, "m"]:
    """Residuals of the rows that the fit does not pass through."""
    return fit.residuals[np.argsort(np.abs(fit.residuals))[fit.free :]]


def _decades(
    fit: FitResult, points: Mapping[str, Float[np.ndarray, "n"]]
) -> Float[np.ndarray, "n"]:
    columns = dict(points)
    if "ND" in fit.span:
        columns["ND"] = points["N"] * points["D"]
    outside = [
        np.maximum(np.log10(fit.span[n][0] / c), np.log10(c / fit.span[n][1]))
        for n, c in columns.items()
    ]
    farthest = np.max(outside, axis=0)
    return np.where(farthest > 1e-9, farthest, 0.0)  # below it is rounding
