"""Hoffmann et al.'s three approaches on the same rows, with their differences.

Each gives N*(C) = k_N C^a, D*(C) = k_D C^a_D and L(C) - L_inf ~ C^-gamma
(arXiv:2203.15556, Section 3). They assume more and more of the law: approach 1, the
envelope of loss curves, compares only sizes that were run; 2, isoFLOP profiles
(`laws.approaches.isoflop`), assumes a smooth minimum; 3, the parametric fit, all of
L_inf + A/N^alpha + B/D^beta.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from math import hypot, isfinite, nan

import numpy as np

from jetlab.laws import forms
from jetlab.laws.approaches.isoflop import CUBIC, PARABOLA, IsoflopOptions, isoflop
from jetlab.laws.approaches.optimal_path import (
    LossCurve,
    OptimalPath,
    fit_path,
    isoflop_profiles,
    loss_curves,
    with_compute,
)
from jetlab.laws.fit import fit
from jetlab.laws.plans.budget import flops_per_parameter
from jetlab.laws.result import FitResult
from jetlab.records import TableLike

PER_DECADE = 50  # budgets at which loss curves are compared
SIGNIFICANT = 2.0  # standard errors of a difference of exponents


@dataclass(frozen=True, kw_only=True)
class Approach:
    """Result of one approach: exponents (a with its standard error, a_D, gamma) and
    prefactors of N* (`size`) and D* (`data`) in C, NaN where it gives none."""

    name: str
    a: float
    error: float
    a_D: float
    gamma: float
    size: float
    data: float
    message: str


@dataclass(frozen=True, kw_only=True)
class Approaches:
    """All approaches, and remarks on their differences."""

    found: tuple[Approach, ...]
    remarks: tuple[str, ...]

    def __getitem__(self, name: str) -> Approach:
        """The approach of that name. Raises KeyError for an unknown one."""
        return {approach.name: approach for approach in self.found}[name]

    def to_json(self) -> str:
        """Approaches by name, and the remarks as `words`; null for NaN."""
        table = {
            approach.name: {
                key: None if isinstance(value, float) and not isfinite(value) else value
                for key, value in asdict(approach).items()
                if key != "name"
            }
            for approach in self.found
        }
        record = {"approaches": table, "words": self.remarks}
        return json.dumps(record, allow_nan=False)


def compare(
    rows: Mapping[str, np.ndarray],
    *,
    particles: float = 40.0,
    law: FitResult | None = None,
    curves: Mapping[str, np.ndarray] | None = None,
    profiles: Mapping[str, np.ndarray] | None = None,
    budgets: Sequence[float] | None = None,
) -> Approaches:
    """All approaches on columns N, D, L of `rows` (and C, if it is not 6 n_p N D).

    Args:
      law: an additive fit to the rows with draws, for approach 3; fitted here without.
      curves: loss curves with a column "run" for approach 1; without, the runs of each
        size make one.
      profiles: dedicated isoFLOP runs for approach 2; without, rows interpolated along
        D at `budgets` (half-decades of C by default).

    An approach without a power law has NaN and the reason in its message.

    Raises:
      ValueError: for rows that are not positive and finite.
    """
    table = with_compute(rows, particles)
    profiles = _profiles(table, budgets) if profiles is None else profiles
    first = curves if curves is not None else table
    run = "run" if curves is not None else "N"
    found = (
        _attempt("envelope", partial(envelope, first, run=run, particles=particles)),
        _attempt("parabola", partial(_isoflop_path, profiles, particles, PARABOLA)),
        _attempt("cubic", partial(_isoflop_path, profiles, particles, CUBIC)),
        _parametric(law or fit(forms.additive, table), particles),
    )
    return Approaches(found=found, remarks=_remarks(*found))


def envelope(
    curves: Mapping[str, np.ndarray], *, run: str = "run", particles: float = 40.0
) -> OptimalPath:
    """Approach 1: the lowest of the loss curves at each compute (arXiv:2203.15556,
    Section 3.1), on a grid of budgets.

    N*(C) is a staircase of the sizes that were run. A budget gives a point if the
    lowest curve there is neither of the smallest nor of the largest size, whose
    neighbours are missing. Errors count the sizes that win, not budgets.

    Args:
      curves: a row for each point of a curve, with columns `run` (a number), N, the
        examples D seen so far, L, and C if it is not 6 n_p N D.
      run: the column that names curves; "N" takes the runs of each size as one.

    Raises:
      ValueError: if fewer than two budgets give a point.
    """
    rows = with_compute(curves, particles)
    if run not in curves:
        raise ValueError(f"the table has no column {run}; it has {list(curves)}")
    rows = rows | {run: np.asarray(curves[run], float)}
    long = [curve for curve in loss_curves(rows, run) if len(curve.log_c) > 2]
    if not long:
        raise ValueError(f"no {run} has three points: there are no curves")
    low, high = np.log(rows["C"].min()), np.log(rows["C"].max())
    budgets = np.linspace(low, high, 2 + int(PER_DECADE * (high - low) / np.log(10)))
    won = [_winner(long, float(log_c)) for log_c in budgets]
    points = np.array([point for point in won if point is not None]).reshape(-1, 4).T
    left = len(budgets) - points.shape[1]
    columns: TableLike = dict(zip("CNDL", points, strict=True))
    sizes = max(1, np.unique(columns["N"]).size)
    reason = (
        f"{left} of {len(budgets)} budgets: the smallest or largest size is the best"
        " there, or fewer than three sizes reach it"
    )
    return fit_path(
        columns,
        (reason,) if left else (),
        points_per_optimum=max(1.0, points.shape[1] / sizes),
    )


def _winner(curves: list[LossCurve], log_c: float) -> list[float] | None:
    """C, N, D, L of the lowest curve; None if its size is the smallest or largest."""
    there = [curve for curve in curves if curve.spans(log_c)]
    sizes = {curve.size for curve in there}
    if len(sizes) < 3:
        return None
    values = [curve.at(log_c) for curve in there]
    best = int(np.argmin([log_loss for _, log_loss in values]))
    if there[best].size in (min(sizes), max(sizes)):
        return None
    log_d, log_loss = values[best]
    return [np.exp(log_c), there[best].size, np.exp(log_d), np.exp(log_loss)]


def pareto_front(
    rows: Mapping[str, np.ndarray], *, particles: float = 40.0
) -> OptimalPath:
    """Approach 1 on finished runs: those with a loss below that of every cheaper run.

    Coarser than `envelope`: nothing is interpolated, and the first run, the smallest
    and the largest size count.
    """
    table = with_compute(rows, particles)
    order = np.lexsort((table["L"], table["C"]))
    by_cost: TableLike = {name: column[order] for name, column in table.items()}
    cheaper = np.minimum.accumulate(np.append(np.inf, by_cost["L"][:-1]))
    low = by_cost["L"] < cheaper
    return fit_path({name: column[low] for name, column in by_cost.items()}, ())


def _profiles(table: TableLike, budgets: Sequence[float] | None) -> TableLike:
    marks = np.asarray(budgets if budgets is not None else [], float)
    if budgets is None:
        low, high = 2 * np.log10([table["C"].min(), table["C"].max()])
        marks = 10 ** (np.arange(np.ceil(low), np.floor(high) + 1) / 2)
    return isoflop_profiles(table, marks)


def _isoflop_path(
    profiles: Mapping[str, np.ndarray], particles: float, options: IsoflopOptions
) -> OptimalPath:
    return isoflop(profiles, particles=particles, options=options).path


def _attempt(name: str, run: Callable[[], OptimalPath]) -> Approach:
    """The result of approach 1 or 2, or the reason for which there is none."""
    try:
        path = run()
    except ValueError as error:
        numbers = dict.fromkeys(("a", "error", "a_D", "gamma", "size", "data"), nan)
        return Approach(name=name, **numbers, message=f"no power law: {error}")
    notes = [f"{len(path.C)} budgets", *path.left_out]
    if not path.loss.reliable:
        notes.append(f"no gamma: {path.loss.message}")
    return Approach(
        name=name,
        a=path.size.exponent,
        error=path.size.error,
        a_D=path.data.exponent,
        gamma=path.loss.params["gamma"] if path.loss.reliable else nan,
        size=path.size.prefactor,
        data=path.data.prefactor,
        message="; ".join(notes),
    )


def _parametric(law: FitResult, particles: float) -> Approach:
    """Approach 3: exponents and prefactors of the additive law (Eq. 4)."""
    p = law.params
    a, gamma, scale = nan, nan, nan
    if all(p[name] > 0 for name in ("alpha", "beta", "A", "B")):  # False for NaN
        a, gamma = law.derived["a"], law.derived["gamma"]
        ratio = p["alpha"] * p["A"] / (p["beta"] * p["B"])
        scale = ratio ** (1 / (p["alpha"] + p["beta"]))
    low, high = law.interval("a") if law.intervals else (nan, nan)
    per_jet = flops_per_parameter(particles)
    return Approach(
        name="parametric",
        a=a,
        error=(high - low) / 2,
        a_D=1 - a,
        gamma=gamma,
        size=scale * per_jet**-a,
        data=per_jet ** (a - 1) / scale,
        message=f"{law.misfit.words}; {law.message}",
    )


def _remarks(
    first: Approach, parabola: Approach, cubic: Approach, third: Approach
) -> tuple[str, ...]:
    """The range of a, and likely causes of significant differences."""
    values = {
        one.name: one.a for one in (first, parabola, cubic, third) if isfinite(one.a)
    }
    if len(values) < 2:
        return ("fewer than two approaches found a power law: nothing to compare",)
    low, high = (pick(values, key=values.__getitem__) for pick in (min, max))
    remarks = [f"a from {values[low]:.3f} ({low}) to {values[high]:.3f} ({high})"]
    if _differ(parabola, cubic):
        remarks.append(
            "parabola and cubic differ: the profiles are asymmetric about their minima,"
            " which biases the parabola; centre the sizes on the minima"
        )
    if _differ(first, third):
        remarks.append(
            "envelope and parametric fit differ: the envelope uses only sizes that were"
            " run; add sizes between and beyond them"
        )
    if _differ(parabola, third) and not _differ(cubic, third):
        remarks.append(
            "parabola and parametric fit differ, cubic and parametric fit agree: the"
            " profiles are asymmetric; use the cubic"
        )
    if _differ(cubic, third):
        remarks.append(
            "cubic and parametric fit differ: the profiles are too wide for a cubic, or"
            " rows far from the optimum do not follow the sum of powers; narrow the"
            " profiles to tell which"
        )
    if len(remarks) == 1:
        remarks.append(f"no difference exceeds {SIGNIFICANT:g} standard errors")
    return tuple(remarks)


def _differ(one: Approach, other: Approach) -> bool:
    """Whether two exponents differ significantly, by the errors that are known."""
    errors = [e for e in (one.error, other.error) if isfinite(e)]
    return abs(one.a - other.a) > SIGNIFICANT * hypot(*errors) + 1e-3
