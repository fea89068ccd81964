"""Hoffmann et al.'s three approaches on the same rows, with their differences.

Each gives N*(C) = k_N C^a, D*(C) = k_D C^a_D and L(C) - L_inf ~ C^-gamma
(arXiv:2203.15556, Section 3). They assume less and less of the measurement and more and
more of the law: the envelope only compares sizes that were run, the valleys assume a
smooth minimum, the parametric fit the whole of L_inf + A/N^alpha + B/D^beta.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import hypot, isfinite, nan

import numpy as np

from jetlab.laws import forms
from jetlab.laws.envelope import envelope
from jetlab.laws.fit import fit
from jetlab.laws.isoflop import CUBIC, PARABOLA, Valley, isoflop
from jetlab.laws.ladders import slices
from jetlab.laws.optimal_points import Trajectory, with_compute
from jetlab.laws.result import FitResult, percentiles
from jetlab.records import TableLike

AGREE = 2.0  # standard errors within which two exponents are one


@dataclass(frozen=True, kw_only=True)
class Approach:
    """What one approach finds: exponents (a and its standard error, a_D, gamma),
    prefactors of N* and D* in C, NaN for what it does not tell, and its own words."""

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
    """The approaches side by side, and sentences on why they differ."""

    found: tuple[Approach, ...]
    words: tuple[str, ...]

    def __getitem__(self, name: str) -> Approach:
        """The approach of that name. Raises KeyError for an unknown one."""
        return {approach.name: approach for approach in self.found}[name]

    def to_json(self) -> str:
        """Approaches by name and words, with null for what there is not."""
        table = {
            approach.name: {
                key: None if isinstance(value, float) and not isfinite(value) else value
                for key, value in asdict(approach).items()
                if key != "name"
            }
            for approach in self.found
        }
        return json.dumps({"approaches": table, "words": self.words}, allow_nan=False)


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

    The parametric approach takes `law`, an additive fit to the rows whose draws tell
    the error of a, or fits one. Approach 1 takes `curves` (with a column "run") if
    there are any, else the runs of each size as its curve. Approach 2 takes `profiles`,
    rows of dedicated iso-FLOP runs, else rows interpolated along D at `budgets`
    (half-decades of C inside the rows by default). An approach that finds no power law
    says why in its message and has NaN for numbers. Raises ValueError for rows without
    a logarithm.
    """
    table = with_compute(rows, particles)
    profiles = _profiles(table, budgets) if profiles is None else profiles
    first = curves if curves is not None else table
    run = "run" if curves is not None else "N"
    found = (
        _attempt("envelope", lambda: envelope(first, run=run, particles=particles)),
        _attempt("parabola", lambda: _minima(profiles, particles, PARABOLA)),
        _attempt("cubic", lambda: _minima(profiles, particles, CUBIC)),
        _parametric(law or fit(forms.additive, table), particles),
    )
    return Approaches(found=found, words=_words(found))


def _profiles(table: TableLike, budgets: Sequence[float] | None) -> TableLike:
    marks = np.asarray(budgets if budgets is not None else [], float)
    if budgets is None:
        low, high = 2 * np.log10([table["C"].min(), table["C"].max()])
        marks = 10 ** (np.arange(np.ceil(low), np.floor(high) + 1) / 2)
    return slices(table, marks)


def _minima(
    profiles: Mapping[str, np.ndarray], particles: float, valley: Valley
) -> Trajectory:
    return isoflop(profiles, particles=particles, valley=valley).trajectory


def _attempt(name: str, run) -> Approach:
    """What an approach found, or the reason for which it found nothing."""
    try:
        path = run()
    except ValueError as error:
        return Approach(
            name=name,
            **dict.fromkeys(("a", "error", "a_D", "gamma", "size", "data"), nan),
            message=f"no power law: {error}",
        )
    told = path.loss.converged and path.loss.identified
    words = [f"{len(path.C)} budgets", *path.left_out]
    words += [] if told else [f"no gamma: {path.loss.message}"]
    return Approach(
        name=name,
        a=path.size.exponent,
        error=path.size.error,
        a_D=path.data.exponent,
        gamma=path.loss.params["gamma"] if told else nan,
        size=path.size.prefactor,
        data=path.data.prefactor,
        message="; ".join(words),
    )


def _parametric(law: FitResult, particles: float) -> Approach:
    """Exponents and prefactors of the additive law (arXiv:2203.15556, Eq. 4)."""
    p = law.params
    total = p["alpha"] + p["beta"]
    told = isfinite(total) and min(p["alpha"], p["beta"], p["A"], p["B"]) > 0
    a, gamma, scale = nan, nan, nan
    if told:
        a, gamma = p["beta"] / total, p["alpha"] * p["beta"] / total
        scale = (p["alpha"] * p["A"] / (p["beta"] * p["B"])) ** (1 / total)
    per_example = 6 * particles
    return Approach(
        name="parametric",
        a=a,
        error=_error(law),
        a_D=1 - a,
        gamma=gamma,
        size=scale * per_example**-a,
        data=per_example ** (a - 1) / scale,
        message=f"{law.misfit.words}; {law.message}",
    )


def _error(law: FitResult) -> float:
    """Half the 68 % interval of a over the draws; NaN without draws."""
    draws = law.draws.values if law.draws else {}
    if not draws:
        return nan
    low, high = percentiles(draws["beta"] / (draws["alpha"] + draws["beta"]))
    return float(high - low) / 2


def _words(found: tuple[Approach, ...]) -> tuple[str, ...]:
    """Why the exponents differ, as far as the numbers tell."""
    one, two, three, four = found
    told = [approach for approach in found if isfinite(approach.a)]
    if len(told) < 2:
        return ("fewer than two approaches found a power law: nothing to compare",)
    values = {approach.name: approach.a for approach in told}
    low, high = (pick(values, key=values.__getitem__) for pick in (min, max))
    words = [f"a from {values[low]:.3f} ({low}) to {values[high]:.3f} ({high})"]
    if _differ(two, three):
        words.append(
            "parabola and cubic differ: the valleys are not symmetric about their"
            " minima, which only the cubic allows; centre the sizes"
        )
    if _differ(one, four):
        words.append(
            "the envelope differs from the parametric fit: it compares only sizes that"
            " were run, and its range of C is where neither end of them wins"
        )
    if _differ(two, four) and not _differ(three, four):
        words.append(
            "parabola and parametric fit differ where the cubic and it do not: the"
            " valleys are not symmetric"
        )
    if _differ(three, four):
        words.append(
            "cubic and parametric fit differ: over a wide range of sizes a valley is no"
            " cubic either, or the rows far from the optimum, which only the parametric"
            " fit needs, do not follow its sum of powers; narrower profiles tell which"
        )
    if len(words) == 1:
        words.append("no two neighbours differ by more than two standard errors")
    return tuple(words)


def _differ(one: Approach, other: Approach) -> bool:
    """Whether two exponents differ by more than their errors (those that are known)."""
    errors = [e for e in (one.error, other.error) if isfinite(e)]
    return abs(one.a - other.a) > AGREE * hypot(*errors) + 1e-3
