"""Repeated data: many epochs on the same jets (arXiv:2602.15781, Section 3.2).

What is a repeated jet worth? Taggers of several sizes repeat fixed data sets of D jets
until their validation loss stops falling: which of them overfit (Fig. 3), the envelope
of their losses and its compute (Figs. 2a and 2b), and how many jets seen once D
repeated ones are worth (Fig. 2c, Eqs. 4 and 5), beside single passes of the same
networks.

    jetlab run experiments/repetition.py --size laptop --out runs/repetition

Cost: `SIZES` below; the command prints FLOPs before it starts (all epochs allowed:
early stopping saves some), LOG.md has times. Numbers to reach at `paper` size on
JetClass: threshold N ~ D^0.47, B_rep 5.79, beta_rep 0.22, omega 2.7, ten times the
compute of the best single pass.
"""

from jetlab.runs.grid import PAPER_RATE, Size, log_spaced
from jetlab.runs.study import study_of
from jetlab.studies import repetition

SOURCE = "taught"

SIZES = {
    "smoke": Size(  # for tests
        inputs=("full-10",),
        widths=(8, 16),
        repeated=log_spaced(2**10, 2**12, 2),
        num_train=log_spaced(2**13, 2**15, 3),
        seen=2**15,
        num_valid=1_000,
    ),
    "laptop": Size(
        inputs=("full-10",),  # a quarter of the arithmetic of 40 particles
        widths=(5, 7, 11, 24),
        layers=2,
        repeated=log_spaced(2**10, 2**13, 5),
        num_train=log_spaced(2**16, 2**18.25, 6),
        seen=2**19,
        seeds=2,
        num_valid=4_000,
        num_valid_known=4_000,
    ),
    "gpu": Size(
        inputs=("full-128",),
        widths=(4, 8, 16, 32, 64, 128),
        repeated=log_spaced(2**10, 2**18, 9),
        num_train=log_spaced(2**13, 2**21, 9),
        seen=2**22,
        num_valid=40_000,
    ),
    "paper": Size(
        inputs=("full-128",),
        widths=(4, 8, 16, 32, 64, 96, 128, 256, 512),
        repeated=log_spaced(1e3, 1e6, 7),
        num_train=log_spaced(1e3, 1e8, 11),
        seen=100_000_000,
        num_valid=1_000_000,
        seeds=3,
        learning_rates=(PAPER_RATE,),
    ),
}

analyse = repetition.analyse
study = study_of("repetition", SIZES, analyse)
