"""Learning rate: do the exponents of arXiv:2602.15781 depend on it?

The paper trains every run of its grid at one rate, 1e-4. Here the same single passes
over D jets are made at one rate, at the best of several rates for each (N, D), and at
a rate that falls with width. The law is fitted to each; paired draws give the
differences in alpha, beta, a = beta / (alpha + beta) and L_inf.

    jetlab run experiments/learning_rate.py --size laptop --out runs/learning_rate

Cost: `SIZES` below; the command prints FLOPs before it starts: those of one grid for
each rate and one more. Numbers to reach: at 1e-4 the paper's alpha 0.44, beta 0.22 and
L_inf 0.32 (`paper` size on JetClass); for the best rate, d^-p T^-q with width d and
steps T, p 0.374 and q 0.617 in a demonstration by the paper's group (2026).
"""

from jetlab.runs.grid import PAPER_RATE, log_spaced
from jetlab.runs.study import study_of
from jetlab.studies import learning_rate
from jetlab.studies.learning_rate import RateSize

SOURCE = "taught"

RATES = (PAPER_RATE, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2)

SIZES = {
    "smoke": RateSize(  # for tests: too few runs to fit a law
        inputs=("full-10",),
        widths=(8, 16),
        num_train=log_spaced(2**13, 2**15, 2),
        learning_rates=(PAPER_RATE, 3e-3),
        num_valid=1_000,
    ),
    "laptop": RateSize(
        inputs=("full-10",),
        widths=(4, 6, 10, 24),
        layers=2,
        num_train=log_spaced(2**16, 2**18.25, 6),
        seeds=2,
        constant=2e-3,  # at 1e-4 no run of this size learns
        learning_rates=(2e-3, 4e-3, 8e-3, 1.6e-2, 3.2e-2),
        num_valid=8_000,
        num_valid_known=5_000,
    ),
    "workstation": RateSize(  # far enough for the paper's rate to learn
        inputs=("full-10",),
        widths=(4, 8, 16, 32),
        num_train=log_spaced(2**15, 2**20, 6),
        learning_rates=(PAPER_RATE, 1e-3, 3e-3, 1e-2, 3e-2),
        num_valid=20_000,
    ),
    "gpu": RateSize(
        inputs=("full-128",),
        widths=(4, 8, 16, 32, 64, 128),
        num_train=log_spaced(2**13, 2**20, 8),
        learning_rates=RATES,
        num_valid=40_000,
    ),
    "paper": RateSize(
        inputs=("full-128",),
        widths=(4, 8, 16, 32, 64, 96, 128, 256, 512),
        num_train=log_spaced(1e3, 1e8, 11),
        seeds=3,
        learning_rates=RATES,
        num_valid=1_000_000,
    ),
}

analyse = learning_rate.analyse
study = study_of("learning-rate", SIZES, analyse)
