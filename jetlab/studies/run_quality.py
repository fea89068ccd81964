"""Quality of a study's runs: errors of the losses, learning rates, runs left out."""

from collections.abc import Sequence
from math import nan

import numpy as np

from jetlab.onset import MARGIN
from jetlab.records import Record, Table
from jetlab.runs.grid import PAPER_RATE

MAX_ERROR = 0.005
"""Sampling error of a loss, relative to it, up to which it is said to be small."""


NAMED = 10  # runs that a sentence names

NO_RUNS = "No run has learned, so there is no law to fit: train on more jets."


def quality_sentences(records: Sequence[Record]) -> list[str]:
    """Sentences on validation, learning rates, runs that did not finish, and
    correlations between runs."""
    distinct = list({record.id: record for record in records}.values())
    return [
        _validation(distinct),
        _learning_rates(distinct),
        *_unfinished(distinct),
        *_correlation(distinct),
    ]


def unlearned_sentences(unlearned: Table) -> list[str]:
    """A sentence on the runs that are not fitted as they have not begun to follow a
    law; none without any."""
    if not unlearned.rows:
        return []
    named = ", ".join(
        f"(N={N}, D={', '.join(map(str, np.unique(unlearned.where(N=N)['D'])))})"
        for N in np.unique(unlearned["N"])
    )
    return [
        f"Runs that have not begun to follow a law are not fitted, {unlearned.rows} of"
        f" them: within {100 * MARGIN:.0f} % of the chance loss, before the steepest"
        f" fall of their trajectory, or far above the law at its smallest D: {named}."
    ]


def _validation(records: Sequence[Record]) -> str:
    known = [r.metrics for r in records if r.metrics.get("excess", 0.0) > 0]
    if known:
        error = max(one["excess_error"] / one["excess"] for one in known)
        return (
            f"Validation: {records[0].num_valid} jets of a known posterior, the same"
            " for every run; losses are averaged over their labels, and the sampling"
            f" error of the loss above the floor is at most {100 * error:.1f} % of it."
        )
    losses = [(r.loss, r.loss_error) for r in records if r.status == "done"]
    error = max((e / loss for loss, e in losses if loss and e), default=nan)
    advice = "" if error < MAX_ERROR else f", above {100 * MAX_ERROR} %: use more jets"
    return (
        f"Validation: {records[0].num_valid} jets, the same for every run; the sampling"
        f" error is at most {100 * error:.2f} % of the loss{advice}."
    )


def _learning_rates(records: Sequence[Record]) -> str:
    rates = sorted({record.learning_rate for record in records})
    if rates == [PAPER_RATE]:
        return f"Learning rate: constant, {PAPER_RATE:g}, as in arXiv:2602.15781."
    if len(rates) == 1:
        return f"Learning rate: constant, {rates[0]:.2g}."
    return f"Learning rate: constant, {rates[0]:.2g} to {rates[-1]:.2g}."


def _unfinished(records: Sequence[Record]) -> list[str]:
    names = [
        f"N={r.N}, D={r.D}, rate {r.learning_rate:.2g}, seed {r.seed} ({r.status})"
        for r in records
        if r.status != "done"
    ]
    more = "; ..." if len(names) > NAMED else ""
    listed = "; ".join(names[:NAMED]) + more
    return [f"Runs that did not finish, {len(names)}: {listed}."] if names else []


def _correlation(records: Sequence[Record]) -> list[str]:
    if not any(record.trajectory for record in records):
        return []
    return [
        "Single passes of equal width, rate and seed are prefixes of one run: the"
        " intervals take their errors as correlated."
    ]
