"""Closure: would the floor that the paper extrapolates be true? (arXiv:2602.15781)

L_inf is what no grid reaches. On the shower it is known: the Bayes limit. L_inf by five
estimators, and omega (Eq. 5), as functions of how far the grid reaches in N and in D,
with the truth as a line; and what the same grid would say of L_inf if the law held.

    jetlab run experiments/known_limit.py --size laptop --out runs/closure

Cost: `SIZES` below; the command prints FLOPs before it starts (all passes allowed:
early stopping saves some), LOG.md has times. Numbers to reach: the known limit itself,
0.641 ± 0.005 for 10 particles and 0.330 ± 0.005 for 128, inside 68 % of the intervals;
omega has none (the paper's is 2.7, on JetClass).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from jetlab.data.shower.bayes_limit import known_limit
from jetlab.records import Record, table
from jetlab.runs.passes import Passes
from jetlab.runs.sampling import PAPER_RATE, unlearned, validity
from jetlab.runs.study import Findings, Study, log_spaced
from jetlab.studies.closure.grids import closure
from jetlab.studies.closure.report import report
from jetlab.studies.joint_law import Laws, fit_laws
from jetlab.studies.repetition.repeated import envelope, repeats
from jetlab.types import Source

BATCH = 128
TABLES = 200  # imagined ones, on which the law holds


@dataclass(frozen=True, kw_only=True)
class Size(Passes):
    """How large a study, and what its taggers see."""

    inputs: str


SIZES = {
    "smoke": Size(  # for tests
        inputs="full-10",
        widths=(8, 16),
        single=log_spaced(2**13, 2**16, 4, multiple=BATCH),
        repeated_widths=(16,),
        repeated=log_spaced(2**10, 2**12, 3, multiple=BATCH),
        seen=2**16,
        num_valid=1_000,
    ),
    "laptop": Size(  # the limit of ten particles is the nearest for its compute
        inputs="full-10",
        widths=(4, 8, 16, 32),
        single=log_spaced(2**13, 2**18, 6, multiple=BATCH),
        repeated_widths=(16, 32),
        repeated=log_spaced(2**10, 2**13, 4, multiple=BATCH),
        seen=2**18,
        num_valid=8_000,
    ),
    "gpu": Size(
        inputs="full-128",
        widths=(4, 8, 16, 32, 64, 128),
        single=log_spaced(2**13, 2**21, 9, multiple=BATCH),
        repeated_widths=(16, 32, 64, 128),
        repeated=log_spaced(2**10, 2**17, 8, multiple=BATCH),
        seen=2**22,
        num_valid=75_000,
    ),
    "paper": Size(
        inputs="full-128",
        widths=(4, 8, 16, 32, 64, 96, 128, 256, 512),
        single=log_spaced(1e3, 1e8, 11, multiple=BATCH),
        repeated_widths=(16, 32, 64, 96, 128, 256, 512),
        repeated=log_spaced(1e3, 1e6, 7, multiple=BATCH),
        seen=100_000_000,
        num_valid=1_000_000,
        seeds=3,
        learning_rate=PAPER_RATE,
    ),
}


def study(size: str, source: Source) -> Study:
    """Single passes and repeated runs, on the jets of a source.

    Raises:
      ValueError: where the source has too few jets for any grid.
    """
    chosen = SIZES[size]
    runs = chosen.runs(source, chosen.inputs, BATCH)
    return Study(name="known-limit", runs=runs, analyse=analyse)


def analyse(records: Sequence[Record]) -> Findings:
    """L_inf and omega by reach, and what to expect of the grid."""
    first = records[0]
    single = [record for record in records if not record.patience]
    runs = table(single)
    rows, idle = runs.learned(), runs.unlearned()
    words = [*validity(records), *unlearned(idle)]
    if not len(rows["L"]):
        return Findings(words=[*words, "No run is left to fit: train on more jets."])
    laws = fit_laws(rows, known_limit(first.source, first.inputs))
    found = report(closure(rows, envelope(repeats(records)), laws, TABLES))
    return replace(
        found,
        words=[*words, *_luck(single), *_fits(laws), *found.words],
        results=laws.results(),
    )


def _luck(single: Sequence[Record]) -> list[str]:
    """What single passes share if they were read off one another's way."""
    if not any(record.trajectory for record in single):
        return []
    return [
        "Single passes of one width and seed lie on one trajectory and share their"
        " luck, of which neither the intervals nor the imagined grids know."
    ]


def _fits(laws: Laws) -> list[str]:
    """What the fits to all rows say of themselves."""
    pinned = laws.pinned
    return [
        f"Free fit to {laws.free.rows} runs: {laws.free.message}.",
        *(f"{sentence}." for sentence in laws.free.diagnostics.sentences),
        *([f"L_inf fixed to the known limit: {pinned.message}."] if pinned else []),
    ]
