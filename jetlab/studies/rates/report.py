"""The findings of a study of learning rates: tables and figures, beside its words."""

from collections.abc import Mapping, Sequence

import numpy as np

from jetlab.laws.result import FitResult
from jetlab.models import scaling
from jetlab.records import Record
from jetlab.runs.study import Findings
from jetlab.runs.tables import TextTable, with_interval
from jetlab.studies.joint_law import Limit
from jetlab.studies.rates import figures
from jetlab.studies.rates import words as said
from jetlab.studies.rates.arms import (
    PAPER,
    Arm,
    Estimates,
    Pair,
    arms,
    estimates,
    fitted,
    pairs,
    scanned,
    told,
)
from jetlab.studies.rates.best import (
    DEMO,
    STEPS,
    WIDTH,
    RateLaw,
    Scan,
    rate_law,
)
from jetlab.studies.run_quality import begun


def analyse_rates(records: Sequence[Record], limit: Limit | None) -> Findings:
    """The laws at each choice of rates, what differs between them, the best rate."""
    found = {name: fitted(rows, limit) for name, rows in arms(records).items()}
    compared, rates = pairs(found, limit), scanned(records)
    learning = rates.of(begun(rates.lowest, records[0].chance_loss))
    law = _law_of_rates(learning)
    free = {name: arm.laws.free for name, arm in found.items() if arm.laws}
    pinned = {n: a.laws.pinned for n, a in found.items() if a.laws and a.laws.pinned}
    return Findings(
        words=[
            *said.measured(records),
            *(said.of_arm(*item) for item in found.items()),
            *(said.of_pair(pair) for pair in compared),
            *said.of_rates(learning, law),
            *said.of_luck(learning, free.get("tuned")),
        ],
        tables={
            "Parameters of the law by learning rate": _parameters(found, free, pinned),
            "Differences between arms": _differences(compared),
            "The best rate": _best(learning, law),
        },
        figures=_figures(rates, free, pinned, limit),
        results={
            key.replace("fit", f"fit_{name.replace(' ', '_')}", 1): text
            for name, arm in found.items()
            if arm.laws
            for key, text in arm.laws.results().items()
        },
    )


def _figures(
    rates: Scan,
    free: Mapping[str, FitResult],
    pinned: Mapping[str, FitResult],
    limit: Limit | None,
) -> dict[str, figures.Figure]:
    drawn = {}
    if len(rates.N):
        rule = {float(d): scaling.learning_rate(int(d)) for d in np.unique(rates.width)}
        drawn["fig_learning_rate_loss"] = figures.loss_against_rate(rates, rule)
    sure = [
        {name: estimates(law) for name, law in laws.items() if told(law)}
        for laws in (free, pinned)
    ]
    if any(sure):
        drawn["fig_learning_rate_parameters"] = figures.parameters(*sure, PAPER, limit)
    return drawn


def _parameters(
    found: Mapping[str, Arm],
    free: Mapping[str, FitResult],
    pinned: Mapping[str, FitResult],
) -> TextTable:
    """The free laws, and below them those with L_inf fixed to the known limit."""
    lines = [*_block(found, free, "", dict(PAPER))]
    if pinned:
        lines += _block(found, pinned, "L_inf known: ", {})
    return TextTable(["parameter", "paper (68 %)", *found], lines)


def _block(
    found: Mapping[str, Arm], laws: Mapping[str, FitResult], kind: str, paper: Estimates
) -> list[list[str]]:
    shown = {name: estimates(law) for name, law in laws.items() if _solved(law)}
    lines = [
        [kind + parameter, *(_cell(of, parameter) for of in (paper, *columns))]
        for columns in [[shown.get(name, {}) for name in found]]
        for parameter in PAPER
    ]
    counts = [f"{len(arm.rows['L'])} of {arm.runs}" for arm in found.values()]
    bent = [_residual(laws.get(name)) for name in found]
    sure = ["yes" if told(laws.get(name)) else "no" for name in found]
    return [
        *lines,
        [f"{kind}runs fitted", "", *counts],
        [f"{kind}median residual of log L", "", *bent],
        [f"{kind}identified", "", *sure],
    ]


def _cell(of: Estimates, parameter: str) -> str:
    return with_interval(*of[parameter]) if parameter in of else ""


def _solved(law: FitResult | None) -> bool:
    return law is not None and bool(np.isfinite(law.objective))


def _residual(law: FitResult | None) -> str:
    if law is None or not _solved(law):
        return ""
    return f"{100 * np.median(np.abs(law.residuals)):.2f} %"


def _differences(compared: Sequence[Pair]) -> TextTable:
    lines = []
    for pair in compared:
        found = pair.found
        known = {} if isinstance(found, str) else found.values
        cells = [
            with_interval(known[name], found.paired[name])  # pyright: ignore
            if name in known
            else ""
            for name in PAPER
        ]
        doubt = f"not identified: {', '.join(pair.open)}" if pair.open else ""
        why = found if isinstance(found, str) else doubt
        lines.append(
            [" to ".join(pair.names), pair.kind, str(pair.shared), *cells, why]
        )
    return TextTable(["from, to", "law", "runs shared", *PAPER, ""], lines)


def _best(begun: Scan, law: RateLaw | None) -> TextTable:
    names = {"at": f"eta* at d = {WIDTH}, T = {STEPS:,}", "p": "p", "q": "q"}
    here = law.params if law else {}
    lines = [
        [
            label,
            with_interval(DEMO[name], None),
            with_interval(here[name], law.intervals[name]) if law else "",
        ]
        for name, label in names.items()
    ]
    counts = {
        "cells that have learned": len(begun.N),
        "best at the lowest rate": int(begun.at_low_end.sum()),
        "best at the highest rate": int(begun.at_high_end.sum()),
        "used for p and q": int(np.isfinite(begun.optimum).sum()),
    }
    lines += [[label, "", str(count)] for label, count in counts.items()]
    return TextTable(
        ["eta* = k d^-p T^-q", "demonstration (2026)", "here (68 %)"], lines
    )


def _law_of_rates(begun: Scan) -> RateLaw | None:
    try:
        return rate_law(begun)
    except ValueError:
        return None
