"""Paired comparison of the laws of two arms: inputs, learning rates or pretraining.

Runs of the same N, D and seed share their jets and the order of them. Drawing the same
cells in both arms keeps this correlation in the difference, whose interval is often
several times narrower than that of two independent fits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from jetlab.laws.derived import optimal_exponents
from jetlab.laws.evidence.bootstrap import bootstrap
from jetlab.laws.evidence.clusters import Labels
from jetlab.laws.evidence.intervals import CONFIDENCE_LEVEL, percentiles
from jetlab.laws.result import FitResult
from jetlab.records import Table, TableLike


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Second arm minus first, by parameter and derived exponent: value, interval of
    paired draws, and interval of independent draws, which ignores the pairing."""

    values: dict[str, float]
    paired: dict[str, tuple[float, float]]
    unpaired: dict[str, tuple[float, float]]
    draws: int

    def differs(self, name: str) -> bool:
        """Whether the paired interval excludes 0."""
        low, high = self.paired[name]
        return not low <= 0 <= high


def aligned(
    one: TableLike, other: TableLike, keys: Sequence[str]
) -> tuple[Table, Table, int]:
    """The rows that two tables share by their `keys` (N, D, seed, say), in one order,
    and how many rows of either were left out.

    Raises:
      ValueError: where two rows of a table have one key, or no row is shared.
    """
    ours, theirs = _keyed(one, keys), _keyed(other, keys)
    shared = [key for key in ours if key in theirs]
    if not shared:
        raise ValueError(f"the tables share no row by {', '.join(keys)}")
    left = len(ours) + len(theirs) - 2 * len(shared)
    return (
        Table(one).take([ours[key] for key in shared]),
        Table(other).take([theirs[key] for key in shared]),
        left,
    )


def compare(
    one: FitResult,
    other: FitResult,
    *,
    labels: Labels | None = None,
    draws: int = 1000,
    seed: int = 0,
    level: float = CONFIDENCE_LEVEL,
) -> Difference:
    """Free parameters and derived exponents of two fits to `aligned` tables, the second
    minus the first. Clusters are those of `jetlab.laws.evidence.clusters.row_clusters`.

    Raises:
      ValueError: where the forms differ, the tables have unequal numbers of rows, or an
        arm has too few clusters for draws.
    """
    if one.form != other.form or one.rows != other.rows:
        raise ValueError(
            f"{one.form.name} through {one.rows} rows and {other.form.name} "
            f"through {other.rows} cannot be paired: fit one form to aligned tables"
        )
    names = [n for n in one.params if n not in one.fixed and n not in other.fixed]

    def values(params: Mapping[str, Any]) -> dict[str, Any]:
        return {name: params[name] for name in names} | optimal_exponents(params)

    def drawn(arm: FitResult, seed: int) -> dict[str, np.ndarray]:
        found = bootstrap(
            arm,
            draws=draws,
            seed=seed,
            labels=labels,
            keep_lost=True,
            simulate=False,  # simulated scatter would be the same in both arms
        )
        if not found.values:
            raise ValueError(found.message)
        return values(found.values)

    first, second, independent = (
        drawn(one, seed),
        drawn(other, seed),
        drawn(other, seed + 1),
    )
    less, more = values(one.params), values(other.params)
    return Difference(
        values={n: float(more[n] - less[n]) for n in more},
        paired={n: _interval(second[n] - first[n], level) for n in more},
        unpaired={n: _interval(independent[n] - first[n], level) for n in more},
        draws=draws,
    )


def _interval(draws: Float[np.ndarray, "m"], level: float) -> tuple[float, float]:
    kept = draws[np.isfinite(draws)]
    if not kept.size:
        raise ValueError("no refit converged in both arms: there is no interval")
    low, high = percentiles(kept, level)
    return float(low), float(high)


def _keyed(table: TableLike, keys: Sequence[str]) -> dict[tuple, int]:
    """The number of the row of each key."""
    missing = [key for key in keys if key not in table]
    if missing:
        raise ValueError(f"a table has no column {missing[0]}; it has {list(table)}")
    found: dict[tuple, int] = {}
    for row, key in enumerate(zip(*(table[k].tolist() for k in keys), strict=True)):
        if key in found:
            named = ", ".join(f"{k} = {v}" for k, v in zip(keys, key, strict=True))
            raise ValueError(
                f"two rows have {named}: add a key that distinguishes them"
            )
        found[key] = row
    return found
