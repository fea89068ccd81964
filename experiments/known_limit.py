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
from dataclasses import replace

from jetlab.data.shower.bayes_limit import known_limit
from jetlab.records import Record, Table
from jetlab.runs.grid import PAPER_RATE, Size, log_spaced
from jetlab.runs.study import Findings, study_of
from jetlab.studies.closure.grids import closure
from jetlab.studies.closure.report import report
from jetlab.studies.joint_law import Laws, fit_laws
from jetlab.studies.repetition.repeated import envelope, repeats
from jetlab.studies.run_quality import unlearned, validity

TABLES = 200  # imagined ones, on which the law holds


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
    "laptop": Size(  # the limit of ten particles is the nearest for its compute
        inputs=("full-10",),
        widths=(4, 8, 16, 32),
        num_train=log_spaced(2**13, 2**18, 6),
        repeated_widths=(16, 32),
        repeated=log_spaced(2**10, 2**13, 4),
        seen=2**18,
        num_valid=8_000,
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


def analyse(records: Sequence[Record]) -> Findings:
    """L_inf and omega by reach, and what to expect of the grid."""
    first = records[0]
    single = [record for record in records if not record.patience]
    runs = Table.of_records(single)
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


study = study_of("known-limit", SIZES, analyse)
