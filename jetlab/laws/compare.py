"""Does a change of inputs, rates or pretraining change the law? Two arms, paired.

Runs of the same N, D and seed share their luck: the same jets, the same order. Drawing
the same cells in both arms keeps that in the difference, whose interval is often
several times narrower than that of two fits that know nothing of each other.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from jetlab.laws.bootstrap import bootstrap
from jetlab.laws.resampling import Labels
from jetlab.laws.result import LEVEL, FitResult, percentiles
from jetlab.records import TableLike

Derived = Mapping[str, Callable[[Mapping[str, Any]], Any]]
"""Numbers made of parameters, by name: of values, or of arrays of draws."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Second arm minus first, by parameter: value, the interval of paired draws, and
    that of independent ones, which ignores what the arms share."""

    values: dict[str, float]
    paired: dict[str, tuple[float, float]]
    unpaired: dict[str, tuple[float, float]]
    draws: int

    def differs(self, name: str) -> bool:
        """Whether the paired interval of a parameter leaves out no difference."""
        low, high = self.paired[name]
        return not low <= 0 <= high


def aligned(
    one: TableLike, other: TableLike, keys: Sequence[str]
) -> tuple[TableLike, TableLike, int]:
    """The rows that two tables share by their `keys` (N, D, seed, say), in one order,
    and how many rows of either were left out.

    Raises:
      ValueError: where a key stands twice in a table, or no row is shared.
    """
    ours, theirs = _keyed(one, keys), _keyed(other, keys)
    shared = [key for key in ours if key in theirs]
    if not shared:
        raise ValueError(f"the tables share no row by {', '.join(keys)}")
    left = len(ours) + len(theirs) - 2 * len(shared)
    return (
        _rows(one, [ours[key] for key in shared]),
        _rows(other, [theirs[key] for key in shared]),
        left,
    )


def compare(
    one: tuple[FitResult, TableLike],
    other: tuple[FitResult, TableLike],
    *,
    labels: Labels | None = None,
    derived: Derived | None = None,
    draws: int = 1000,
    seed: int = 0,
    level: float = LEVEL,
) -> Difference:
    """Parameters of two fits to `aligned` tables, the second minus the first.

    `labels` name the clusters that are drawn as one (cells, trajectories); `derived`
    are further numbers to compare.

    Raises:
      ValueError: where the forms differ, the tables have unequal numbers of rows, or an
        arm has too few clusters for draws.
    """
    (first, _), (second, _) = one, other
    if first.form != second.form or first.rows != second.rows:
        raise ValueError(
            f"{first.form.name} through {first.rows} rows and {second.form.name} "
            f"through {second.rows} cannot be paired: fit one form to aligned tables"
        )
    names = [n for n in first.params if n not in first.fixed and n not in second.fixed]

    def whole(params: Mapping[str, Any]) -> dict[str, Any]:
        more = {name: make(params) for name, make in (derived or {}).items()}
        return {name: params[name] for name in names} | more

    def drawn(arm: tuple[FitResult, TableLike], seed: int) -> dict[str, np.ndarray]:
        found = bootstrap(*arm, draws=draws, seed=seed, labels=labels, keep_lost=True)
        if not found.values:
            raise ValueError(found.message)
        return whole(found.values)

    here, there, elsewhere = (
        drawn(one, seed),
        drawn(other, seed),
        drawn(other, seed + 1),
    )
    less, more = whole(first.params), whole(second.params)
    return Difference(
        values={n: more[n] - less[n] for n in more},
        paired={n: _interval(there[n] - here[n], level) for n in more},
        unpaired={n: _interval(elsewhere[n] - here[n], level) for n in more},
        draws=draws,
    )


def _interval(draws: Float[np.ndarray, "m"], level: float) -> tuple[float, float]:
    kept = draws[np.isfinite(draws)]
    if not kept.size:
        raise ValueError("no refit converged in both arms: there is no interval")
    low, high = percentiles(kept, level)
    return float(low), float(high)


def _keyed(table: TableLike, keys: Sequence[str]) -> dict[tuple, int]:
    missing = [key for key in keys if key not in table]
    if missing:
        raise ValueError(f"a table has no column {missing[0]}; it has {list(table)}")
    found: dict[tuple, int] = {}
    for row, key in enumerate(zip(*(table[k].tolist() for k in keys), strict=True)):
        if key in found:
            named = ", ".join(f"{k} = {v}" for k, v in zip(keys, key, strict=True))
            raise ValueError(f"two rows have {named}: add a key that tells them apart")
        found[key] = row
    return found


def _rows(table: Mapping[str, np.ndarray], rows: Sequence[int]) -> TableLike:
    return {name: np.asarray(column)[list(rows)] for name, column in table.items()}
