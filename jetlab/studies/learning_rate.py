"""Learning rates: L(N, D) at the paper's rate, at the best rate of each cell (N, D) and
at the rate of the width, and how the best rate moves with width and steps."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from jetlab.laws import forms
from jetlab.laws.compare import Difference, aligned, compare
from jetlab.laws.fit import fit
from jetlab.laws.formatting import with_interval
from jetlab.laws.plot_style import Figure
from jetlab.laws.result import FitResult
from jetlab.onset import beats_chance
from jetlab.records import Record, Table
from jetlab.runs.grid import PAPER_RATE, Size
from jetlab.runs.report import Findings, TextTable
from jetlab.runs.study import for_each_inputs
from jetlab.studies import learning_rate_plots as plots
from jetlab.studies import published
from jetlab.studies.best_rate import (
    Scan,
    best_rate_table,
    end_sentences,
    rate_lines,
    scan,
)
from jetlab.studies.joint_law import (
    FIXED,
    FREE,
    Fits,
    Floor,
    begun,
    fit_free_and_fixed,
    fits_as_json,
    known_floor,
    parameter_headers,
    parameter_rows,
)
from jetlab.studies.run_quality import quality_sentences
from jetlab.training.run_config import RunConfig
from jetlab.types import Source

GRID = ("fixed", "scan")
"""Arms of the runs at the rates of the grid: the constant rate, and the others."""

COMPARED = ("alpha", "beta", "a", "L_inf")
KEYS = ("N", "D", "seed")


@dataclass(frozen=True, kw_only=True)
class RateSize(Size):
    """Single passes at each of the `learning_rates` (arm "fixed" at the `constant` one,
    else "scan"), and at the rate of the width (arm "width rule")."""

    constant: float = PAPER_RATE

    def runs(self, source: Source) -> tuple[RunConfig, ...]:
        grid = [
            replace(run, arm="fixed" if run.learning_rate == self.constant else "scan")
            for run in super().runs(source)
        ]
        by_width = Size.runs(replace(self, learning_rates=(None,)), source)
        return (*grid, *(replace(run, arm="width rule") for run in by_width))


@dataclass(frozen=True, kw_only=True)
class Arm:
    """The runs of one choice of learning rates: rows that have learned, those that have
    not, and the fits of L(N, D) to the first, none without rows."""

    rows: Table
    unlearned: Table
    fits: Fits


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two arms on the runs that they share.

    Attributes:
      kind: of the fits compared, free or with L_inf fixed.
      shared: number of these runs.
      change: median of log(L second / L first).
      difference: parameters of the second minus those of the first law, or why there is
        none.
      unreliable: names of the arms whose law these runs do not determine.
    """

    names: tuple[str, str]
    kind: str
    shared: int = 0
    change: float = np.nan
    difference: Difference | str
    unreliable: tuple[str, ...] = ()


@for_each_inputs
def analyse(records: Sequence[Record]) -> Findings:
    """The laws of the arms, the differences between them, and the best rate."""
    floor, rates = known_floor(records[0]), scanned(records)
    fitted = {n: fit_arm(rows, floor) for n, rows in arms(records).items()}
    chance = np.full(len(rates.N), records[0].chance_loss)
    learning = rates.of(beats_chance(rates.lowest, chance))
    compared = pairs(fitted, floor)
    known, unknown = rate_lines(learning)
    for pair in compared:
        (known if _decided(pair) else unknown).append(_sentence(pair))
    return Findings(
        known=known,
        unknown=unknown,
        sentences=[*quality_sentences(records), *end_sentences(learning)],
        tables={
            "Parameters of the law by learning rate": parameters(fitted, floor),
            "Differences between arms": differences(compared),
            "The best rate": best_rate_table(learning, _scatter(fitted["tuned"])),
        },
        figures=_figures(records, rates, fitted, floor),
        results={
            file.replace("fit", f"fit_{name.replace(' ', '_')}", 1): text
            for name, arm in fitted.items()
            if arm.fits
            for file, text in fits_as_json(arm.fits).items()
        },
    )


def arms(records: Sequence[Record]) -> dict[str, Table]:
    """The finished runs of each choice of rates: "fixed", "tuned" (those of the grid at
    the rate of the lowest mean loss over the seeds of their cell) and "width rule"."""
    runs = Table.of_records(records)
    return {
        "fixed": runs.where(arm="fixed"),
        "tuned": _tuned(runs.where(arm=GRID), scanned(records)),
        "width rule": runs.where(arm="width rule"),
    }


def _tuned(runs: Table, rates: Scan) -> Table:
    cells = zip(rates.N.tolist(), rates.D.tolist(), strict=True)
    best = dict(zip(cells, rates.rates[rates.best].tolist(), strict=True))
    points = zip(*(runs[n].tolist() for n in ("N", "D", "learning_rate")), strict=True)
    chosen = [best.get((N, D)) == rate for N, D, rate in points]
    return runs.take(np.array(chosen, bool))


def scanned(records: Sequence[Record]) -> Scan:
    """Losses at the rates of the grid, those of unfinished runs included."""
    rates = np.unique([r.learning_rate for r in records if r.arm in GRID])
    return scan(Table.of_records(records).where(arm=GRID), rates)


def fit_arm(runs: Table, floor: Floor | None) -> Arm:
    """An arm with its fits."""
    rows, unlearned = begun(forms.additive, runs)
    fits = fit_free_and_fixed(forms.additive, rows, floor) if rows.rows else {}
    return Arm(rows=rows, unlearned=unlearned, fits=fits)


