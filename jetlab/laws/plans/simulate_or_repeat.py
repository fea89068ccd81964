"""Simulate more jets, or train longer on the same ones? The best use of a budget.

The optimum of N, unique jets U and epochs E is found by `laws.plans.optimal_epochs`.
What repeated data are worth comes from the fit where its form reads U, and is given or
assumed otherwise (`jetlab.laws.repeated_data`). One epoch by an additive fit needs no
assumption and is judged by the fit alone. By Muennighoff's law the start of a second
epoch is worth as much as fresh jets and costs no simulation, so the best E is above 1
as soon as a jet costs anything. The break-even points therefore compare whole epochs:
where two are as good as one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from jetlab.laws.plans import plan, plan_certainty
from jetlab.laws.plans.budget import Costs, flops_per_parameter, require_positive
from jetlab.laws.plans.optimal_epochs import CHUNK, optimal_epochs, problems_of, solve
from jetlab.laws.plans.plan import Plan
from jetlab.laws.repeated_data import LANGUAGE_MODELS, RepeatModel
from jetlab.laws.result import FitResult
from jetlab.laws.terms import Form

Columns = dict[str, Float[np.ndarray, "m"]]

ROUNDS, SPAN = 7, 70.0  # zooms, 31-fold each, into a range of this many e-folds


def simulate_or_repeat(
    law: FitResult,
    flops: float,
    *,
    flops_per_jet: float,
    max_epochs: float = 1.0,
    particles: float | None = None,
    repeats: RepeatModel | None = None,
) -> Plan:
    """The best N, D (jets to simulate) and epochs for `flops` FLOPs of simulation and
    training.

    Args:
      flops_per_jet: cost of simulating a jet (`budget.simulation_flops` converts
        core-seconds).
      max_epochs: the most epochs allowed.
      repeats: what repeated data are worth, for a fit whose form does not read U;
        `repeated_data.LANGUAGE_MODELS` is assumed without, with a warning.

    Raises:
      ValueError: for a form without N and D, a law without an optimum, arguments out of
        range, or a budget that cannot simulate one jet and train on it.
    """
    particles = law.particles if particles is None else particles
    _check(law, flops, flops_per_jet, max_epochs, particles)
    laws = _epoch_laws(law, repeats)
    costs = Costs(
        flops=flops,
        flops_per_jet=flops_per_jet,
        particles=particles,
        max_epochs=max_epochs,
    )
    best, assumptions = _best(laws, costs)
    values: dict[str, Any] = {name: float(column[0]) for name, column in best.items()}
    _check_values(values, law, flops)
    N, D, E = (values[name] for name in ("N", "D", "epochs"))
    bought = {"N": N, "U": D, "D": E * D, "ND": N * E * D}
    above, below = _break_even(laws, costs) if max_epochs >= 2 else (None, None)
    return Plan(
        **values,
        repeat_above_cost=above,
        repeat_below_budget=below,
        flops=flops,
        flops_per_jet=flops_per_jet,
        max_epochs=max_epochs,
        particles=particles,
        **plan_certainty.certainty(law, best, bought, assumptions),
    )


def _check(
    law: FitResult,
    flops: float,
    flops_per_jet: float,
    max_epochs: float,
    particles: float,
) -> None:
    plan.check_law(law)
    require_positive(budget=flops, flops_per_jet=flops_per_jet, particles=particles)
    if not (isfinite(max_epochs) and max_epochs >= 1):
        raise ValueError(
            f"max_epochs is {max_epochs:g}; it must be finite and at least 1"
        )
    if flops < flops_per_jet + flops_per_parameter(particles):
        raise ValueError(
            f"a budget of {flops:g} FLOPs cannot simulate one jet at"
            f" {flops_per_jet:g} and train on it"
        )


@dataclass(frozen=True, kw_only=True)
class EpochLaws:
    """Parameters of one form (the fit's first, then its draws) for one epoch and for
    several, and the assumption on repeated data; empty where they were fitted."""

    form: Form
    one_epoch: Columns
    several: Columns
    assumption: str


def _epoch_laws(law: FitResult, repeats: RepeatModel | None) -> EpochLaws:
    """One epoch by an additive fit has no decay of repeated data: infinite constants in
    Muennighoff's form, any B_rep in the other."""
    params = plan_certainty.params_and_evidence(law)
    if "U" in law.form.columns:
        if repeats is not None:
            raise ValueError(
                f"{law.form.name} has a fitted worth of repeated data: give no repeats"
            )
        return EpochLaws(form=law.form, one_epoch=params, several=params, assumption="")
    repeats = repeats or LANGUAGE_MODELS
    given = dict(repeats.params)
    constants = ("R_D_star", "R_N_star")
    no_decay = {name: np.inf if name in constants else v for name, v in given.items()}
    return EpochLaws(
        form=repeats.form,
        one_epoch=_extended(params, no_decay),
        several=_extended(params, given),
        assumption=repeats.assumption,
    )


def _extended(params: Columns, extra: Mapping[str, float]) -> Columns:
    count = len(params["L_inf"])
    return params | {name: np.full(count, value) for name, value in extra.items()}


def _best(laws: EpochLaws, costs: Costs) -> tuple[Columns, list[str]]:
    """The better of one epoch and several, and the assumption made for it."""
    if costs.max_epochs == 1:
        return optimal_epochs(laws.form, laws.one_epoch, costs), []
    several = optimal_epochs(laws.form, laws.several, costs)
    if not laws.assumption:
        return several, []
    one = optimal_epochs(laws.form, laws.one_epoch, replace(costs, max_epochs=1.0))
    if not several["loss"][0] < one["loss"][0]:  # NaN where repeats gain nothing
        return one, [f"one epoch is better than several ({laws.assumption})"]
    return several, [laws.assumption]


def _check_values(values: Mapping[str, float], law: FitResult, flops: float) -> None:
    if not all(isfinite(value) for value in values.values()):
        raise ValueError(
            f"no optimum for {flops:g} FLOPs: the best N lies outside of 1 parameter"
            f" to the whole budget at {law.params}"
        )
    if values["D"] < 1:
        raise ValueError(
            f"a budget of {flops:g} FLOPs is too small: the best plan would simulate"
            f" {values['D']:.3g} jets"
        )


def _break_even(laws: EpochLaws, costs: Costs) -> tuple[float | None, float | None]:
    """The cost of a jet (at this budget) and the budget (at this cost) at which two
    epochs are as good as one; None without such a point."""
    params = {name: float(column[0]) for name, column in laws.several.items()}
    top = np.log(costs.flops)
    dearest = max(costs.flops_per_jet, flops_per_parameter(costs.particles))
    bottom = np.log(dearest) + 0.1
    return (
        _crossing(laws.form, params, costs, "jet", (top - SPAN, top - 1e-6)),
        _crossing(laws.form, params, costs, "budget", (bottom, bottom + SPAN)),
    )


def _crossing(
    form: Form,
    params: Mapping[str, float],
    costs: Costs,
    field: str,
    ends: tuple[float, float],
) -> float | None:
    """The value of one field of `Problems` at which E = 1 and E = 2 reach equal losses,
    by zooming into the first crossing on a grid."""
    half = CHUNK // 2
    columns = {name: np.full(CHUNK, params[name]) for name in form.names}
    epochs = np.log(np.repeat([1.0, 2.0], half))
    with jax.enable_x64(True):
        for _ in range(ROUNDS):
            points = np.linspace(*ends, half)
            logs = {field: np.tile(points, 2), "min_epochs": epochs}
            problems = problems_of(form, columns, costs, max_epochs=epochs, **logs)
            found, _ = solve(form, problems)
            two_better = found.excess[half:] < found.excess[:half]
            changes = np.flatnonzero(two_better[1:] != two_better[:-1])
            if not changes.size:
                return None
            ends = (float(points[changes[0]]), float(points[changes[0] + 1]))
    return float(np.exp(np.mean(ends)))
