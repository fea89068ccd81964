"""Richer inputs against more jets (arXiv:2602.15781, Section 3.3).

Do inputs move the floor of the loss, its exponent in the number of jets, or both?
Taggers above the overfitting threshold repeat data sets of D jets until their
validation loss stops falling, with four input configurations: Eq. 4 for each (Fig. 4,
Table 2), and whether they share one exponent, as in the paper. On the shower all floors
are known; on relabelled jets those of inputs with all that the teacher reads, which are
equal: how many jets particles without information cost.

    jetlab run experiments/inputs.py --size laptop --out runs/inputs

One store serves all inputs: features are computed when the jets are read. Cost: `SIZES`
below; the command prints FLOPs before it starts (all epochs allowed: early stopping
saves more than half), LOG.md has times. Numbers to reach at `paper` size on JetClass:
L_inf 0.74, 0.59, 0.33, 0.32 and beta_rep 0.21, 0.26, 0.23, 0.22.
"""

from jetlab.data.features import INPUTS, Inputs
from jetlab.runs.grid import PAPER_RATE, Size, log_spaced
from jetlab.runs.study import study_of
from jetlab.studies import inputs

SOURCE = "taught"

KINEMATICS_10 = Inputs(
    particles=10, features=INPUTS["kinematics-40"].features, label="kinematics-10"
)
FULL_20 = Inputs(particles=20, features=INPUTS["full-10"].features, label="full-20")

SIZES = {
    "smoke": Size(  # for tests
        inputs=("full-10", "full-40"),
        widths=(16,),
        repeated=log_spaced(2**10, 2**11, 2),
        seen=2**15,
        num_valid=1_000,
    ),
    "laptop": Size(
        inputs=(KINEMATICS_10, "full-10", FULL_20),
        widths=(16, 24),
        layers=2,
        repeated=log_spaced(2**10, 2**13, 7),
        seen=2**18,
        num_valid=3_000,
        num_valid_known=3_000,
    ),
    "gpu": Size(
        inputs=tuple(INPUTS),
        widths=(64, 128),
        repeated=log_spaced(2**11, 2**17, 7),
        seen=2**21,
        num_valid=40_000,
    ),
    "paper": Size(
        inputs=tuple(INPUTS),
        widths=(64, 128, 256, 512),
        repeated=log_spaced(1e3, 1e8, 11),
        seen=1_000_000_000,
        num_valid=1_000_000,
        seeds=3,
        learning_rates=(PAPER_RATE,),
    ),
}

analyse = inputs.analyse
study = study_of("inputs", SIZES, analyse)
