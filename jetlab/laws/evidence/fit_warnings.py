"""Warnings of a fit in sentences: what is undecided and why, tests that the law fails,
rows that are far off or left out."""

from collections.abc import Mapping

import numpy as np

from jetlab.laws.evidence import steep_start
from jetlab.laws.evidence.verdict import Verdict
from jetlab.laws.formatting import label
from jetlab.laws.result import OUTLYING, FitResult

TWO_UNITS = 1.2  # ratio of losses between two labels that may be two units
UNEQUAL = 0.05  # median spread of the losses of a cell that calls for its best run
SIZES = ("N", "D")
NAMED = 5  # rows that a sentence names; the JSON has all


def warnings(law: FitResult) -> list[str]:
    """All sentences on a fit; empty if all is well."""
    start = steep_start.sentence(law)
    drawn = law.draws.warnings if law.draws else ()
    found = [
        *issues(law),
        *harmless_failures(law),
        *mixtures(law),
        *([start] if start else []),
        *exceptions(law),
        *drawn,
        *law.remarks,
    ]
    return list(dict.fromkeys(found))


def exceptions(law: FitResult) -> list[str]:
    """A sentence on the outliers and one on the rows left out, if there are any."""
    off = [
        f"{row} ({100 * np.expm1(-law.residuals[row]):+.3g} %)" for row in law.outliers
    ]
    out = [f"{row} ({why})" for row, why in law.left_out.items()]
    far = f"more than {OUTLYING:g} robust sigmas from the law, kept"
    return [*_listed(off, far), *_listed(out, "left out")]


def _listed(items: list[str], what: str) -> list[str]:
    """One sentence that counts the rows and names the first of them."""
    if not items:
        return []
    noun = "row" if len(items) == 1 else "rows"
    names = ", ".join(items[:NAMED]) + (", ..." if len(items) > NAMED else "")
    return [f"{len(items)} {noun} {what}: {names}"]


def issues(law: FitResult) -> tuple[str, ...]:
    """Why the fit or parameters are undecided, each reason once."""
    if law.evidence.doubt:
        return (law.evidence.doubt,)
    return tuple(undecided({name: law.verdicts[name] for name in law.params}))


def undecided(verdicts: Mapping[str, Verdict]) -> list[str]:
    """One sentence for each reason, and one for all quantities that are undecided
    because the law fails a test."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for name, one in verdicts.items():
        if not one.known:
            reasons.setdefault((one.failures, one.reason), []).append(name)
    found = [
        f"{', '.join(names)} undecided: {why}"
        for (failures, why), names in reasons.items()
        if not failures
    ]
    open_ones = [(f, why, n) for (f, why), n in reasons.items() if f]
    if open_ones:
        names = [name for _, _, own in open_ones for name in own]
        moves = "; ".join(why for _, why, _ in open_ones)
        found.append(
            f"{', '.join(names)} undecided, the law does not hold: {open_ones[0][0]};"
            f" {moves}"
        )
    return found


def mixtures(law: FitResult) -> list[str]:
    """Rows that differ by more than N and D: labels on which the residuals depend, with
    a different unit of L as the likely cause of a large ratio, and cells of unequal
    losses."""
    found = []
    failed = {test.column for test in law.evidence.failed}
    for name, column in law.labels.items():
        if name in SIZES:
            if name in failed:
                found.append(
                    f"L depends on {name}, which {law.form.name} lacks: take a form"
                    f" with it, or fit one {name} (--where)"
                )
            continue
        centre = {v: float(np.median(law.residuals[column == v])) for v in set(column)}
        low, high = (f(centre, key=centre.__getitem__) for f in (min, max))
        ratio = float(np.exp(centre[high] - centre[low]))
        if ratio > TWO_UNITS:
            found.append(
                f"L of {name} = {label(low)} is {ratio:.3g} times that of {name} ="
                f" {label(high)} at equal N and D: if they are in one unit, fit them"
                f" separately (--group {name})"
            )
        elif name in failed:
            found.append(
                f"rows of one N and D differ by {name}: fit one of its values"
                " (--where), each of them (--group), or the best of each cell"
                " (--best-of-cell)"
            )
    return found or _unequal_cells(law)


def _unequal_cells(law: FitResult) -> list[str]:
    """Cells whose runs differ by far more than runs of one setting do."""
    if not law.table:
        return []
    cells = law.table.cells(law.form.columns)
    if cells.max() + 1 == law.rows:
        return []
    loss = law.table["L"]
    size = cells.max() + 1
    high, low = np.full(size, -np.inf), np.full(size, np.inf)
    np.maximum.at(high, cells, loss)
    np.minimum.at(low, cells, loss)
    several = np.bincount(cells) > 1
    spread = float(np.median((high / low - 1)[several]))
    if spread < UNEQUAL:
        return []
    return [
        f"runs of one N and D differ by {100 * spread:.2g} % in L: if they differ in"
        " tuning, fit the best of each cell (--best-of-cell)"
    ]


def harmless_failures(law: FitResult) -> list[str]:
    """Tests that the law fails, where no parameter moves for it."""
    failures = law.evidence.failures
    if not failures or any(failures in issue for issue in law.issues):
        return []
    return [
        f"{failures}: the law does not hold to the scatter of the rows, but no"
        " parameter moves by more than its interval when rows are left out"
    ]
