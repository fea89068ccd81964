"""What a compute budget should buy in background rejection.

The law of the loss gives the best loss for the budget, R(L) = A e^(-B L) + C of each
signal class the rejection at that loss (arXiv:2602.15781, Section 4). Intervals join
the draws of both fits as if they were independent.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, isfinite
from typing import Any

import numpy as np

from jetlab.laws import budgets, forms
from jetlab.laws.allocation import allocate, optima
from jetlab.laws.budgets import PARTICLES
from jetlab.laws.rejection_forecast import Expected, Mapped, expect
from jetlab.laws.result import FitResult

QUOTED = ("N", "D", "loss")


@dataclass(frozen=True, kw_only=True)
class Prospect(budgets.Plan):
    """The best N and D for `budget` FLOPs, their loss, and the rejections expected.

    `intervals` are 68 % percentiles of N, D and loss over the fit's draws (empty
    without). `message` has what the classes' messages have, too.
    """

    budget: float
    particles: float
    N: float
    D: float
    loss: float
    intervals: dict[str, tuple[float, float]]
    rejections: tuple[Expected, ...]
    message: str


def read(text: str) -> tuple[FitResult, dict[str, Mapped]]:
    """The law of the loss and each class's R(L), from a file that a study wrote.

    Raises:
      ValueError: for any other text.
    """
    law = FitResult.from_json(text)
    found = json.loads(text).get("rejections")
    if not found:
        raise ValueError(
            "the file holds no rejection laws: predict takes the fit.json of a study of"
            " taggers, jetlab run experiments/physics.py"
        )
    if not isinstance(found, dict):
        raise ValueError("rejections is not an object with a key for each signal class")
    return law, {signal: _mapped(signal, record) for signal, record in found.items()}


def _mapped(signal: str, record: Any) -> Mapped:
    wanted = ("efficiency", "background", "law", "common_error")
    if not (isinstance(record, dict) and set(wanted) <= record.keys()):
        raise ValueError(f"rejections: {signal} must have {', '.join(wanted)}")
    efficiency, background = record["efficiency"], record["background"]
    if not (isinstance(efficiency, int | float) and 0 < efficiency <= 1):
        raise ValueError(
            f"rejections: the efficiency of {signal} is {efficiency!r}, not in (0, 1]"
        )
    try:
        law = FitResult.from_json(json.dumps(record["law"]))
    except ValueError as error:
        raise ValueError(f"rejections: the law of {signal} is {error}") from error
    common = record["common_error"]
    if not (isinstance(common, int | float) and 0 <= common < inf):
        raise ValueError(f"rejections: the common error of {signal} is {common!r}")
    return Mapped(float(efficiency), str(background), law, float(common))


def prospect(
    law: FitResult,
    mappings: Mapping[str, Mapped],
    budget: float,
    particles: float = PARTICLES,
) -> Prospect:
    """The rejections to expect of the compute-optimal tagger for `budget` FLOPs.

    A class whose R(L) has no number at the expected loss gets None and the reason.

    Raises:
      ValueError: as `allocate` does, or for a mapping that is not a rejection law.
    """
    for signal, mapped in mappings.items():
        if mapped.law.form is not forms.rejection:
            raise ValueError(
                f"the law of {signal} is {mapped.law.form.formula}, where"
                f" {forms.rejection.formula} is needed"
            )
    plan = allocate(law, budget, particles=particles)
    if not isfinite(plan.loss):
        raise ValueError(f"the law gives no finite loss at {budget:g} FLOPs")
    log_nd = float(np.log(budget / (6 * particles)))
    drawn = optima(law.form, budgets.with_draws(law), log_nd)["loss"][1:]
    losses = drawn[np.isfinite(drawn)]
    expected = tuple(
        expect(signal, mapped, plan.loss, losses) for signal, mapped in mappings.items()
    )
    words = [plan.message, *_doubts(law, len(drawn), len(losses)), *_joined(expected)]
    kept = {name: ends for name, ends in plan.intervals.items() if name in QUOTED}
    return Prospect(
        budget=budget,
        particles=particles,
        N=plan.N,
        D=plan.D,
        loss=plan.loss,
        intervals=kept,
        rejections=expected,
        message="; ".join(words),
    )


def _doubts(law: FitResult, asked: int, there: int) -> list[str]:
    """What stands against the loss, beyond what the plan says."""
    words = []
    if not (law.converged and law.identified):
        words.append("neither the loss nor the rejections are to be quoted")
    if there < asked:
        words.append(
            f"{asked - there} of {asked} draws have no optimum and are left out"
        )
    return words


def _joined(expected: tuple[Expected, ...]) -> list[str]:
    """Each message once, with the classes that it is about."""
    about: dict[str, list[str]] = {}
    for one in expected:
        if one.message:
            about.setdefault(one.message, []).append(one.signal)
    return [f"{', '.join(names)}: {words}" for words, names in about.items()]
