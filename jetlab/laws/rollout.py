"""How well would the law have foretold the next size? Fits to the rows up to each.

The windows expand over N, D or C: each fit sees the rows up to a value and predicts
those of the next, as one does who plans a larger run.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float

from jetlab.laws.fit import fit
from jetlab.laws.forms import Form
from jetlab.records import Table

ALIKE = 0.02  # log-distance within which two values of a column are one size


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What a fit to the rows up to `seen` said of the rows at `next`: their errors
    log L_predicted - log L. It holds if `told`, the fit having been identified."""

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


def rollout(
    form: Form,
    table: Table,
    over: str = "D",
    *,
    fixed: dict[str, float] | None = None,
) -> list[Forecast]:
    """Forecasts of each size of column `over` from the smaller ones, where these are
    more rows than the form has free parameters and could be fitted at all.

    Raises:
      ValueError: for a column that the table lacks.
    """
    if over not in table:
        raise ValueError(f"the table has no column {over}; it has {list(table)}")
    column = np.asarray(table[over], float)
    sizes = levels(column)
    found = []
    for seen, coming in pairwise(sizes):
        before = column <= seen * (1 + ALIKE)
        after = ~before & (column <= coming * (1 + ALIKE))
        law = fit(form, _where(table, before), fixed=fixed)
        if not np.isfinite(law.objective):
            continue
        rows = _where(table, after)
        errors = np.log(law.predict(rows)) - np.log(rows["L"])
        found.append(
            Forecast(
                over=over,
                seen=float(seen),
                next=float(coming),
                fitted=law.rows,
                errors=errors,
                told=law.converged and law.identified,
            )
        )
    return found


def levels(column: Float[np.ndarray, "n"]) -> Sequence[float]:
    """The sizes that a column has, those within `ALIKE` of the last being one."""
    sizes: list[float] = []
    for value in np.sort(column):
        if not sizes or value > sizes[-1] * (1 + ALIKE):
            sizes.append(float(value))
    return sizes


def _where(table: Table, chosen: np.ndarray) -> Table:
    return {name: np.asarray(values)[chosen] for name, values in table.items()}
