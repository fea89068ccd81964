"""What a loss is worth to an analysis (arXiv:2602.15781, Section 4).

Rejection of QCD jets by class as a function of the loss, R(L) = A e^(-B L) + C, through
runs of every kind (Fig. 5); ROC of top tagging and its rejection by inputs (Fig. 6a,
6b), with what the floor of the loss foretells, and on the shower the exact answer: the
ideal tagger's. `jetlab predict` reads the fit for the rejections that a budget buys.

    jetlab run experiments/physics.py --size laptop --out runs/physics
    jetlab predict runs/physics/fit.json --budget 1e16

Cost: `SIZES` below; the command prints FLOPs before it starts, LOG.md has times.
Numbers to reach at `paper` size on JetClass: those of ParT at D = 1e8 (Tbqq 17,699,
Hbb 9,569 at 50 %), accuracy .849, AUC .9859.
"""

from collections.abc import Sequence

from jetlab.data.features import INPUTS
from jetlab.data.shower.bayes_limit import known_limit
from jetlab.records import Record, Table
from jetlab.runs.grid import PAPER_RATE, Size, log_spaced
from jetlab.runs.study import Findings, study_of
from jetlab.studies.joint_law import fit_laws
from jetlab.studies.performance.rejection_laws import beside, parameters
from jetlab.studies.performance.tables import quality, rejections
from jetlab.studies.performance.views import (
    View,
    against_ideal,
    draw,
    nothing,
    one_curve,
    views,
)
from jetlab.studies.run_quality import unlearned, validity

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
        inputs=("kinematics-40", "full-10", "full-40"),
        widths=(8, 16, 32),
        num_train=log_spaced(2**14, 2**17, 4),
        repeated_widths=(32,),
        repeated=log_spaced(2**10, 2**12, 3),
        seen=2**17,
        num_valid=8_000,
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


def analyse(records: Sequence[Record]) -> Findings:
    """Rejections, and the law of single passes with the richest inputs beside them."""
    words, found = validity(records), views(records)
    if not found:
        return Findings(words=[*words, nothing(records)])
    richest = found[-1]
    told, results = _law(richest)
    return Findings(
        words=[*words, one_curve(richest.maps), *against_ideal(richest), *told],
        tables={
            f"Fig. 5: R(L) with {richest.name}": parameters(richest.maps),
            f"Rejections with {richest.name}": rejections(richest),
            "Accuracy and AUC of the best runs": quality(found),
        },
        figures=draw(found),
        results=results,
    )


def _law(seen: View) -> tuple[list[str], dict[str, str]]:
    """The law of the single passes in words, and with R(L) as `jetlab predict` reads
    it."""
    single = Table.of_records([r for r in seen.records if not r.patience])
    rows, idle = single.learned(), single.unlearned()
    if not len(rows["L"]):
        return ["No single pass had begun to learn: there is no law L(N, D)."], {}
    laws = fit_laws(rows, known_limit(seen.best.source, seen.name))
    texts = laws.results().items()
    results = {name: beside(text, seen.maps) for name, text in texts}
    return [*unlearned(idle), *laws.words()], results


study = study_of("physics", SIZES, analyse)
