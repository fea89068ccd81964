"""Do intervals cover as often as they say? Synthetic tables of a known law.

    python benchmarks/coverage.py --quick

Tables are drawn from arXiv:2602.15781, Table 1, with normal scatter of log L (1 % by
default) on grids of N in 1e3..1e7 and D in 1e3..1e8, fitted by `jetlab.laws.fit`, and
their 68 % intervals are compared with the truth: the share that holds it, mean over the
five parameters, for each method and each number of cells. With `--seeds` every cell has
that number of runs, with a common scatter of the cell.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from tqdm import tqdm

from benchmarks.timing import lined_up
from jetlab.laws import forms
from jetlab.laws.evidence.bootstrap import bootstrap
from jetlab.laws.evidence.profile import profile
from jetlab.laws.fit import fit
from jetlab.laws.fitting.misfit import HUBER, SQUARES, Misfit
from jetlab.laws.result import FitResult
from jetlab.records import TableLike

TRUTH = {"L_inf": 0.32, "A": 11.27, "alpha": 0.44, "B": 7.22, "beta": 0.22}
GRIDS = {9: (3, 3), 16: (4, 4), 40: (5, 8), 80: (8, 10), 200: (10, 20)}
DRAWS = 100

Intervals = Callable[[FitResult], dict[str, tuple[float, float]]]


@dataclass(frozen=True)
class Method:
    """A misfit and a method of making intervals."""

    name: str
    misfit: Misfit
    intervals: Intervals


def drawn(law: FitResult) -> dict[str, tuple[float, float]]:
    return bootstrap(law, draws=DRAWS).intervals


def profiled(law: FitResult) -> dict[str, tuple[float, float]]:
    return {name: profile(law, name).interval for name in TRUTH}


METHODS = [
    Method("Huber, cells drawn anew", HUBER, drawn),
    Method("Huber, profile", HUBER, profiled),
    Method("squares, cells drawn anew", SQUARES, drawn),
    Method("squares, profile", SQUARES, profiled),
]


def experiment(count: int, scatter: float, seeds: int, number: int) -> TableLike:
    """A table of `count` cells, half the variance common to a cell that has more than
    one seed."""
    sizes, num_train = GRIDS[count]
    n, d = np.meshgrid(np.logspace(3, 7, sizes), np.logspace(3, 8, num_train))
    rng = np.random.default_rng((number, count))
    cell = {"N": n.ravel(), "D": d.ravel()}
    rows = {name: np.repeat(column, seeds) for name, column in cell.items()}
    share = 0.5 if seeds > 1 else 0.0
    noise = np.sqrt(share) * np.repeat(rng.normal(size=count), seeds)
    noise = noise + np.sqrt(1 - share) * rng.normal(size=count * seeds)
    exact = forms.additive.predict(TRUTH, rows)
    return rows | {"L": exact * np.exp(scatter * noise)}


def coverage(method: Method, laws: Sequence[FitResult]) -> float:
    """Share of the parameters' intervals that hold the truth."""
    held = []
    for law in laws:
        if np.isfinite(law.objective):
            found = method.intervals(law)
            held += [low <= TRUTH[n] <= high for n, (low, high) in found.items()]
    return float(np.mean(held))


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer tables and sizes")
    parser.add_argument("--tables", type=int, default=100, metavar="COUNT")
    parser.add_argument("--scatter", type=float, default=0.01, metavar="SIGMA")
    parser.add_argument("--seeds", type=int, default=1, metavar="COUNT")
    args = parser.parse_args(argv)
    counts = (9, 16) if args.quick else tuple(GRIDS)
    number = 20 if args.quick else args.tables
    columns: dict[str, list[str]] = {method.name: [] for method in METHODS}
    for count in tqdm(counts, "cells", disable=None):
        make = partial(experiment, count, args.scatter, args.seeds)
        tables = [make(i) for i in range(number)]
        for misfit in (HUBER, SQUARES):
            laws = [fit(forms.additive, table, misfit=misfit) for table in tables]
            for method in METHODS:
                if method.misfit is misfit:
                    share = coverage(method, laws)
                    columns[method.name].append(f"{share:.2f}")
                    tqdm.write(f"{count} cells, {method.name}: {share:.2f}")
    print(f"share of 68 % intervals that hold the truth, {number} tables a size")
    print(
        lined_up(
            [[name, *row] for name, row in columns.items()], ["", *map(str, counts)]
        )
    )


if __name__ == "__main__":
    main()
