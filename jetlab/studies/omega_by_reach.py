"""omega (arXiv:2602.15781, Eq. 5) by how far the grid reaches in single passes and in
repeated data sets."""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import NamedTuple

import numpy as np

from jetlab.laws import forms
from jetlab.laws.amplification import Amplification, amplification
from jetlab.laws.formatting import with_interval
from jetlab.records import Table
from jetlab.runs.report import TextTable
from jetlab.studies.floor_estimates import truncations
from jetlab.studies.joint_law import Floor, fit_law
from jetlab.studies.repeated_runs import fit_envelope


class GridOmega(NamedTuple):
    """omega at the smallest and the largest repeated data set, from single passes (cut
    "D") or repeated data sets (cut "U") up to `end`. `known` where L_inf was fixed."""

    cut: str
    end: float
    known: bool
    sizes: tuple[float, float]
    omegas: tuple[Amplification, Amplification]


def grid_omegas(rows: Table, lowest: Table, floor: Floor | None) -> list[GridOmega]:
    """omega by the reach of the single passes and of the repeated data sets, with L_inf
    fitted and, where it is known, fixed."""
    ways: list[dict[str, float]] = [{}, {"L_inf": floor[0]}] if floor else [{}]
    found = []
    for fixed in ways:
        for end, part in truncations(rows, "D"):
            found.append(_grid_omega("D", end, part, lowest, lowest["U"], fixed))
        for end, part in truncations(lowest, "U", free=2):
            found.append(_grid_omega("U", end, rows, part, lowest["U"], fixed))
    return [omega for omega in found if omega is not None]


def _grid_omega(
    cut: str,
    end: float,
    rows: Table,
    lowest: Table,
    unique: np.ndarray,
    fixed: Mapping[str, float],
) -> GridOmega | None:
    """None where a fit is missing."""
    law = fit_law(forms.additive, rows, fixed)
    eq4 = fit_envelope(lowest, law) if law.params["beta"] > 0 else None
    if eq4 is None:
        return None
    sizes = float(unique.min()), float(unique.max())
    with np.errstate(all="ignore"):  # omega is infinite for draws with beta near 0
        least, most = (amplification(law, eq4, size) for size in sizes)
    return GridOmega(cut, end, bool(fixed), sizes, (least, most))


def omega_table(omegas: Sequence[GridOmega]) -> TextTable:
    """omega at the ends of the repeated sets, a row a grid."""
    kept = {"D": "single passes to", "U": "repeated sets to"}
    rows = [
        [
            f"{kept[one.cut]} {one.end:,.0f}",
            "known" if one.known else "fitted",
            *map(_omega, one.omegas),
        ]
        for one in omegas
    ]
    sizes = [f"omega of {size:,.0f} jets" for size in omegas[0].sizes]
    return TextTable(["kept [jets]", "L_inf", *sizes], rows)


def _omega(gain: Amplification) -> str:
    return with_interval(*gain) if isfinite(gain.omega) else "infinite"
