"""Background rejection (arXiv:2602.15781, Section 4).

Which rejection does a loss give an analysis? Rejection of QCD jets by class against the
loss, R(L) = A e^(-B L) + C, through runs of every kind (Fig. 5); ROC of top tagging and
its rejection by inputs (Figs. 6a and 6b), with R(L) at the floor of the loss, and on
simulated jets the ideal tagger. `jetlab predict` reads the fit for the rejection at a
budget.

    jetlab run experiments/physics.py --size laptop --out runs/physics
    jetlab predict runs/physics/fit.json --budget 1e16

Cost: `SIZES` below; the command prints FLOPs before it starts, LOG.md has times.
Numbers to reach at `paper` size on JetClass: those of ParT at D = 1e8 (Tbqq 17,699,
Hbb 9,569 at 50 %), accuracy .849, AUC .9859.
"""

from jetlab.data.features import INPUTS, Inputs
from jetlab.runs.grid import PAPER_RATE, Size, log_spaced
from jetlab.runs.study import study_of
from jetlab.studies import rejection

SOURCE = "taught"

KINEMATICS_10 = Inputs(
    particles=10, features=INPUTS["kinematics-40"].features, label="kinematics-10"
)

SIZES = {
    "smoke": Size(  # for tests
        inputs=("full-10",),
        widths=(8, 16),
        num_train=log_spaced(2**13, 2**16, 4),
        repeated_widths=(16,),
        repeated=log_spaced(2**10, 2**11, 2),
        seen=2**15,
        num_valid=1_000,
    ),
    "laptop": Size(
        inputs=(KINEMATICS_10, "full-10"),
        widths=(5, 7, 11, 24),
        layers=2,
        num_train=log_spaced(2**16, 2**18.25, 6),
        seeds=2,
        repeated_widths=(16,),
        repeated=log_spaced(2**10, 2**12, 3),
        seen=2**18,
        num_valid=8_000,
        num_valid_known=5_000,
    ),
    "gpu": Size(
        inputs=tuple(INPUTS),
        widths=(16, 32, 64, 128),
        num_train=log_spaced(2**14, 2**20, 7),
        repeated_widths=(64, 128),
        repeated=log_spaced(2**12, 2**17, 6),
        seen=2**21,
        num_valid=100_000,
    ),
    "paper": Size(
        inputs=tuple(INPUTS),
        widths=(16, 32, 64, 128, 256, 512),
        num_train=log_spaced(1e5, 1e8, 7),
        repeated_widths=(64, 128, 256, 512),
        repeated=log_spaced(1e3, 1e8, 11),
        seen=1_000_000_000,
        num_valid=5_000_000,
        seeds=3,
        learning_rates=(PAPER_RATE,),
    ),
}

analyse = rejection.analyse
study = study_of("physics", SIZES, analyse)
