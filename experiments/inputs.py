"""What richer inputs are worth (arXiv:2602.15781, Section 3.3).

Taggers above the overfitting threshold see data sets of D jets until their validation
loss no longer falls, with four choices of inputs: Eq. 4 for each (Fig. 4, Table 2), and
whether the four share one exponent, as the paper holds. On the shower each floor has a
known answer.

    jetlab run experiments/inputs.py --size laptop --out runs/inputs

One store serves all four: features are computed when the jets are read. Cost: `SIZES`
below; the command prints FLOPs before it starts (all passes allowed: early stopping
saves more than half), LOG.md has times. Numbers to reach at `paper` size on JetClass:
L_inf 0.74, 0.59, 0.33, 0.32 and beta_rep 0.21, 0.26, 0.23, 0.22.
"""

from collections.abc import Sequence
from dataclasses import replace

from jetlab.data.features import INPUTS
from jetlab.records import Record
from jetlab.runs.grid import PAPER_RATE, Size, log_spaced
from jetlab.runs.study import Findings, study_of
from jetlab.studies.repetition.inputs import compare_inputs, configurations
from jetlab.studies.run_quality import validity

SIZES = {
    "smoke": Size(  # for tests
        inputs=("full-10", "full-40"),
        widths=(16,),
        repeated=log_spaced(2**10, 2**11, 2),
        seen=2**15,
        num_valid=1_000,
    ),
    "laptop": Size(
        inputs=tuple(INPUTS),
        widths=(32,),
        repeated=log_spaced(2**10, 2**12, 5),
        seen=2**18,
        num_valid=3_000,
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


def analyse(records: Sequence[Record]) -> Findings:
    """Eq. 4 of each choice of inputs, and what they share."""
    words = validity(records)
    found = configurations(records)
    if not found:
        words.append("No run that had begun to learn overfits: train longer.")
    compared = compare_inputs(found)
    return replace(compared, words=[*words, *compared.words])


study = study_of("inputs", SIZES, analyse)
