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
from dataclasses import replace

from jetlab.data.shower.bayes_limit import known_limit
from jetlab.records import Record
from jetlab.runs.grid import PAPER_RATE, Size, log_spaced
from jetlab.runs.study import Findings, Study
from jetlab.studies.rates.report import analyse_rates
from jetlab.types import Source

RATES = (PAPER_RATE, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2)

SIZES = {
    "smoke": Size(  # for tests: too few runs to tell a law
        inputs=("full-10",),
        widths=(8, 16),
        num_train=log_spaced(2**13, 2**15, 2),
        learning_rates=(PAPER_RATE, 3e-3),
        num_valid=1_000,
    ),
    "laptop": Size(
        inputs=("full-10",),
        widths=(4, 8, 16, 32),
        num_train=log_spaced(2**14, 2**18, 5),
        learning_rates=RATES,
        num_valid=8_000,
    ),
    "workstation": Size(  # far enough for the paper's rate to learn
        inputs=("full-10",),
        widths=(4, 8, 16, 32),
        num_train=log_spaced(2**15, 2**20, 6),
        learning_rates=(PAPER_RATE, 1e-3, 3e-3, 1e-2, 3e-2),
        num_valid=20_000,
    ),
    "gpu": Size(
        inputs=("full-128",),
        widths=(4, 8, 16, 32, 64, 128),
        num_train=log_spaced(2**13, 2**20, 8),
        learning_rates=RATES,
        num_valid=40_000,
    ),
    "paper": Size(
        inputs=("full-128",),
        widths=(4, 8, 16, 32, 64, 96, 128, 256, 512),
        num_train=log_spaced(1e3, 1e8, 11),
        seeds=3,
        learning_rates=RATES,
        num_valid=1_000_000,
    ),
}


def study(size: str, source: Source) -> Study:
    """Every rate of the grid, and the width rule's where it is none of them.

    Raises:
      ValueError: where the source has too few jets for any grid.
    """
    chosen = SIZES[size]
    runs = [
        replace(run, arm="fixed" if run.learning_rate == PAPER_RATE else "scan")
        for run in chosen.runs(source)
    ]
    by_rule = [
        replace(run, arm="width rule")
        for run in replace(chosen, learning_rates=(None,)).runs(source)
    ]
    return Study(name="learning-rate", runs=(*runs, *by_rule), analyse=analyse)


def analyse(records: Sequence[Record]) -> Findings:
    """The law at each choice of rates, and the best rate."""
    return analyse_rates(records, known_limit(records[0].source, records[0].inputs))
