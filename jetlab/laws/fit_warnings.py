"""Warnings of a fit in sentences: what is undecided and why, tests that the law fails,
rows that are far off or left out."""

import numpy as np

from jetlab.laws import steep_start
from jetlab.laws.result import OUTLYING, FitResult

NAMED = 5  # rows that a sentence names; the JSON has all


def warnings(law: FitResult) -> list[str]:
    """All sentences on a fit; empty if all is well."""
    start = steep_start.sentence(law)
    drawn = law.draws.warnings if law.draws else ()
    found = [
        *issues(law),
        *harmless_failures(law),
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
    names: dict[str, list[str]] = {}
    for name in law.params:
        if not law.verdicts[name].known:
            names.setdefault(law.verdicts[name].reason, []).append(name)
    return tuple(f"{', '.join(n)} undecided: {why}" for why, n in names.items())


def harmless_failures(law: FitResult) -> list[str]:
    """Tests that the law fails, where no parameter moves for it."""
    failures = law.evidence.failures
    if not failures or any(failures in issue for issue in law.issues):
        return []
    return [
        f"{failures}: the law does not hold to the scatter of the rows, but no"
        " parameter moves by more than its interval when rows are left out"
    ]
