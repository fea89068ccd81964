"""Predictions of a law with intervals, and how far they extrapolate."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from jetlab.laws.evidence.intervals import CONFIDENCE_LEVEL, around, percentiles
from jetlab.laws.evidence.verdict import Verdict, judged
from jetlab.laws.formatting import scientific, with_interval
from jetlab.laws.plans.plan_certainty import NARROW_LOSS
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
      verdicts: whether the rows of the fit decide the loss at each point.
    """

    columns: dict[str, Float[np.ndarray, "n"]]
    loss: Float[np.ndarray, "n"]
    mean: Float[np.ndarray, "2 n"]
    run: Float[np.ndarray, "2 n"]
    decades: Float[np.ndarray, "n"]
    level: float
    verdicts: tuple[Verdict, ...]

    @property
    def words(self) -> list[str]:
        """Point by point "interpolation", or "extrapolation" with its distance."""
        return [
            f"extrapolation by {far:.2g} decades" if far > 0 else "interpolation"
            for far in self.decades
        ]

    def records(self) -> list[dict[str, Any]]:
        """Point by point as JSON holds it; null without draws."""
        return [
            {
                **{name: float(column[i]) for name, column in self.columns.items()},
                "loss": float(self.loss[i]),
                "mean": _pair(self.mean[:, i]),
                "run": _pair(self.run[:, i]),
                "decades": float(self.decades[i]),
                **self.verdicts[i].record(),
            }
            for i in range(len(self.loss))
        ]

    def lines(self) -> list[str]:
        """Point by point in print; losses that are undecided are in brackets."""
        found = []
        for i, words in enumerate(self.words):
            at = ", ".join(f"{n} = {scientific(c[i])}" for n, c in self.columns.items())
            loss, mean, run = float(self.loss[i]), self.mean[:, i], self.run[:, i]
            text = with_interval(loss, _pair(mean))
            text = text if self.verdicts[i].known else f"[{text}]"
            if one := _pair(run):
                text += f"; a run {with_interval(loss, one).partition(' ')[2]}"
            found.append(f"{at}: L = {text}; {words}")
        return found


def _pair(ends: Float[np.ndarray, "2"]) -> tuple[float, float] | None:
    return (float(ends[0]), float(ends[1])) if np.isfinite(ends).all() else None


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
        laws = fit.form.predict_each(fit.draws.values, points)
        ends = zip(loss.tolist(), percentiles(laws, level).T, strict=True)
        mean = np.array([around(*one) for one in ends]).T
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
        verdicts=tuple(_verdict(fit, points, i) for i in range(len(loss))),
    )


def _verdict(
    fit: FitResult, points: Mapping[str, Float[np.ndarray, "n"]], row: int
) -> Verdict:
    """The verdict on the loss at one point."""
    point = {name: column[[row]] for name, column in points.items()}
    value = float(fit.predict(point)[0])
    return judged(
        fit.evidence,
        "L",
        value,
        lambda params: fit.form.predict_each(params, point)[:, 0],
        narrow=NARROW_LOSS * value,
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
