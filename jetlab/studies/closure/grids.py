"""Does an extrapolated floor close? L_inf and omega by how far the grid reaches, beside
the known limit and beside what the same grid would say if the law held."""

from dataclasses import dataclass
from math import isfinite
from typing import NamedTuple

import numpy as np

from jetlab.laws import forms
from jetlab.laws.amplification import Amplification, amplification
from jetlab.laws.fit import fit
from jetlab.laws.result import FitResult
from jetlab.laws.terms import Form
from jetlab.records import TableLike
from jetlab.studies.closure.estimators import (
    Coverage,
    Estimate,
    Reach,
    estimates,
    imagined,
    reaches,
)
from jetlab.studies.joint_law import Laws, Limit

LOWEST = 1e-9  # nats; a floor that the rows do not show is fixed there


class Floors(NamedTuple):
    """L_inf by each estimator from so many runs up to `end`, and their lowest loss."""

    end: float
    runs: int
    lowest: float
    found: dict[str, Estimate]


class Gain(NamedTuple):
    """omega at the smallest and largest repeated data set, from single passes ("D") or
    repeated data sets ("U") up to `end`; `known` where L_inf was fixed to the limit,
    and not to what the single passes say."""

    cut: str
    end: float
    known: bool
    sizes: tuple[float, float]
    omegas: tuple[Amplification, Amplification]


@dataclass(frozen=True, kw_only=True)
class Closure:
    """What the grid says of L_inf as it reaches ever less far in N and in D, what such
    a grid would say if the law held (nothing without a known limit), and omega."""

    limit: Limit | None
    by_n: list[Floors]
    by_d: list[Floors]
    pinned: FitResult | None
    imagined: list[dict[str, Estimate]]
    gains: list[Gain]

    @property
    def whole(self) -> Floors | None:
        """The whole grid; None where it has too few rows for a fit."""
        return next(iter([*self.by_d, *self.by_n]), None)

    def expected(self, name: str) -> Coverage:
        """What an estimator would say if the law held."""
        assert self.limit
        return Coverage.of([table[name] for table in self.imagined], self.limit[0])

    def farther(self, name: str) -> float:
        """Share of the imagined tables whose L_inf lies at least as far from the truth
        as the one found."""
        assert self.limit
        assert self.whole
        truth = self.limit[0]
        values = np.array([table[name].value for table in self.imagined])
        off = abs(self.whole.found[name].value - truth)
        return float(np.mean(np.abs(values - truth) >= off))


def closure(rows: TableLike, best: TableLike, laws: Laws, tables: int) -> Closure:
    """Closure of single passes (columns N, D, L) and of the envelope `best` of repeated
    runs (N, U, D, L), with so many imagined tables."""
    by_n, by_d = reaches(rows, "N"), reaches(rows, "D")
    pinned = laws.pinned
    told = pinned is not None and isfinite(pinned.scatter) and bool(by_d or by_n)
    return Closure(
        limit=laws.limit,
        by_n=[_floors(reach) for reach in by_n],
        by_d=[_floors(reach) for reach in by_d],
        pinned=pinned if told else None,
        imagined=imagined(pinned, rows, tables) if pinned and told else [],
        gains=_gains(rows, best, laws.limit),
    )


def _floors(reach: Reach) -> Floors:
    L = reach.rows["L"]
    return Floors(reach.end, len(L), float(L.min()), estimates(reach.rows))


def _gains(rows: TableLike, best: TableLike, limit: Limit | None) -> list[Gain]:
    """omega as the single passes reach less far, and as the repeated data sets do, with
    L_inf fitted and, where it is known, fixed."""
    ways: list[dict[str, float]] = [{}, {"L_inf": limit[0]}] if limit else [{}]
    found = []
    for fixed in ways:
        for reach in reaches(rows, "D"):
            found.append(_gain("D", reach.end, reach.rows, best, best, fixed))
        for reach in reaches(best, "U", free=2):
            found.append(_gain("U", reach.end, rows, reach.rows, best, fixed))
    return [gain for gain in found if gain is not None]


def _gain(
    cut: str,
    end: float,
    rows: TableLike,
    many: TableLike,
    whole: TableLike,
    fixed: dict,
) -> Gain | None:
    """None where a fit is missing."""
    single = _fitted(forms.additive, rows, fixed)
    if not (single and single.params["beta"] > 0 and len(many["L"])):
        return None
    floor = {"L_inf": max(single.params["L_inf"], LOWEST)}
    repeated = _fitted(forms.repeated, {"D": many["U"], "L": many["L"]}, floor)
    if not repeated:
        return None
    sizes = float(whole["U"].min()), float(whole["U"].max())
    with np.errstate(all="ignore"):  # draws with a beta near zero have omega infinite
        least, most = (amplification(single, repeated, size) for size in sizes)
    return Gain(cut, end, bool(fixed), sizes, (least, most))


def _fitted(form: Form, rows: TableLike, fixed: dict[str, float]) -> FitResult | None:
    law = fit(form, rows, fixed=fixed, bootstrap=1000)
    return law if isfinite(law.objective) else None
