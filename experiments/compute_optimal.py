"""Compute-optimal scaling of jet tagging (arXiv:2602.15781, Section 3.1).

Fits L_inf + A/N^alpha + B/D^beta to taggers trained for one pass over D jets, and
solves for the N and D that a compute budget should buy: Fig. 1a, Fig. 1b, Table 1.

    jetlab run experiments/compute_optimal.py --size laptop --out runs/laptop
    jetlab run experiments/compute_optimal.py --size laptop --source DIR --out runs/mine

Cost: `SIZES` below; the command prints FLOPs before it starts, LOG.md has times.
Numbers to reach at `paper` size on JetClass: L_inf 0.32, alpha 0.44, beta 0.22, and so
a = 0.33, gamma = 0.15. On the shower L_inf has a known answer: the Bayes limit.
"""

from collections.abc import Sequence

import numpy as np

from jetlab.data.shower.bayes_limit import known_limit
from jetlab.records import Record, Table
from jetlab.runs import plots
from jetlab.runs.grid import PAPER_RATE, Size, log_spaced
from jetlab.runs.plots import Figure
from jetlab.runs.study import Findings, study_of
from jetlab.studies.joint_law import (
    Laws,
    budgets,
    fit_laws,
    has_optimum,
    trajectory,
)
from jetlab.studies.performance.rejection_laws import beside, mappings
from jetlab.studies.run_quality import unlearned, validity

PAPER = {
    "L_inf": (0.32, (0.29, 0.34)),
    "A": (11.27, (8.01, 15.14)),
    "alpha": (0.44, (0.40, 0.48)),
    "B": (7.22, (6.66, 7.89)),
    "beta": (0.22, (0.21, 0.23)),
    "gamma": (0.15, (0.13, 0.16)),
}
"""Table 1 of arXiv:2602.15781: 68 % intervals, L_inf taken from its Section 3.2."""


SIZES = {
    "smoke": Size(  # for tests: too few runs to tell a law
        inputs=("full-10",),
        widths=(8, 16),
        num_train=log_spaced(2**13, 2**16, 4),
        seeds=1,
        num_valid=1_000,
    ),
    "laptop": Size(
        inputs=("full-40",),
        widths=(4, 8, 16, 32),
        num_train=log_spaced(2**13, 2**17, 5),
        seeds=1,
        num_valid=19_000,
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
    ),
}


def analyse(records: Sequence[Record]) -> Findings:
    """Fit, bootstrap, allocate and draw."""
    first = records[0]
    runs = Table.of_records(records)
    rows, idle = runs.learned(), runs.unlearned()
    words = [*validity(records), *unlearned(idle)]
    if not len(rows["L"]):
        return Findings(words=[*words, "No run is left to fit: train on more jets."])
    laws = fit_laws(rows, known_limit(first.source, first.inputs))
    n_p = float(np.mean([record.n_p for record in records]))
    maps = mappings(records)  # what `jetlab predict` reads
    return Findings(
        words=[*words, *laws.words()],
        tables=laws.tables(PAPER, budgets(rows, 100), n_p),
        figures=_figures(rows, idle, laws, n_p),
        results={name: beside(text, maps) for name, text in laws.results().items()},
    )


def _figures(rows: Table, idle: Table, laws: Laws, n_p: float) -> dict[str, Figure]:
    """Fig. 1a and 1b of the paper, and two that show whether to believe them."""
    law = laws.drawn
    if not np.isfinite(law.objective):
        return {}
    drawn = {
        "loss_against_data": plots.loss_against_data(
            law,
            idle,
            laws.limit,
            xlabel="training jets $D$",
            ylabel="validation loss [nats]",
        ),
        "residuals": plots.residuals(rows, law),
    }
    if not has_optimum(law):
        return drawn
    optimal = trajectory(law, budgets(rows), n_p)
    return {
        "fig_1a_loss_surface": plots.loss_surface(rows, law, optimal, n_p),
        "fig_1b_iso_flops": plots.iso_flops(rows, law, optimal, n_p),
        **drawn,
    }


study = study_of("compute-optimal", SIZES, analyse)
