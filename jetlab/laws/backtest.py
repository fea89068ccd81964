"""How well would the law have foretold the next size? Fits to the rows up to each.

The windows expand over N, D or C: each fit sees the rows up to a value and predicts
those of the next, as one does who plans a larger run.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float

from jetlab.laws.fit import fit_part
from jetlab.laws.result import FitResult
from jetlab.records import TableLike

ALIKE = 0.02  # log-distance within which two values of a column are one size
HOPELESS = 10.0  # of log L: farther off, how far says nothing
SIZES = 12  # at most; columns with more are seen more coarsely


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What a fit to the rows up to `seen` said of the rows above, up to `next`: their
    errors log L_predicted - log L. It holds if `told`, the fit being identified."""

    over: str
    seen: float
    next: float
    fitted: int
    errors: Float[np.ndarray, "n"]
    told: bool

    @property
    def bias(self) -> float:
        """Mean error; positive where the runs were better than foretold."""
        return float(np.mean(self.errors))

    @property
    def spread(self) -> float:
        """Root mean square of the errors."""
        return float(np.sqrt(np.mean(self.errors**2)))

    def record(self) -> dict[str, str | float | int | bool]:
        """The forecast as JSON writes it."""
        own = (self.over, self.seen, self.next, self.fitted, len(self.errors))
        names = ("over", "seen", "next", "fitted", "foretold")
        found = {"bias": self.bias, "spread": self.spread, "told": self.told}
        return dict(zip(names, own, strict=True)) | found


def rollout(law: FitResult, table: TableLike, over: str = "D") -> list[Forecast]:
    """Forecasts of each size of column `over` by the fit of `law` made to the smaller
    ones, where these are rows enough to fit at all.

    Raises:
      ValueError: for a column that the table lacks.
    """
    if over not in table:
        raise ValueError(f"the table has no column {over}; it has {list(table)}")
    column = np.asarray(table[over], float)
    found = []
    for seen, coming in pairwise(levels(column)):
        before = column <= seen
        after = ~before & (column <= coming)
        part = fit_part(law, _where(table, before))
        if not np.isfinite(part.objective):
            continue
        with np.errstate(divide="ignore"):
            errors = np.log(part.predict(table)) - np.log(table["L"])
        errors = np.clip(np.nan_to_num(errors, nan=HOPELESS), -HOPELESS, HOPELESS)
        found.append(
            Forecast(
                over=over,
                seen=seen,
                next=coming,
                fitted=part.rows,
                errors=errors[after],
                told=part.converged and part.identified,
            )
        )
    return found


def levels(column: Float[np.ndarray, "n"]) -> Sequence[float]:
    """The sizes that a column has, each by its largest value: values within `ALIKE` of
    the one below are one size, and neighbours are one where there would be too many."""
    values = np.unique(column)
    ends = values[np.append(np.diff(np.log(values)) > ALIKE, True)]
    groups = np.array_split(ends, min(SIZES, len(ends)))
    return [float(group[-1]) for group in groups]


def _where(table: TableLike, chosen: np.ndarray) -> TableLike:
    return {name: np.asarray(values)[chosen] for name, values in table.items()}
