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
from dataclasses import dataclass, replace

from jetlab.data.features import INPUTS
from jetlab.records import Record
from jetlab.runs.sampling import (
    PAPER_RATE,
    repeatedly,
    runs_on,
    validity,
    within,
)
from jetlab.runs.study import Findings, Study, grid, log_spaced
from jetlab.studies.repetition.inputs import compare_inputs, configurations
from jetlab.types import Source

BATCH = 128


@dataclass(frozen=True, kw_only=True)
class Size:
    """How large a study: data sets of `examples` jets, seen until `seen` at most."""

    inputs: Sequence[str]
    widths: Sequence[int]
    num_train: Sequence[int]
    seen: int
    num_valid: int
    seeds: int = 1
    learning_rate: float | None = None  # None: by width, as recipe has it


SIZES = {
    "smoke": Size(  # for tests
        inputs=("full-10", "full-40"),
        widths=(16,),
        num_train=log_spaced(2**10, 2**11, 2, multiple=BATCH),
        seen=2**15,
        num_valid=1_000,
    ),
    "laptop": Size(
        inputs=tuple(INPUTS),
        widths=(32,),
        num_train=log_spaced(2**10, 2**12, 5, multiple=BATCH),
        seen=2**18,
        num_valid=3_000,
    ),
    "gpu": Size(
        inputs=tuple(INPUTS),
        widths=(64, 128),
        num_train=log_spaced(2**11, 2**17, 7, multiple=BATCH),
        seen=2**21,
        num_valid=40_000,
    ),
    "paper": Size(
        inputs=tuple(INPUTS),
        widths=(64, 128, 256, 512),
        num_train=log_spaced(1e3, 1e8, 11, multiple=BATCH),
        seen=1_000_000_000,
        num_valid=1_000_000,
        seeds=3,
        learning_rate=PAPER_RATE,
    ),
}


def study(size: str, source: Source) -> Study:
    """Repeated runs for each choice of inputs, on the jets of a source.

    Raises:
      ValueError: where the source has too few jets for any grid.
    """
    chosen = SIZES[size]
    num_train = within(chosen.num_train, source.size, BATCH)
    runs = []
    for inputs in chosen.inputs:
        once = runs_on(
            source,
            inputs,
            batch=BATCH,
            pool=max(num_train),
            num_valid=chosen.num_valid,
            learning_rate=chosen.learning_rate,
        )
        axes = {"width": chosen.widths, "seed": range(chosen.seeds)}
        runs += grid(repeatedly(once, chosen.seen), num_train=num_train, **axes)
    return Study(name="inputs", runs=tuple(runs), analyse=analyse)


def analyse(records: Sequence[Record]) -> Findings:
    """Eq. 4 of each choice of inputs, and what they share."""
    words = validity(records)
    found = configurations(records)
    if not found:
        words.append("No run that had begun to learn overfits: train longer.")
    compared = compare_inputs(found)
    return replace(compared, words=[*words, *compared.words])