def _scatter(arm: Arm) -> float:
    """Of log L about the free law of an arm; NaN without a law."""
    return arm.fits[FREE].scatter if arm.fits else np.nan


def pairs(fitted: Mapping[str, Arm], floor: Floor | None) -> list[Pair]:
    """Every two arms, by the free law and by that with L_inf fixed to a known floor.

    Intervals resample cells; correlations of the runs of a trajectory are ignored.
    """
    kinds = {FREE: {}, **({FIXED: {"L_inf": floor[0]}} if floor else {})}
    return [
        _pair(names, fitted, kind, fixed)
        for kind, fixed in kinds.items()
        for names in itertools.combinations(fitted, 2)
    ]


def _pair(
    names: tuple[str, str],
    fitted: Mapping[str, Arm],
    kind: str,
    fixed: Mapping[str, float],
) -> Pair:
    first, second = (fitted[name].rows for name in names)
    try:
        one, other, _ = aligned(first, second, KEYS)
    except ValueError:
        return Pair(names=names, kind=kind, difference="no run has learned in both")
    laws = [fit(forms.additive, rows, fixed=fixed) for rows in (one, other)]
    named = list(zip(names, laws, strict=True))
    failed = [f"{name}: {law.message}" for name, law in named if not law.converged]
    return Pair(
        names=names,
        kind=kind,
        shared=len(one["L"]),
        change=float(np.median(np.log(other["L"] / one["L"]))),
        difference=failed[0] if failed else _difference(*laws),
        unreliable=tuple(name for name, law in named if not law.reliable),
    )


def _difference(one: FitResult, other: FitResult) -> Difference | str:
    try:
        return compare(one, other)
    except ValueError as error:
        return str(error)


def parameters(fitted: Mapping[str, Arm], floor: Floor | None) -> TextTable:
    """The laws of the arms, and how many of their runs have learned."""
    paper = parameter_rows({}, COMPARED, published.TABLE_1, floor)
    rows = [["", "", *row] for row in paper if not floor]
    for name, arm in fitted.items():
        learned = f"{arm.rows.rows} of {arm.rows.rows + arm.unlearned.rows}"
        laws = parameter_rows(arm.fits, COMPARED) or [[""] * (len(COMPARED) + 4)]
        rows += [[name, learned, *row] for row in laws]
    rows += [["", "", *row] for row in parameter_rows({}, COMPARED, floor=floor)]
    return TextTable(["arm", "learned", *parameter_headers(COMPARED)], rows)


def differences(compared: Sequence[Pair]) -> TextTable:
    """Second arm minus first; a star marks 68 % intervals that exclude 0."""
    rows = []
    for pair in compared:
        notes = [pair.difference] if isinstance(pair.difference, str) else []
        if pair.unreliable and not notes:
            notes = [f"law not reliable: {', '.join(pair.unreliable)}"]
        rows.append(
            [
                " to ".join(pair.names),
                pair.kind,
                str(pair.shared),
                f"{100 * np.expm1(pair.change):+.2f} %" if pair.shared else "",
                *(_moved(pair.difference, name) for name in COMPARED),
                "; ".join(notes),
            ]
        )
    headers = ["from, to", "fit", "runs shared", "median change of the loss"]
    return TextTable([*headers, *COMPARED, ""], rows)


def _decided(pair: Pair) -> bool:
    """Whether both laws hold and a shift of an exponent is resolved."""
    if isinstance(pair.difference, str) or pair.unreliable:
        return False
    return any(map(pair.difference.differs, pair.difference.values))


def _sentence(pair: Pair) -> str:
    """What the choice of rates does to the exponents, in one line."""
    name = f"From {pair.names[0]} to {pair.names[1]} rates ({pair.kind} law,"
    name += f" {pair.shared} runs)"
    if isinstance(pair.difference, str):
        return f"{name}: {pair.difference}."
    moved = [
        f"{n} by {with_interval(pair.difference.values[n], pair.difference.paired[n])}"
        for n in COMPARED
        if n in pair.difference.values
    ]
    moves = ", ".join(n for n in pair.difference.values if pair.difference.differs(n))
    text = f"{name} the parameters change: {', '.join(moved)}; " + (
        f"68 % intervals of {moves} exclude 0" if moves else "no shift is resolved"
    )
    unreliable = f" [law not reliable: {', '.join(pair.unreliable)}]"
    return text + (f"{unreliable}." if pair.unreliable else ".")


def _moved(difference: Difference | str, name: str) -> str:
    if isinstance(difference, str) or name not in difference.values:
        return ""
    text = with_interval(difference.values[name], difference.paired[name])
    return text + (" *" if difference.differs(name) else "")


def _figures(
    records: Sequence[Record],
    rates: Scan,
    fitted: Mapping[str, Arm],
    floor: Floor | None,
) -> dict[str, Figure]:
    figures = {}
    if len(rates.N):
        rule = {r.width: r.learning_rate for r in records if r.arm == "width rule"}
        figures["fig_learning_rate_loss"] = plots.loss_against_rate(rates, rule)
    reliable = {
        name: arm.fits
        for name, arm in fitted.items()
        if any(law.reliable for law in arm.fits.values())
    }
    if reliable:
        drawn = plots.parameters(reliable, published.TABLE_1, floor)
        figures["fig_learning_rate_parameters"] = drawn
    return figures
