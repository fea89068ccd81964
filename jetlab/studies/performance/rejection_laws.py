"""What a loss is worth to an analysis: R(L) through the runs of a study.

    R(L) = A e^(-B L) + C            (arXiv:2602.15781, Section 4, there with B < 0)

for each signal class at the efficiency at which it is quoted.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from jetlab.laws.bootstrap import bootstrap
from jetlab.laws.plan import RejectionForecast
from jetlab.laws.rejection import estimate_from_limit, fit_rejection
from jetlab.laws.rejection_forecast import WorkingPoint, forecast_rejection
from jetlab.laws.result import FitResult
from jetlab.physics.metrics import BACKGROUND, working_point
from jetlab.records import Record, Rejected, TableLike
from jetlab.runs.tables import TextTable, scientific, with_interval
from jetlab.studies.run_quality import begun

MOST_LIMITS = 1 / 3
"""A share of runs with lower limits alone, beyond which they would make up the law."""


@dataclass(frozen=True, kw_only=True)
class RejectionLaw:
    """Rejection against loss of one signal class at one efficiency.

    `points` has columns loss, D, R, low, high, repeated (the run saw its jets often)
    and limit (no background jet passed, and R is the lower limit), one row a run that
    had begun to learn; `law` is R(L) through all of them. All are judged by the same
    background jets: `common_error` is the error of log R that they share, that of the
    run of the lowest loss which has one.
    """

    signal: str
    efficiency: float
    points: TableLike
    law: FitResult
    common_error: float

    @property
    def told(self) -> bool:
        """Whether the runs decide R(L)."""
        return self.law.identified and self.law.converged


def signals(records: Sequence[Record]) -> list[str]:
    """The classes whose rejection these records hold."""
    return list(dict.fromkeys(r.signal for one in records for r in one.rejections))


def mappings(records: Sequence[Record]) -> dict[str, RejectionLaw]:
    """R(L) of every signal class at its working point; none of a class of which no run
    that had begun to learn gives more than a limit."""
    found = {}
    for signal in signals(records):
        at = working_point(signal)
        if not _points(records, signal, at)["limit"].all():
            found[signal] = mapping(records, signal, at)
    return found


def mapping(
    records: Sequence[Record], signal: str, efficiency: float, *, draws: int = 1000
) -> RejectionLaw:
    """R(L) of a signal class at an efficiency that records hold."""
    points = _points(records, signal, efficiency)
    told = [
        estimate_from_limit(R) if limit else (R, np.log(high / low) / 2)
        for R, low, high, limit in zip(
            *(points[name] for name in ("R", "low", "high", "limit")), strict=True
        )
    ]
    R, error = np.array(told).reshape(-1, 2).T
    law, _ = fit_rejection(points["loss"], R, error)
    limits = int(points["limit"].sum())
    if limits > MOST_LIMITS * len(R):
        why = f"{limits} of {len(R)} runs give a lower limit only"
        message, issues = f"{law.message}; {why}", (*law.issues, why)
        law = replace(law, identified=False, message=message, issues=issues)
    if draws:
        law = replace(law, draws=bootstrap(law, draws=draws))
    known = np.flatnonzero(~points["limit"])
    common = error[known[np.argmin(points["loss"][known])]] if len(known) else np.inf
    return RejectionLaw(
        signal=signal,
        efficiency=efficiency,
        points=points,
        law=law,
        common_error=float(common),
    )


def _points(records: Sequence[Record], signal: str, efficiency: float) -> TableLike:
    found = [
        (record, rejected)
        for record in records
        if record.status == "done" and record.loss is not None
        for rejected in record.rejections
        if (rejected.signal, rejected.efficiency) == (signal, efficiency)
        and begun(np.array([record.loss]), record.chance_loss)[0]
    ]
    values = np.array([_row(*pair) for pair in found], float).reshape(-1, 6).T
    names = ("loss", "D", "R", "low", "high", "repeated")
    points = dict(zip(names, values, strict=True))
    points["repeated"] = points["repeated"] > 0
    return points | {"limit": np.isinf(points["high"])}


def _row(record: Record, rejected: Rejected) -> tuple[float | None, ...]:
    high = np.inf if rejected.high is None else rejected.high
    repeated = record.patience > 0
    return record.loss, record.D, rejected.value, rejected.low, high, repeated


def beside(text: str, found: Mapping[str, RejectionLaw]) -> str:
    """A fit as JSON with R(L) under `rejections`, which `jetlab predict` reads."""
    told = {
        name: {
            "efficiency": one.efficiency,
            "background": BACKGROUND,
            "law": json.loads(one.law.to_json()),
            "common_error": one.common_error,
        }
        for name, one in found.items()
    }
    return json.dumps(json.loads(text) | {"rejections": told}, allow_nan=False)


def at_loss(
    one: RejectionLaw, loss: float, draws: Float[np.ndarray, "m"] | None = None
) -> RejectionForecast:
    """The rejection expected at a loss in nats, known sharply or by draws."""
    point = WorkingPoint(one.efficiency, BACKGROUND, one.law, one.common_error)
    return forecast_rejection(
        one.signal, point, loss, np.array([loss]) if draws is None else draws
    )


def parameters(found: Mapping[str, RejectionLaw]) -> TextTable:
    """A, B and C of every class, and how well R(L) goes through its runs."""
    headers = ["class", "efficiency", "A", "B", "C", "runs", "median residual", ""]
    return TextTable(headers, [_line(one) for one in found.values()])


def _line(one: RejectionLaw) -> list[str]:
    law = one.law
    limits = int(one.points["limit"].sum())
    notes = [] if one.told else ["not identified"]
    notes += ["C cannot be told from zero"] if "C" in law.fixed else []
    notes += [f"{limits} runs give a limit only"] if limits else []
    median = 100 * np.median(np.abs(law.residuals)) if law.rows else np.nan
    return [
        one.signal,
        f"{one.efficiency:g}",
        *(_shown(law, name) for name in ("A", "B", "C")),
        str(law.rows),
        f"{median:.1f} %" if np.isfinite(median) else "",
        "; ".join(notes),
    ]


def _shown(law: FitResult, name: str) -> str:
    value, ends = law.params[name], law.intervals.get(name)
    if not np.isfinite(value):
        return ""
    if name in law.fixed:
        return "0"
    if value < 1e4:
        return with_interval(value, ends)
    return scientific(value) + (
        f" ({', '.join(map(scientific, ends))})" if ends else ""
    )
