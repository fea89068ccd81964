"""Compute-optimal scaling of jet tagging (arXiv:2602.15781, Section 3.1).

Which N and D should a compute budget buy? Fits L_inf + A/N^alpha + B/D^beta to taggers
trained for one epoch on D jets: Fig. 1a, Fig. 1b, Table 1.

    jetlab run experiments/compute_optimal.py --size laptop --out runs/laptop
    jetlab run experiments/compute_optimal.py --size laptop --source DIR --out runs/mine

Without `--source` the jets are those of the shower, relabelled by a frozen network, so
that the floor is known exactly (docs/taught.md); with `--source shower` they keep their
labels, and L_inf is the Bayes limit. The law of the grid foretells the loss of a run of
four times the largest compute, which is then trained.

Cost: `SIZES` below; the command prints FLOPs before it starts, LOG.md has times.
Numbers to reach at laptop size: the floor within 2 %, alpha, beta to 15 %, a to 0.05,
and the forecast inside its interval. At `paper` size on JetClass: L_inf 0.32, alpha
0.44, beta 0.22, and so a = 0.33, gamma = 0.15.
"""

from jetlab.runs.grid import PAPER_RATE, Size, log_spaced
from jetlab.runs.study import study_of
from jetlab.studies import compute_optimal, forecast

SOURCE = "taught"

SIZES = {
    "smoke": Size(  # for tests: too few runs to fit a law
        inputs=("full-10",),
        widths=(8, 16),
        num_train=log_spaced(2**13, 2**16, 4),
        seeds=1,
        num_valid=1_000,
    ),
    "laptop": Size(
        inputs=("full-10",),
        widths=(5, 7, 11, 16, 24),
        layers=2,  # learn and compile in half the time of four
        num_train=log_spaced(2**16, 2**18.25, 6),
        seeds=4,  # 20 trajectories: enough to resample them
        num_valid=19_000,
        num_valid_known=5_000,
        forecast=(40, log_spaced(2**18.25, 2**18.75, 2)[-1]),
    ),
    "workstation": Size(
        inputs=("full-40",),
        widths=(4, 8, 16, 32, 64),
        num_train=log_spaced(2**14, 2**19, 6),
        seeds=1,
        num_valid=60_000,
    ),
    "gpu": Size(
        inputs=("full-128",),
        widths=(4, 8, 16, 32, 64, 128),
        num_train=log_spaced(2**12, 2**20, 9),
        seeds=2,
        num_valid=75_000,
    ),
    "paper": Size(
        inputs=("full-128",),
        widths=(4, 8, 16, 32, 64, 96, 128, 256, 512),
        num_train=log_spaced(1e3, 1e8, 11),
        seeds=3,
        num_valid=1_000_000,
        learning_rates=(PAPER_RATE,),
        averaging=0.0,
    ),
}

analyse = compute_optimal.analyse
study = study_of("compute-optimal", SIZES, analyse, foretell=forecast.foretell)
