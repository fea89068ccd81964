"""Learning rate as an axis: do the exponents of arXiv:2602.15781 depend on it?

The paper trains every run of its grid at one rate, 1e-4. Here the same single passes
over D jets are made at that rate, at the best of several rates for each (N, D), and at
a rate that falls with width; the law is fitted to each, and paired draws say how far
alpha, beta, a = beta / (alpha + beta) and L_inf move.

    jetlab run experiments/learning_rate.py --size laptop --out runs/learning_rate

Cost: `SIZES` below; the command prints FLOPs before it starts: those of one grid for
each rate and one more. Numbers to reach: at 1e-4 the paper's alpha 0.44, beta 0.22 and
L_inf 0.32 (`paper` size on JetClass); for the best rate, which moves as d^-p T^-q with
width and steps, p 0.374 and q 0.617 in a demonstration by the paper's group (2026).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from jetlab.data.shower.bayes_limit import known_limit
from jetlab.models import scaling
from jetlab.records import Record
from jetlab.runs.sampling import PAPER_RATE, runs_on, within
from jetlab.runs.study import Findings, Study, grid, log_spaced
from jetlab.studies.rates.report import analyse_rates
from jetlab.training.run_config import RunConfig
from jetlab.types import Source

BATCH = 128


@dataclass(frozen=True, kw_only=True)
class Size:
    """How large a grid: its axes, the inputs, and how many jets it is judged by."""

    inputs: str
    widths: Sequence[int]
    num_train: Sequence[int]
    num_valid: int
    rates: Sequence[float] = (PAPER_RATE, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
    seeds: int = 1


SIZES = {
    "smoke": Size(  # for tests: too few runs to tell a law
        inputs="full-10",
        widths=(8, 16),
        num_train=log_spaced(2**13, 2**15, 2, multiple=BATCH),
        rates=(PAPER_RATE, 3e-3),
        num_valid=1_000,
    ),
    "laptop": Size(
        inputs="full-10",
        widths=(4, 8, 16, 32),
        num_train=log_spaced(2**14, 2**18, 5, multiple=BATCH),
        num_valid=8_000,
    ),
    "workstation": Size(  # far enough for the paper's rate to learn
        inputs="full-10",
        widths=(4, 8, 16, 32),
        num_train=log_spaced(2**15, 2**20, 6, multiple=BATCH),
        rates=(PAPER_RATE, 1e-3, 3e-3, 1e-2, 3e-2),
        num_valid=20_000,
    ),
    "gpu": Size(
        inputs="full-128",
        widths=(4, 8, 16, 32, 64, 128),
        num_train=log_spaced(2**13, 2**20, 8, multiple=BATCH),
        num_valid=40_000,
    ),
    "paper": Size(
        inputs="full-128",
        widths=(4, 8, 16, 32, 64, 96, 128, 256, 512),
        num_train=log_spaced(1e3, 1e8, 11, multiple=BATCH),
        seeds=3,
        num_valid=1_000_000,
    ),
}


def study(size: str, source: Source) -> Study:
    """Every rate of the grid and the width rule's, on the jets of a source.

    Raises:
      ValueError: where the source has too few jets for any grid.
    """
    chosen = SIZES[size]
    num_train = within(chosen.num_train, source.size, BATCH)

    def runs(rate: float | None, widths: Sequence[int]) -> tuple[RunConfig, ...]:
        run = runs_on(
            source,
            chosen.inputs,
            batch=BATCH,
            pool=max(num_train),
            num_valid=chosen.num_valid,
            learning_rate=rate,
        )
        return grid(run, width=widths, num_train=num_train, seed=range(chosen.seeds))

    off_grid = [
        d for d in chosen.widths if scaling.learning_rate(d) not in chosen.rates
    ]
    scanned = [run for rate in chosen.rates for run in runs(rate, chosen.widths)]
    return Study(
        name="learning-rate",
        runs=(*scanned, *runs(None, off_grid)),
        analyse=analyse,
    )


def analyse(records: Sequence[Record]) -> Findings:
    """The law at each choice of rates, and the best rate."""
    return analyse_rates(records, known_limit(records[0].source, records[0].inputs))
