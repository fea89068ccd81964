"""R(L): background rejection against validation loss, fitted to the runs of a study,

    R(L) = A e^(-B L) + C            (arXiv:2602.15781, Section 4, there with B < 0)

for each signal class at its working point.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from jetlab.laws.evidence.bootstrap import bootstrap
from jetlab.laws.evidence.intervals import percentiles
from jetlab.laws.formatting import scientific, with_interval
from jetlab.laws.plans.plan import RejectionForecast
from jetlab.laws.plans.rejection_forecast import WorkingPoint, forecast_rejection
from jetlab.laws.rejection import estimate_from_limit, fit_rejection
from jetlab.laws.result import FitResult
from jetlab.onset import beats_chance
from jetlab.physics.metrics import BACKGROUND, working_point
from jetlab.records import Record, Table
from jetlab.runs.report import TextTable
from jetlab.studies.joint_law import median_residual

MAX_LIMITS = 1 / 3
"""Share of the runs that may give a lower limit only: a fit to more is not reliable."""


@dataclass(frozen=True, kw_only=True)
class RejectionLaw:
    """R(L) of one signal class at one signal efficiency.

    Attributes:
      points: the runs that have learned: columns loss, D, arm, R, low, high (68 %), and
        `is_limit`, where no background jet passed and R is a lower limit.
      law: the fit to all of them, by the form `rejection`.
      common_error: error of log R that the runs share, as all are judged by the same
        background jets: that of the run of the lowest loss without a limit.
    """

    signal: str
    efficiency: float
    points: Table
    law: FitResult
    common_error: float


def rejection_laws(records: Sequence[Record]) -> dict[str, RejectionLaw]:
    """R(L) of every signal class at its working point, but of those of which every run
    gives a lower limit only."""
    signals = dict.fromkeys(r.signal for record in records for r in record.rejections)
    return {
        signal: rejection_law(records, signal, working_point(signal))
        for signal in signals
        if not _points(records, signal, working_point(signal))["is_limit"].all()
    }


def rejection_law(
    records: Sequence[Record], signal: str, efficiency: float, *, draws: int = 1000
) -> RejectionLaw:
    """R(L) of a signal class at an efficiency that the records hold."""
    points = _points(records, signal, efficiency)
    limit = points["is_limit"]
    estimates = [
        estimate_from_limit(R) if is_limit else (R, np.log(high / low) / 2)
        for R, low, high, is_limit in zip(
            points["R"], points["low"], points["high"], limit, strict=True
        )
    ]
    R, error = np.array(estimates).reshape(-1, 2).T
    law, _ = fit_rejection(points["loss"], R, error)
    if limit.sum() > MAX_LIMITS * points.rows:
        why = f"{limit.sum()} of {points.rows} runs give a lower limit only"
        law = replace(law, doubt=why)
    if draws:
        law = replace(law, draws=bootstrap(law, draws=draws))
    measured = np.flatnonzero(~limit)
    common = np.inf
    if measured.size:
        common = error[measured[np.argmin(points["loss"][measured])]]
    return RejectionLaw(
        signal=signal,
        efficiency=efficiency,
        points=points,
        law=law,
        common_error=float(common),
    )


def _points(records: Sequence[Record], signal: str, efficiency: float) -> Table:
    rows = [
        (record, rejected)
        for record in records
        if record.status == "done" and _has_learned(record)
        for rejected in record.rejections
        if (rejected.signal, rejected.efficiency) == (signal, efficiency)
    ]
    highs = [np.inf if one.high is None else one.high for _, one in rows]
    return Table(
        loss=np.array([record.loss for record, _ in rows], float),
        D=np.array([record.D for record, _ in rows], float),
        arm=np.array([record.arm for record, _ in rows], str),
        R=np.array([one.value for _, one in rows], float),
        low=np.array([one.low for _, one in rows], float),
        high=np.array(highs, float),
        is_limit=np.isinf(np.array(highs, float)),
    )


def _has_learned(record: Record) -> bool:
    """Whether the run beats the chance loss (`jetlab.onset.beats_chance`)."""
    chance = np.array([record.chance_loss])
    return record.loss is not None and bool(
        beats_chance(np.array([record.loss]), chance)
    )


def predict_rejection(
    one: RejectionLaw, loss: float, draws: Float[np.ndarray, "m"] | None = None
) -> RejectionForecast:
    """The rejection predicted at a loss in nats, which is exact or known by draws."""
    point = WorkingPoint(one.efficiency, BACKGROUND, one.law, one.common_error)
    losses = np.array([loss]) if draws is None else draws
    return forecast_rejection(one.signal, point, loss, losses)


def with_rejections(fit: str, laws: Mapping[str, RejectionLaw]) -> str:
    """A fit as JSON with R(L) under `rejections`, which `jetlab predict` reads."""
    rejections = {
        signal: {
            "efficiency": one.efficiency,
            "background": BACKGROUND,
            "law": json.loads(one.law.to_json()),
            "common_error": one.common_error,
        }
        for signal, one in laws.items()
    }
    return json.dumps(json.loads(fit) | {"rejections": rejections}, allow_nan=False)


def repeats_excess(
    laws: Sequence[RejectionLaw],
) -> tuple[float, tuple[float, float]] | None:
    """Excess in per cent of R of repeated runs over R of single passes, in the range of
    losses that both have: log R - log R(L), mean over classes; None for less than two
    runs of a kind.

    The 68 % interval resamples runs of each kind, for all classes at once, as these
    share the runs.
    """
    off = _mean_over_classes(np.stack([_log_excess(one) for one in laws]))
    loss, repeated = laws[0].points["loss"], laws[0].points["arm"] == "repeated"
    if not repeated.any() or repeated.all():
        return None
    kinds = [loss[repeated], loss[~repeated]]
    low, high = max(k.min() for k in kinds), min(k.max() for k in kinds)
    shared = (loss >= low) & (loss <= high) & np.isfinite(off)
    often, once = off[shared & repeated], off[shared & ~repeated]
    if min(len(often), len(once)) < 2:
        return None
    rng = np.random.default_rng(0)
    draws = [
        rng.choice(often, len(often)).mean() - rng.choice(once, len(once)).mean()
        for _ in range(1000)
    ]
    ends = 100 * np.expm1(percentiles(np.array(draws)))
    value = 100 * float(np.expm1(often.mean() - once.mean()))
    return value, (float(ends[0]), float(ends[1]))


def _mean_over_classes(off: Float[np.ndarray, "k n"]) -> Float[np.ndarray, "n"]:
    """Of the finite numbers of each run; NaN for a run without any."""
    known = np.isfinite(off)
    with np.errstate(invalid="ignore"):
        return np.where(known, off, 0.0).sum(axis=0) / known.sum(axis=0)


def _log_excess(one: RejectionLaw) -> Float[np.ndarray, "n"]:
    """log R of every run minus log R(L) at its loss; NaN where R is a limit."""
    if not np.isfinite(one.law.objective):
        return np.full(one.points.rows, np.nan)
    return np.where(one.points["is_limit"], np.nan, -one.law.residuals)


def rejection_law_table(laws: Mapping[str, RejectionLaw]) -> TextTable:
    """A, B and C of every class, and how well R(L) describes its runs."""
    rows = [
        [
            one.signal,
            f"{one.efficiency:g}",
            *(_parameter(one.law, name) for name in ("A", "B", "C")),
            str(one.law.rows),
            str(one.points["is_limit"].sum()),
            median_residual(one.law),
            "; ".join(_notes(one.law)),
        ]
        for one in laws.values()
    ]
    headers = [
        "class", "efficiency", "A", "B", "C", "runs", "lower limits",
        "median residual", "",
    ]  # fmt: skip
    return TextTable(headers, rows)


def _notes(law: FitResult) -> Iterator[str]:
    if not law.reliable:
        yield "not reliable"
    if "C" in law.fixed:
        yield "C is consistent with 0 and fixed"


def _parameter(law: FitResult, name: str) -> str:
    value, ends = law.params[name], law.intervals.get(name)
    if not np.isfinite(value):
        return ""
    if name in law.fixed:
        return "0"
    if value < 1e4 or ends is None:
        return with_interval(value, ends)
    return f"{scientific(value)} ({', '.join(map(scientific, ends))})"
