"""Closure in words and tables: does the floor close, and if not, why not?"""

from collections.abc import Sequence
from math import isfinite, sqrt

from jetlab.laws.amplification import Amplification
from jetlab.laws.result import LEVEL
from jetlab.runs.study import Findings
from jetlab.runs.tables import TextTable, with_interval
from jetlab.studies.closure import figures
from jetlab.studies.closure.estimators import ESTIMATORS, Estimate
from jetlab.studies.closure.grids import Closure, Floors

DEFAULT = ESTIMATORS[0].name
FEW = 0.5  # of such grids that decide L_inf: fewer, and the grid is too short
CLEARLY = 3.0  # binomial errors, four estimators being asked
RARE = 0.05  # a share of such grids beyond which the losses are not the law's


def report(found: Closure) -> Findings:
    """Sentences, three tables and the figure, as far as the rows allow them."""
    tables = {}
    if found.whole:
        tables["L_inf by how far the grid reaches"] = _reaches(found)
    if found.imagined:
        tables["What to expect if the law held"] = _expectation(found)
    if found.gains:
        tables["omega by reach"] = _omegas(found)
    drawn = found.whole or found.gains
    return Findings(
        words=_words(found),
        tables=tables,
        figures={"fig_closure": figures.closure(found)} if drawn else {},
    )


def _words(found: Closure) -> list[str]:
    if not found.whole:
        return ["No grid of these runs can bear the law: there is nothing to close."]
    words = [
        *_drift("N", found.by_n, found),
        *_drift("D", found.by_d, found),
    ]
    if found.limit is None:
        return [*words, "No limit is known for these jets: nothing to close against."]
    value, error = found.limit
    lowest = found.whole.lowest
    distance = (
        f"Known limit {value:.4f} ± {error:.4f} nats; the lowest loss of the"
        f" {found.whole.runs} runs is {lowest:.4f}, {100 * (lowest / value - 1):.0f} %"
        " above it."
    )
    return [distance, *words, *_verdict(found), *_gain_words(found)]


def _drift(column: str, grids: Sequence[Floors], found: Closure) -> list[str]:
    """How L_inf moves as the grid grows, and how often its intervals hold the truth."""
    if len(grids) < 2:
        return [f"Too few values of {column} to cut the grid short in it."]
    first, last = grids[-1].found[DEFAULT], grids[0].found[DEFAULT]
    words = (
        f"As the largest {column} grows from {grids[-1].end:,.0f} to"
        f" {grids[0].end:,.0f}, L_inf by {DEFAULT}, goes from {_shown(first)} to"
        f" {_shown(last)}"
    )
    if found.limit is None:
        return [f"{words}."]
    counts = []
    for estimator in ESTIMATORS:
        held = [grid.found[estimator.name].holds(found.limit[0]) for grid in grids]
        told = [yes for yes in held if yes is not None]
        counts.append(f"{sum(told)} of {len(told)} ({estimator.name})")
    return [f"{words}. Its 68 % intervals hold the limit: {'; '.join(counts)}."]


def _verdict(found: Closure) -> list[str]:
    """Too short a grid, a wrong estimator, or losses that are not the law's?"""
    if not (found.imagined and found.pinned and found.whole):
        return ["With L_inf fixed there is no law whose grid could be imagined."]
    expected = {e.name: found.expected(e.name) for e in ESTIMATORS}
    error = sqrt(LEVEL * (1 - LEVEL) / len(found.imagined))
    default, farther = expected[DEFAULT], found.farther(DEFAULT)
    narrow = [
        f"{name} ({one.held:.2f})"
        for name, one in expected.items()
        if one.told > 0 and one.held < LEVEL - CLEARLY * error / sqrt(one.told)
    ]
    short, bent = default.identified < FEW, farther < RARE
    reasons = [
        *(["a grid too short"] if short else []),
        *([f"intervals too narrow: {', '.join(narrow)}"] if narrow else []),
        *(["losses that do not follow the law"] if bent else []),
    ]
    whole, scatter = found.whole.found[DEFAULT], 100 * found.pinned.scatter
    return [
        f"If the law held, with the known limit and the {scatter:.2f} % by which the"
        f" runs scatter about it, {100 * default.identified:.0f} % of"
        f" {len(found.imagined)} such grids would be identified by {DEFAULT}; the"
        f" median error of L_inf would be {100 * default.error:.0f} %, and"
        f" {default.held:.2f} of the intervals would hold the truth (binomial error"
        f" {error:.2f}).",
        f"In {100 * farther:.0f} % of them L_inf lies as far from the limit as the one"
        f" found, {_shown(whole)}, or farther. A bend of the law counts as scatter"
        " here, so that only a strong one shows.",
        f"The results point to {'; to '.join(reasons)}."
        if reasons
        else "The floor is as near the limit as the law and the scatter allow.",
    ]


