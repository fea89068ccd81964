"""Coverage of floors and exponents of studies of relabelled jets.

    python -m benchmarks.taught_coverage --out DIR
    python -m benchmarks.taught_coverage --out DIR --quick

Trains a grid of widths and training sizes with many seeds, every run with its own
initialisation and its own draw of jets in its own order (two of the longest runs share
30 % of their jets, and all the validation jets), and deals the seeds to studies of one,
two or four seeds a width. Each is fitted as the main job's is. For
L_inf, whose truth is the teacher's mean entropy, and for alpha, beta and a, whose truth
is taken from the fit to all runs together: the share decided, the share of these whose
68 % interval holds the truth, and the share of gross misses, farther from it than three
half-widths; and the median half-width.

DIR keeps the runs: the command goes on where it was stopped.
"""

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from benchmarks.timing import lined_up
from benchmarks.verdict import SIZES, seeded_grid
from benchmarks.verdicts import QUANTITIES, outcome
from jetlab.laws import forms
from jetlab.laws.fit import fit
from jetlab.laws.result import FitResult
from jetlab.records import Table
from jetlab.runs.api import train
from jetlab.runs.grid import Grid
from jetlab.runs.sources import open_source
from jetlab.studies.joint_law import begun
from jetlab.types import Source

POOL = 2**20  # jets that the runs draw theirs from
STUDIES, SEEDS = 40, (1, 2, 4)  # studies of one seed a width, and seeds a width
DRAWS = 1000


def studies_grid(source: Source, studies: int, pool: int) -> Grid:
    """One run for each width, size and study; seed number `studies` i + s is that of
    width i in study s."""
    return seeded_grid(source, studies, [SIZES], pool=pool)


def divided(table: Table, studies: int, seeds: int) -> Iterator[Table]:
    """The rows of studies of `seeds` seeds a width, which share no run."""
    number = table["seed"] % studies // seeds
    for study in range(studies // seeds):
        yield table.take(number == study)


def law_of(table: Table) -> FitResult:
    """The law that a study of these rows would report."""
    rows, _ = begun(forms.additive, table)
    return fit(forms.additive, rows, bootstrap=DRAWS)


def judged(laws: list[FitResult], truth: Mapping[str, float]) -> list[list[str]]:
    """A row a quantity: shares over the laws, and the median half-width."""
    rows = []
    for name in QUANTITIES:
        outcomes = [outcome(law, name, truth[name]) for law in laws]
        decided = [one for one in outcomes if one.status == "decided"]
        ends = [
            law.interval(name)
            for law, one in zip(laws, outcomes, strict=True)
            if one.status == "decided"
        ]
        half = np.median([(high - low) / 2 for low, high in ends]) if ends else np.nan
        rows.append(
            [
                name,
                f"{truth[name]:.4g}",
                f"{len(decided) / len(laws):.2f}",
                f"{_share([one.held for one in decided]):.2f}",
                f"{_share([one.gross for one in decided]):.2f}",
                f"{half:.3g}",
            ]
        )
    return rows


def _share(yes: list[bool | None]) -> float:
    return float(np.mean(np.array(yes, bool))) if yes else np.nan


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--quick", action="store_true", help="4 studies")
    args = parser.parse_args()
    studies, pool = (4, 2**19) if args.quick else (STUDIES, POOL)
    runs = studies_grid(open_source("taught"), studies, pool)
    print(runs.cost())
    table = train(runs, out=args.out, keep="none")
    together = law_of(table)
    print("all runs together:", together.summary)
    truth = {name: float(together.verdicts[name].value) for name in QUANTITIES}
    truth["L_inf"] = float(table["floor"][0])
    header = ["", "truth", "decided", "held", "gross", "half-width"]
    for seeds in SEEDS:
        laws = [law_of(part) for part in divided(table, studies, seeds)]
        print(f"\n{len(laws)} studies of {seeds} seeds a width")
        print(lined_up(judged(laws, truth), header))


if __name__ == "__main__":
    main()
