"""The law at three choices of the learning rate, and how far it moves between them.

The arms are the runs at the paper's rate, those at the best rate of their cell (N, D),
and those at the rate that their width has by `jetlab.models.scaling`.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from jetlab.laws import forms
from jetlab.laws.compare import Difference, aligned, compare
from jetlab.laws.fit import fit
from jetlab.laws.result import FitResult
from jetlab.models import scaling
from jetlab.records import Record, Table
from jetlab.runs.grid import PAPER_RATE
from jetlab.studies.joint_law import Laws, Limit, fit_laws
from jetlab.studies.rates.best import Scan, scan

Estimates = Mapping[str, tuple[float, tuple[float, float] | None]]
"""Values and 68 % intervals by parameter."""

PAPER: Estimates = {
    "alpha": (0.44, (0.40, 0.48)),
    "beta": (0.22, (0.21, 0.23)),
    "a": (0.22 / 0.66, None),
    "L_inf": (0.32, (0.29, 0.34)),
}
"""Table 1 and Eq. 3 of arXiv:2602.15781: JetClass, 128 particles, 68 % intervals."""

KEYS = ("N", "D", "seed")


class Arm(NamedTuple):
    """The runs of one choice of rates that have learned, those that have not, and the
    law of the first; None where there are none."""

    rows: Table
    idle: Table
    laws: Laws | None

    @property
    def runs(self) -> int:
        """How many runs the arm has."""
        return len(self.rows["L"]) + len(self.idle["L"])


class Pair(NamedTuple):
    """Two arms on the runs they share: the median of log(L second / L first), and the
    law of the second less that of the first, or why there is no such difference;
    `open` names the arms whose law those runs do not decide."""

    names: tuple[str, str]
    kind: str
    shared: int
    median: float
    found: Difference | str
    open: tuple[str, ...] = ()


def arms(records: Sequence[Record]) -> dict[str, Table]:
    """Rows of the finished runs by choice of rate: columns as `jetlab.records.table`
    has them, and "rate" and "steps"."""
    rows = _with_rates(records)
    best = _best_rates(scanned(records))
    keys = zip(rows["N"].tolist(), rows["D"].tolist(), strict=True)
    tuned = np.array([best.get(key, np.nan) for key in keys])
    chosen = {
        "fixed": rows["rate"] == PAPER_RATE,
        "tuned": rows["rate"] == tuned,
        "width rule": _by_rule(rows["width"], rows["rate"]),
    }
    return {name: _rows(rows, own) for name, own in chosen.items()}


def scanned(records: Sequence[Record]) -> Scan:
    """The grid of rates: those that some width has and not by the rule alone, of runs
    that did not finish too."""
    rates = np.array([record.learning_rate for record in records])
    ruled = _by_rule(np.array([record.width for record in records]), rates)
    grid, rows = np.unique(rates[~ruled]), _with_rates(records)
    return scan(_rows(rows, np.isin(rows["rate"], grid)), grid)


def fitted(rows: Table, limit: Limit | None) -> Arm:
    """An arm with its laws, free and with L_inf fixed to a known limit."""
    begun, idle = rows.learned(), rows.unlearned()
    return Arm(begun, idle, fit_laws(begun, limit) if len(begun["L"]) else None)


def pairs(found: Mapping[str, Arm], limit: Limit | None) -> list[Pair]:
    """Every two arms, by the free law and by that with L_inf fixed to a known limit.

    Cells are drawn for the intervals, those of one trajectory as if independent.
    """
    kinds = {"free": {}} | ({"L_inf known": {"L_inf": limit[0]}} if limit else {})
    return [
        _pair(names, found, kind, fixed)
        for kind, fixed in kinds.items()
        for names in itertools.combinations(found, 2)
    ]


def told(law: FitResult | None) -> bool:
    """Whether there is a law that its rows decide."""
    return law is not None and law.reliable


def estimates(law: FitResult) -> Estimates:
    """What the tables quote; no interval for what is fixed."""
    values = law.params | law.derived
    spread = {n: law.interval(n) for n in PAPER if law.intervals and n not in law.fixed}
    return {name: (values[name], spread.get(name)) for name in PAPER}


def _pair(
    names: tuple[str, str], found: Mapping[str, Arm], kind: str, fixed: dict[str, float]
) -> Pair:
    try:
        one, other, _ = aligned(found[names[0]].rows, found[names[1]].rows, KEYS)
    except ValueError:
        return Pair(names, kind, 0, np.nan, "no run that has learned is in both")
    median = float(np.median(np.log(other["L"] / one["L"])))
    laws = [fit(forms.additive, rows, fixed=fixed) for rows in (one, other)]
    pairs = list(zip(names, laws, strict=True))
    unsure = tuple(name for name, law in pairs if not told(law))
    lost = [f"{name}: {law.message}" for name, law in pairs if not law.converged]
    moved = lost[0] if lost else _difference(*laws)
    return Pair(names, kind, len(one["L"]), median, moved, unsure)


def _difference(first: FitResult, second: FitResult) -> Difference | str:
    try:
        return compare(first, second)
    except ValueError as error:
        return str(error)


def _with_rates(records: Sequence[Record]) -> Table:
    done = [record for record in records if record.status == "done"]
    return Table.of_records(done) | {
        "rate": np.array([record.learning_rate for record in done]),
        "steps": np.array([record.D / record.batch for record in done]),
    }


def _by_rule(width: np.ndarray, rate: np.ndarray) -> np.ndarray:
    ruled = [scaling.learning_rate(int(d)) for d in width]
    return np.isclose(rate, ruled, rtol=1e-9, atol=0)


def _rows(rows: Table, chosen: np.ndarray) -> Table:
    return rows.take(chosen)


def _best_rates(found: Scan) -> dict[tuple[float, float], float]:
    cells_of = zip(found.N.tolist(), found.D.tolist(), strict=True)
    return dict(zip(cells_of, found.rates[found.best].tolist(), strict=True))
