"""What a decided law costs: FLOPs until a is known to 0.05 and L_inf to 2 %.

    python -m benchmarks.verdict --out DIR
    python -m benchmarks.verdict --out DIR --quick

One grid of relabelled jets, measured in jetlab's way and, one change after the other,
in the way of arXiv:2602.15781: every D trained anew in place of read off one
trajectory, last in place of averaged weights, losses on drawn labels in place of
expected ones, and the constant rate 1e-4. Beside these: runs whose rate falls to zero
over the last fifth in place of averages, as branches of one trajectory (trained anew
here, counted as branches). Each way's rows are fitted; half-widths of 68 % intervals
fall as one over the square root of the number of seeds, which gives the FLOPs that the
goal takes. CPU-minutes are those of this process: the first way pays for the compiled
programs that others use too, and runs that DIR has already cost none.

DIR keeps the runs: the command goes on where it was stopped.
"""

import argparse
import itertools
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.timing import lined_up
from jetlab.laws import forms
from jetlab.laws.fit import fit
from jetlab.laws.result import FitResult
from jetlab.records import Table
from jetlab.runs.api import train
from jetlab.runs.grid import AVERAGING, PAPER_RATE, Grid, grid, log_spaced
from jetlab.runs.sources import open_source
from jetlab.studies.joint_law import begun
from jetlab.types import Source

WIDTHS, LAYERS = (5, 7, 11, 24), 2
SIZES = log_spaced(2**16, 2**18.25, 6)
SEEDS = 2
TINY = 1e-9
FARTHEST = 1e4  # times the compute: a goal farther away is none
BRANCH = 0.2  # of a run, over which its rate falls
GOAL = {"a": 0.05, "L_inf": 0.02}  # half-widths, that of L_inf relative to its value


class Way(NamedTuple):
    """A way to measure a law: the runs that it trains and the loss that it reads.

    Attributes:
      anew: whether every D is trained anew, from weights and in an order of its own.
      loss: column of the table that holds the losses fitted.
      rate: learning rate; None for that of the width and the steps of the longest run.
      annealing: whether rates fall at the end, in place of averaged weights.
    """

    name: str
    anew: bool
    loss: str
    rate: float | None = None
    annealing: bool = False


WAYS = (
    Way("jetlab's", False, "L"),
    Way("annealed branches", True, "L", annealing=True),
    Way("+ every D anew", True, "L"),
    Way("+ last weights", True, "last_loss"),
    Way("+ drawn labels", True, "last_label_loss"),
    Way("+ rate 1e-4: the paper's", True, "last_label_loss", PAPER_RATE),
)


def runs_of(way: Way, source: Source, seeds: int) -> Grid:
    """The runs of a way. Trajectories of different widths, and runs trained anew, have
    seeds of their own: nothing in common but the pool of jets."""
    alone = way.anew and not way.annealing
    sizes = [[size] for size in SIZES] if alone else [SIZES]
    return seeded_grid(
        source,
        seeds,
        sizes,
        pool=max(SIZES),
        learning_rate=way.rate,
        one_trajectory=not way.anew,
        averaging=0.0 if way.annealing else AVERAGING,
        annealing=BRANCH if way.annealing else 0.0,
    )


def seeded_grid(
    source: Source, seeds: int, sizes: Sequence[Sequence[int]], **fields: Any
) -> Grid:
    """The grid of `WIDTHS`; each width and each part of the `sizes` has `seeds` seeds
    of its own. `fields` are those of `grid`."""
    parts = [
        grid(
            source,
            inputs="full-10",
            width=width,
            layers=LAYERS,
            num_train=part,
            seed=range(i * seeds, (i + 1) * seeds),
            num_valid=5_000,
            **fields,
        )
        for i, (width, part) in enumerate(itertools.product(WIDTHS, sizes))
    ]
    return sum(parts[1:], parts[0])


def flops(table: Table, way: Way) -> float:
    """Of the training that the rows take: a row of D is part of the longest run of its
    trajectory, a branch begins there."""
    whole = float(table.where(D=table["D"].max())["C"].sum())
    if way.annealing:
        return whole + BRANCH * float(table["C"].sum() - whole)
    return float(table["C"].sum()) if way.anew else whole


def kind_of(way: Way) -> tuple:
    """Ways of one kind read different losses of the same runs."""
    return way.anew, way.rate, way.annealing


def law_of(way: Way, table: Table) -> FitResult | None:
    """The law of a way's losses; None where too few runs have learned."""
    columns = {"L": table[way.loss]}
    if way.annealing:  # branches of one trajectory scatter together
        columns["trajectory"] = table["seed"].astype(str)
    rows, _ = begun(forms.additive, table | columns)
    law = fit(forms.additive, rows, bootstrap=1000) if rows.rows else None
    if law is None or not law.draws or not np.isfinite(law.objective):
        return None
    return law if times_over(law) < FARTHEST else None


def times_over(law: FitResult) -> float:
    """By what factor the compute must grow until the intervals are those of `GOAL`."""
    half = {name: float(np.ptp(law.interval(name))) / 2 for name in GOAL}
    half["L_inf"] /= max(law.params["L_inf"], TINY)
    return max((half[name] / goal) ** 2 for name, goal in GOAL.items())


def row(
    way: Way, table: Table, minutes: Mapping[tuple, float], first: float
) -> tuple[list[str], float]:
    """The row of a way, and the FLOPs to the goal, `first` being those of jetlab's."""
    spent, law = flops(table, way), law_of(way, table)
    used = f"{minutes[kind_of(way)]:.1f}"
    if law is None:
        return [way.name, f"{spent:.2g}", used, "", "", "no law", "", ""], np.inf
    needed = spent * times_over(law)
    low, high = law.interval("L_inf")
    held = "holds" if low <= table["floor"][0] <= high else "misses"
    decided = [n for n in ("L_inf", "alpha", "beta", "a") if law.verdicts[n].known]
    ratio = needed / (first or needed) if first < np.inf else np.nan
    return [
        way.name,
        f"{spent:.2g}",
        used,
        f"{np.ptp(law.interval('a')) / 2:.3f}",
        f"{50 * (high - low) / law.params['L_inf']:.1f} %, {held}",
        ", ".join(decided) or "none",
        f"{needed:.2g}",
        f"{ratio:.1f}",
    ], needed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--quick", action="store_true", help="one seed")
    args = parser.parse_args()
    source, seeds = open_source("taught"), 1 if args.quick else SEEDS
    minutes, rows, first = {}, [], 0.0
    for way in WAYS:
        kind = kind_of(way)
        out = args.out / "_".join(map(str, kind))
        began = time.process_time()
        table = train(runs_of(way, source, seeds), out=out, keep="none")
        minutes.setdefault(kind, (time.process_time() - began) / 60)
        cells, needed = row(way, table, minutes, first)
        first = first or needed  # jetlab's; infinite without a law
        rows.append(cells)
    header = [
        "way", "FLOPs", "CPU-minutes", "a +-", "L_inf +-", "decided",
        "FLOPs to the goal", "over jetlab's",
    ]  # fmt: skip
    print(lined_up(rows, header))


if __name__ == "__main__":
    main()