def _gain_words(found: Closure) -> list[str]:
    known = [gain for gain in found.gains if gain.known]
    fitted = [gain for gain in found.gains if not gain.known]
    if not (known and fitted):
        return ["No omega: Eq. 4 wants three repeated data sets that a run overfits."]
    return [
        f"omega of {known[0].sizes[1]:,.0f} jets, which has no known value:"
        f" {_omega(known[0].omegas[1])} with L_inf fixed to the limit,"
        f" {_omega(fitted[0].omegas[1])} with L_inf fitted."
    ]


def _reaches(found: Closure) -> TextTable:
    assert found.whole
    cut = [
        (f"{column} to {grid.end:,.0f}", grid)
        for column, grids in (("N", found.by_n), ("D", found.by_d))
        for grid in grids[1:]
    ]
    rows = [
        [kept, str(grid.runs), f"{grid.lowest:.4f}"]
        + [_cell(grid.found[e.name], found) for e in ESTIMATORS]
        for kept, grid in [("all", found.whole), *cut]
    ]
    return TextTable(
        ["kept", "runs", "lowest loss", *(e.name for e in ESTIMATORS)], rows
    )


def _cell(one: Estimate, found: Closure) -> str:
    text = _shown(one)
    if found.limit is None or one.interval is None:
        return text
    held = "holds" if one.holds(found.limit[0]) else "misses"
    pull = one.pull(found.limit[0])
    return f"{text}; {held}" + (f", pull {pull:+.1f}" if pull is not None else "")


def _shown(one: Estimate) -> str:
    """Value and interval, numbers below a thousandth as zero, which no row tells from
    them."""
    ends = one.interval and (_plain(one.interval[0]), _plain(one.interval[1]))
    text = with_interval(_plain(one.value), ends)
    open_ = "" if one.interval else ", no interval"
    return text + open_ + ("" if one.identified else ", not identified")


def _plain(value: float) -> float:
    return value if not value < 1e-3 else 0.0


def _expectation(found: Closure) -> TextTable:
    rows = []
    for estimator in ESTIMATORS:
        one = found.expected(estimator.name)
        rows.append([
            estimator.name, f"{one.identified:.2f}", f"{one.told:.2f}",
            f"{one.held:.2f}", f"{100 * one.width:.1f} %", f"{100 * one.error:.1f} %",
            f"{found.farther(estimator.name):.2f}",
        ])  # fmt: skip
    return TextTable(
        [
            f"{len(found.imagined)} tables",
            "identified",
            "with an interval",
            "intervals that hold the truth (68 % asked)",
            "median half width",
            "median error",
            "as far off as found, or farther",
        ],
        rows,
    )


def _omegas(found: Closure) -> TextTable:
    smallest, largest = found.gains[0].sizes
    kept = {"D": "single passes to", "U": "repeated sets to"}
    rows = [
        [
            f"{kept[gain.cut]} {gain.end:,.0f}",
            "known" if gain.known else "fitted",
            *map(_omega, gain.omegas),
        ]
        for gain in found.gains
    ]
    sizes = [f"omega of {size:,.0f} jets" for size in (smallest, largest)]
    return TextTable(["kept [jets]", "L_inf", *sizes], rows)


def _omega(gain: Amplification) -> str:
    return with_interval(*gain) if isfinite(gain.omega) else "infinite"
