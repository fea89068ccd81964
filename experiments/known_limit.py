"""Closure test of the extrapolated floor L_inf (arXiv:2602.15781).

Does L_inf, fitted to a grid that never reaches it, agree with the true one? On
relabelled jets it is known exactly, on the shower as the Bayes limit. L_inf by
bootstrap and by profile, and omega (Eq. 5), against the reach of the grid in N and in
D; and on toys, on which the law holds, the p-value and the coverage.

    jetlab run experiments/known_limit.py --size laptop --out runs/closure

Cost: `SIZES` below; the command prints FLOPs before it starts (all epochs allowed:
early stopping saves some), LOG.md has times. Numbers to reach: the known floor inside
68 % of the intervals, 0.9324 on relabelled jets; on the shower the Bayes limit, 0.641 ±
0.005 for 10 particles and 0.330 ± 0.005 for 128. Omega is not known (2.7 in the paper,
on JetClass).
"""

from jetlab.runs.grid import PAPER_RATE, Size, log_spaced
from jetlab.runs.study import study_of
from jetlab.studies import closure

SOURCE = "taught"

SIZES = {
    "smoke": Size(  # for tests
        inputs=("full-10",),
        widths=(8, 16),
        num_train=log_spaced(2**13, 2**16, 4),
        repeated_widths=(16,),
        repeated=log_spaced(2**10, 2**12, 3),
        seen=2**16,
        num_valid=1_000,
    ),
    "laptop": Size(
        inputs=("full-10",),
        widths=(5, 7, 11, 16, 24),
        layers=2,
        num_train=log_spaced(2**16, 2**18.25, 6),
        repeated_widths=(11,),
        repeated=log_spaced(2**10, 2**12, 4),
        seen=2**18,
        seeds=4,
        num_valid=8_000,
        num_valid_known=5_000,
    ),
    "gpu": Size(
        inputs=("full-128",),
        widths=(4, 8, 16, 32, 64, 128),
        num_train=log_spaced(2**13, 2**21, 9),
        repeated_widths=(16, 32, 64, 128),
        repeated=log_spaced(2**10, 2**17, 8),
        seen=2**22,
        num_valid=75_000,
    ),
    "paper": Size(
        inputs=("full-128",),
        widths=(4, 8, 16, 32, 64, 96, 128, 256, 512),
        num_train=log_spaced(1e3, 1e8, 11),
        repeated_widths=(16, 32, 64, 96, 128, 256, 512),
        repeated=log_spaced(1e3, 1e6, 7),
        seen=100_000_000,
        num_valid=1_000_000,
        seeds=3,
        learning_rates=(PAPER_RATE,),
    ),
}

analyse = closure.analyse
study = study_of("known-limit", SIZES, analyse)
