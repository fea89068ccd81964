"""`Plan`: what a compute budget should buy; checks and draws that every plan shares."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from math import isfinite

from jetlab.laws.evidence.verdict import Verdict
from jetlab.laws.plans.budget import flops_per_parameter
from jetlab.laws.result import FitResult

INTERPOLATION = "interpolation: within the range of the rows fitted"

JSON_KEYS = {
    "epochs": "E",
    "flops": "budget",
    "flops_per_jet": "jet_cost",
    "range_ratio": "beyond",
}
"""JSON keys that differ from the names of the fields."""

SIMULATION = (
    "simulated", "slope_D", "slope_E", "repeat_above_cost", "repeat_below_budget",
    "flops_per_jet", "max_epochs",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class RejectionForecast:
    """Background rejection of one signal class, predicted at the loss of a plan.

    `rejection` and its 68 % `interval` are None where the fit gives no finite number.
    """

    signal: str
    efficiency: float
    background: str
    rejection: float | None
    interval: tuple[float, float] | None
    warnings: tuple[str, ...] = ()

    @property
    def message(self) -> str:
        return "; ".join(self.warnings)


@dataclass(frozen=True, kw_only=True, repr=False)
class Plan:
    """Model size, number of jets and epochs for a compute budget of `flops`.

    A model of `N` parameters sees `D` unique jets `epochs` times and reaches `loss`.
    `a` = d log N / d log C and `gamma` = -d log (L - L_inf) / d log C are the local
    exponents in the budget C. `intervals` holds 68 % percentile intervals over the
    draws of the fit, by field (empty without draws), `verdicts` whether the rows of the
    fit decide each of them. `range_ratio` is each quantity
    over its largest value in the rows fitted, where D counts jets seen (epochs times
    D) and U unique jets; `extrapolates` says whether any lies outside the rows.
    `warnings` are sentences: quantity, number, what to do.

    With a cost of simulation (`flops_per_jet`; None in a plan of training alone) also:
    `simulated`, the share of the budget spent on simulation; `slope_D` and `slope_E`,
    the exponents of D and epochs in C; and where repeating starts to pay: two epochs
    over fewer jets beat one over more if a jet costs more than `repeat_above_cost`
    FLOPs at this budget, or the budget is below `repeat_below_budget` FLOPs at this
    cost. Both are None where `max_epochs` is below 2 or there is no such point.

    `rejections` are those that `predict_rejections` adds.
    """

    N: float
    D: float
    epochs: float = 1.0
    loss: float
    a: float
    gamma: float
    simulated: float | None = None
    slope_D: float | None = None
    slope_E: float | None = None
    repeat_above_cost: float | None = None
    repeat_below_budget: float | None = None
    flops: float
    flops_per_jet: float | None = None
    max_epochs: float | None = None
    particles: float
    intervals: dict[str, tuple[float, float]]
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    range_ratio: dict[str, float]
    extrapolates: bool
    warnings: tuple[str, ...] = ()
    rejections: tuple[RejectionForecast, ...] = ()

    @property
    def verdict(self) -> str:
        """Whether the plan may be quoted, in a line."""
        rest = [name for name, one in self.verdicts.items() if not one.known]
        known = [name for name, one in self.verdicts.items() if one.known]
        if not rest:
            return "decided"
        if not known:
            return "undecided"
        return f"decided: {', '.join(known)}; not {', '.join(rest)}"

    @property
    def message(self) -> str:
        """Range and warnings in one line."""
        inside = [] if self.extrapolates else [INTERPOLATION]
        return "; ".join([*inside, *self.warnings])

    def to_json(self) -> str:
        """One JSON object; simulation and rejections only where there are any.

        Raises:
          ValueError: for a number that is not finite.
        """
        absent = {
            *(SIMULATION if self.flops_per_jet is None else ()),
            *(() if self.rejections else ("rejections",)),
        }
        record = {f.name: getattr(self, f.name) for f in fields(self)} | {
            "intervals": _renamed(self.intervals),
            "verdict": self.verdict,
            "verdicts": {n: one.record() for n, one in self.verdicts.items()},
            "flops_per_N_D": flops_per_parameter(self.particles),
            "rejections": [
                asdict(one) | {"message": one.message} for one in self.rejections
            ],
            "message": self.message,
        }
        kept = {name: value for name, value in record.items() if name not in absent}
        return json.dumps(_renamed(kept), allow_nan=False)

    def __repr__(self) -> str:
        lines = [f"Plan for {self.flops:.4g} FLOPs"]
        lines[0] += f" (C = 6 n_p N D, n_p = {self.particles:.4g}): {self.verdict}"
        names = ["N", "D", "epochs", "loss"]
        if self.flops_per_jet is not None:
            lines[0] += f" at {self.flops_per_jet:.4g} FLOPs a simulated jet"
            names.append("simulated")
        lines += [f"  {name:<9} {self._value(name)}" for name in names]
        lines.append(f"  N ~ C^{self.a:.3f}, L - L_inf ~ C^-{self.gamma:.3f}")
        for one in self.rejections:
            value = "none" if one.rejection is None else f"{one.rejection:.3g}"
            lines.append(f"  {one.signal} at {100 * one.efficiency:g} %: {value}")
        lines += [f"  warning: {sentence}" for sentence in self.warnings]
        return "\n".join(lines)

    def _value(self, name: str) -> str:
        """A field with its 68 % interval."""
        ends = self.intervals.get(name)
        spread = f" ({ends[0]:.4g}, {ends[1]:.4g})" if ends else ""
        return f"{getattr(self, name):.4g}{spread}"


def _renamed(record: Mapping[str, object]) -> dict[str, object]:
    return {JSON_KEYS.get(name, name): value for name, value in record.items()}


def check_law(law: FitResult) -> None:
    """Raises ValueError for a fit without N, D and L_inf, or without parameters."""
    form = law.form
    if not ({"N", "D"} <= set(form.columns) and "L_inf" in form.names):
        raise ValueError(
            f"{form.name} has no N and D to divide a budget between: its law is"
            f" {form.formula}"
        )
    missing = [name for name in form.names if name not in law.params]
    if missing:
        raise ValueError(f"the fit lacks {', '.join(missing)} of {form.name}")
    if not all(isfinite(law.params[name]) for name in form.names):
        raise ValueError(f"the fit has no parameters to allocate by: {law.message}")
