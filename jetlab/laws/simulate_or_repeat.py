"""Simulate more jets, or see the same ones again? The best use of a budget for both.

    min over N, U, E of L(N, D = E U, U)  with  E 6 n_p N U + s U <= C,  1 <= E <= E_max

for U jets that cost s FLOPs each to simulate and E passes over them; E is taken as a
real number. The budget is always spent, which leaves log N and log E to search: the
best point of a grid, then L-BFGS-B from there (JAXopt). How the optimum moves with C is
its implicit derivative.

What repeats are worth comes from the fit, where its form reads U, or is given or
assumed (`jetlab.laws.repeated_data`). One pass by an additive fit needs no assumption
and is judged by the fit alone. By Muennighoff's law the start of a second pass is worth
as much as fresh jets and costs no simulation: the best E is above 1 as soon as a jet
costs anything. Where simulation stops paying is therefore said of whole passes: where
two beat one.
"""

from dataclasses import dataclass, replace
from math import isfinite

import numpy as np
from jaxtyping import Float

from jetlab.laws import budgets
from jetlab.laws.break_even import turning_budget, turning_cost
from jetlab.laws.budgets import PARTICLES
from jetlab.laws.passes import Terms, best_passes
from jetlab.laws.repeated_data import ASSUMED, Repeats
from jetlab.laws.result import FitResult
from jetlab.laws.terms import Form

Columns = dict[str, Float[np.ndarray, "m"]]


@dataclass(frozen=True, kw_only=True)
class Simulation(budgets.Plan):
    """How many jets to simulate, and how often to see them, with `budget` FLOPs.

    `D` jets are simulated, each seen `E` times by a model of `N` parameters, at a share
    `simulated` of the budget. `a` is d log N / d log C, `slope_D` and `slope_E` the
    same of D and E, `gamma` is -d log (L - L_inf) / d log C. Two passes over fewer jets
    beat one over more where a jet costs more than `repeat_above_cost` FLOPs at this
    budget, or the budget is below `repeat_below_budget` at this cost: None where two
    are not allowed or there is no such point. `intervals` are 68 % percentiles over the
    fit's draws. `beyond` says by columns of the rows fitted how many times the plan
    exceeds the largest, D being the jets seen, E times those simulated (U).
    """

    N: float
    D: float
    E: float
    loss: float
    simulated: float
    a: float
    slope_D: float
    slope_E: float
    gamma: float
    repeat_above_cost: float | None
    repeat_below_budget: float | None
    budget: float
    jet_cost: float
    max_epochs: float
    particles: float
    intervals: dict[str, tuple[float, float]]
    beyond: dict[str, float]
    message: str


@dataclass(frozen=True, kw_only=True)
class Judges:
    """One form and two sets of its parameters (the fit's first, then the draws'): what
    is said of one pass and of several; and the assumption about repeats, in words."""

    form: Form
    once: Columns
    several: Columns
    words: str


def simulate_or_repeat(
    fit: FitResult,
    budget: float,
    *,
    jet_cost: float,
    max_epochs: float = 1.0,
    particles: float = PARTICLES,
    repeats: Repeats | None = None,
) -> Simulation:
    """The best N, D and E for `budget` FLOPs of simulation and training.

    `jet_cost` is in FLOPs (`budgets.simulation_cost` converts core-seconds). `repeats`
    serves a fit whose form does not read U; without, Muennighoff's decay of repeated
    data is assumed (`repetition.ASSUMED`), and `message` says so. Raises ValueError for
    a form without N and D, a law without an optimum inside, choices out of range, or a
    budget that cannot simulate one jet.
    """
    _check(fit, budget, jet_cost, max_epochs, particles)
    judges = _judges(fit, repeats)
    terms = Terms(
        budget=budget, jet_cost=jet_cost, particles=particles, most=max_epochs
    )
    best, words = _best(judges, terms)
    values = {name: float(column[0]) for name, column in best.items()}
    _check_values(values, fit, budget)
    N, D, E = (values[name] for name in "NDE")
    bought = {"N": N, "U": D, "D": E * D, "ND": N * E * D}
    turns = _turns(judges, terms) if max_epochs >= 2 else (None, None)
    return Simulation(
        **values,
        repeat_above_cost=turns[0],
        repeat_below_budget=turns[1],
        budget=budget,
        jet_cost=jet_cost,
        max_epochs=max_epochs,
        particles=particles,
        intervals=budgets.intervals(best),
        beyond=budgets.beyond(fit, bought),
        message="; ".join([*budgets.reach(fit, bought), *words]),
    )


def _check(
    fit: FitResult, budget: float, jet_cost: float, max_epochs: float, particles: float
) -> None:
    budgets.check_law(fit)
    budgets.require(budget=budget, jet_cost=jet_cost, particles=particles)
    if not (isfinite(max_epochs) and max_epochs >= 1):
        raise ValueError(
            f"max_epochs is {max_epochs:g}; it must be finite and at least 1"
        )
    if budget < jet_cost + 6 * particles:
        raise ValueError(
            f"a budget of {budget:g} FLOPs cannot simulate one jet at {jet_cost:g} and"
            " train on it"
        )


def _judges(fit: FitResult, repeats: Repeats | None) -> Judges:
    """By what one pass and several are judged. One pass by an additive fit knows no
    decay: infinite constants in Muennighoff's form, any B_rep in the other."""
    params = budgets.with_draws(fit)
    if "U" in fit.form.columns:
        if repeats is not None:
            raise ValueError(f"{fit.form.name} says itself what repeats are worth")
        return Judges(form=fit.form, once=params, several=params, words="")
    repeats = repeats or ASSUMED
    given = dict(repeats.params)
    lasting = ("R_D_star", "R_N_star")
    single = {name: np.inf if name in lasting else v for name, v in given.items()}
    return Judges(
        form=repeats.form,
        once=_extended(params, single),
        several=_extended(params, given),
        words=repeats.words,
    )


def _extended(params: Columns, extra: dict[str, float]) -> Columns:
    count = len(params["L_inf"])
    return params | {name: np.full(count, value) for name, value in extra.items()}


def _best(judges: Judges, terms: Terms) -> tuple[Columns, list[str]]:
    """The better of one pass and of several, and what it assumes."""
    if terms.most == 1:
        return best_passes(judges.form, judges.once, terms), []
    several = best_passes(judges.form, judges.several, terms)
    if not judges.words:
        return several, []
    once = best_passes(judges.form, judges.once, replace(terms, most=1.0))
    if not several["loss"][0] < once["loss"][0]:  # NaN where repeats gain nothing
        return once, [f"one pass is better than several ({judges.words})"]
    return several, [judges.words]


def _turns(judges: Judges, terms: Terms) -> tuple[float | None, float | None]:
    """The jet cost and the budget at which two passes and one are equally good."""
    params = {name: float(column[0]) for name, column in judges.several.items()}
    return (
        turning_cost(judges.form, params, terms),
        turning_budget(judges.form, params, terms),
    )


def _check_values(values: dict[str, float], fit: FitResult, budget: float) -> None:
    if not all(isfinite(value) for value in values.values()):
        raise ValueError(
            f"no optimum for {budget:g} FLOPs: the best N lies outside of 1 parameter"
            f" to the whole budget at {fit.params}"
        )
    if values["D"] < 1:
        raise ValueError(
            f"a budget of {budget:g} FLOPs is too small: the best plan would simulate"
            f" {values['D']:.3g} jets"
        )
