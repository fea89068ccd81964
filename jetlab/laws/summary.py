"""A fit in print: the verdict, what is known of each quantity and what it means, the
evidence."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from tabulate import tabulate

from jetlab.laws.evidence.intervals import CONFIDENCE_LEVEL
from jetlab.laws.evidence.verdict import LIMIT, Verdict
from jetlab.laws.formatting import with_interval
from jetlab.laws.result import FitResult

MEANINGS = {
    "L_inf": "the loss that no N and D go below, in units of L",
    "alpha": "the part of the loss that N lowers falls as N^-alpha",
    "beta": "the part of the loss that D lowers falls as D^-beta",
    "a": "compute-optimal N ~ C^a",
    "a_D": "compute-optimal D ~ C^a_D",
    "gamma": "at the optimum L - L_inf ~ C^-gamma",
}
"""Of quantities whose symbol does not say it."""


def lines(
    law: FitResult,
    level: float = CONFIDENCE_LEVEL,
    *,
    approaches: Mapping[str, Any] = {},
) -> list[str]:
    """The fit as lines, the verdict first. Numbers that the rows do not decide are in
    brackets."""
    rows = [
        ["", one.name, _number(law, one, level), one.status, MEANINGS.get(name, "")]
        for name, one in law.verdicts.items()
    ]
    table = tabulate(rows, tablefmt="plain", disable_numparse=True)
    scatter = f", which scatter by {100 * law.scatter:.2g} %" if law.scatter > 0 else ""
    return [
        f"verdict: {law.summary}",
        f"{law.form.formula}, {law.rows} rows{scatter}",
        *filter(None, [_intervals(law, level)]),
        *(line.rstrip() for line in table.splitlines()),
        *_compute(law),
        f"objective: {law.objective:.8g} ({law.misfit.words})",
        *(f"- {sentence}" for sentence in law.diagnostics.sentences),
        *(f"- {sentence}" for sentence in approaches.get("approaches_differ", ())),
    ]


def _compute(law: FitResult) -> list[str]:
    """How compute follows from N and D, for laws of both."""
    if not {"N", "D"} <= set(law.form.columns):
        return []
    return [f"C = 6 n_p N D with n_p = {law.particles:.4g}"]


def _intervals(law: FitResult, level: float) -> str:
    """What the intervals are of."""
    if not law.draws or not law.draws.values:
        return "no intervals: fit with bootstrap draws" if not law.draws else ""
    by = f" of {law.clusters_of}" if law.clusters_of else ""
    return (
        f"{100 * level:g} % intervals of {law.draws.asked} bootstrap draws{by}; limits"
        f" at {100 * LIMIT:g} %"
    )


def _number(law: FitResult, one: Verdict, level: float) -> str:
    """A value with its interval at a level, or its limit."""
    if one.status == "fixed":
        return f"{one.value:.6g}"
    if one.limit is not None:
        sign = "<" if one.status == "upper limit" else ">"
        return f"{sign} {with_interval(one.limit, None)}"
    if not np.isfinite(one.value):
        return ""
    drawn = law.draws and law.draws.values
    ends = law.interval(one.name, level) if drawn else None
    text = with_interval(one.value, ends)
    return text if one.known else f"[{text}]"
