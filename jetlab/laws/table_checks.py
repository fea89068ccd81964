"""Tables as people have them: D from compute, and what looks odd before any fit."""

from collections.abc import Mapping

import numpy as np

from jetlab.records import TableLike

COARSE = 2e-3  # of the lowest loss


def complete(table: Mapping[str, np.ndarray], particles: float) -> TableLike:
    """The table with D = C / (6 n_p N) where it has C and N and no D; `particles` is
    n_p, 1 where D counts tokens."""
    columns = dict(table)
    if "D" not in columns and {"N", "C"} <= columns.keys():
        with np.errstate(all="ignore"):
            columns["D"] = columns["C"] / (6 * particles * columns["N"])
    return columns


def remarks(table: Mapping[str, np.ndarray], *, falls: bool = True) -> list[str]:
    """Sentences on what a physicist would ask about: copies of rows, coarse rounding,
    sizes below one, and a loss that rises with both N and D, where it `falls`."""
    found = []
    rows = np.stack([np.asarray(column, float) for column in table.values()], axis=1)
    copies = len(rows) - len(np.unique(rows, axis=0))
    if copies:
        found.append(
            f"{copies} rows are copies of others: they weigh in the fit as runs of"
            " their own, and as one with them in the intervals"
        )
    for name in ("N", "D"):
        small = int(np.sum(np.asarray(table.get(name, [1.0])) < 1))
        if small:
            found.append(
                f"{name} is below 1 on {small} rows: in millions, or from a C that is"
                " not in FLOPs? Exponents do not mind, allocations do"
            )
    step = _rounding(table["L"])
    if step > COARSE * np.min(table["L"]):
        found.append(
            f"L is rounded to {step:g}, {100 * step / np.min(table['L']):.2g} % of the"
            " lowest: intervals do not know of it"
        )
    if falls and {"N", "D", "L"} <= table.keys() and _rises(table):
        found.append(
            "the loss rises with N and with D: if L is an accuracy or a score, fit"
            " what is left to reach"
        )
    return found


def _rounding(losses: np.ndarray) -> float:
    """The decimal that the losses are rounded to; 0 where they have more than six."""
    for digits in range(7):
        if np.allclose(np.round(losses, digits), losses, rtol=1e-12, atol=0):
            return 10.0**-digits
    return 0.0


def _rises(table: Mapping[str, np.ndarray]) -> bool:
    """Whether rank correlations of L with both N and D are clearly positive."""
    return all(_rank_correlation(table[n], table["L"]) > 0.3 for n in ("N", "D"))


def _rank_correlation(x: np.ndarray, y: np.ndarray) -> float:
    """Spearman's; 0 for a column that is constant."""
    first, second = (np.unique(c, return_inverse=True)[1].reshape(-1) for c in (x, y))
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    first, second = first - first.mean(), second - second.mean()
    return float(first @ second / np.sqrt(first @ first * (second @ second)))
