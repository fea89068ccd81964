"""What to train for a given compute: N*(C) and D*(C) of a fitted law.

    min over N, D of L(N, D)  with  6 n_p N D = C             (arXiv:2602.15781, Eq. 2)

Along a line of constant compute the logarithm of a sum of power laws is a convex
function of log N, so the optimum is the one root of its slope, which bisection cannot
miss. For the additive form it is known in closed form (arXiv:2203.15556, Eq. 4):
N* = G (C / 6 n_p)^a, a = beta / (alpha + beta),
G = (alpha A / beta B)^(1/(alpha + beta)).
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import isfinite
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jetlab.laws import budgets
from jetlab.laws.budgets import PARTICLES
from jetlab.laws.result import FitResult
from jetlab.laws.terms import Form, Theta

with warnings.catch_warnings():
    # JAXopt says at import that it is no longer maintained; its users cannot help it.
    warnings.simplefilter("ignore", DeprecationWarning)
    import jaxopt

FARTHEST = 200.0  # |log N - log(ND)/2| searched: far past any network


class Optimum(NamedTuple):
    """The best point of an iso-FLOP line, and how it moves with compute."""

    N: Float[Array, "*d"]
    D: Float[Array, "*d"]
    loss: Float[Array, "*d"]
    a: Float[Array, "*d"]  # d log N / d log C
    gamma: Float[Array, "*d"]  # -d log (L - L_inf) / d log C


@dataclass(frozen=True, kw_only=True)
class Allocation(budgets.Plan):
    """The N and D that a budget of `budget` FLOPs should buy.

    `a` and `gamma` are the local exponents N* ~ C^a, L - L_inf ~ C^-gamma. `intervals`
    are 68 % percentiles over the fit's draws (empty without). `beyond` says how many
    times N, D and the product ND exceed the largest in the rows fitted.
    """

    N: float
    D: float
    loss: float
    a: float
    gamma: float
    budget: float
    particles: float
    intervals: dict[str, tuple[float, float]]
    beyond: dict[str, float]
    message: str


def allocate(
    fit: FitResult, budget: float, *, particles: float = PARTICLES
) -> Allocation:
    """The compute-optimal N and D for `budget` FLOPs of training, one pass over D.

    `particles` is n_p, tokens per example: 1 where D counts tokens already. Raises
    ValueError for a form without N and D, a fit without parameters, a law without an
    optimum inside, or a budget that is not positive or buys less than one example.
    """
    budgets.check_law(fit)
    budgets.require(budget=budget, particles=particles)
    log_nd = float(np.log(budget / (6 * particles)))
    best = optima(fit.form, budgets.with_draws(fit), log_nd)
    values = {name: float(column[0]) for name, column in best.items()}
    if not isfinite(values["N"]):
        raise ValueError(
            f"no optimum: L does not fall with both N and D at {fit.params}; both terms"
            " must fall for a budget to be worth dividing"
        )
    if min(values["N"], values["D"]) < 1:
        raise ValueError(
            f"a budget of {budget:g} FLOPs is too small: the best plan would be"
            f" N = {values['N']:.3g} and D = {values['D']:.3g}"
        )
    bought = {"N": values["N"], "D": values["D"], "ND": float(np.exp(log_nd))}
    return Allocation(
        **values,
        budget=budget,
        particles=particles,
        intervals=budgets.intervals(best),
        beyond=budgets.beyond(fit, bought),
        message="; ".join(budgets.reach(fit, bought)),
    )


def frontier(
    fit: FitResult, budgets: Sequence[float], *, particles: float = PARTICLES
) -> list[Allocation]:
    """The optimal trajectory: `allocate` at each budget, in FLOPs."""
    return [allocate(fit, budget, particles=particles) for budget in budgets]


def optima(
    form: Form, params: Mapping[str, Float[np.ndarray, "m"]], log_nd: float
) -> dict[str, Float[np.ndarray, "m"]]:
    """Best N, D, loss, a and gamma at N D = exp(log_nd) for many sets of parameters;
    NaN for those of which L does not fall with both."""
    with jax.enable_x64(True):
        theta = form.theta(params)
        found = _optima(form, theta, jnp.asarray(log_nd))
        columns = {name: np.asarray(v) for name, v in found._asdict().items()}
    balance = np.log(columns["N"] / columns["D"]) / 2
    inside = np.abs(balance) < FARTHEST - 1  # False for NaN
    inside &= columns["gamma"] > 0  # else the best is worst: the loss rises with both
    return {name: np.where(inside, v, np.nan) for name, v in columns.items()}


@partial(jax.jit, static_argnames="form")
def _optima(form: Form, theta: Theta, log_nd: Float[Array, ""]) -> Optimum:
    """One optimum for each entry of theta's arrays."""
    return jax.vmap(partial(_optimum, form), in_axes=(0, None))(theta, log_nd)


def _optimum(form: Form, theta: Theta, log_nd: Float[Array, ""]) -> Optimum:
    reducible = {**theta, "L_inf": jnp.full_like(theta["L_inf"], -jnp.inf)}

    def best(log_nd: Array) -> Array:
        """Where the slope along the line of constant N D vanishes."""
        solver = jaxopt.Bisection(
            partial(_slope, form),
            lower=-FARTHEST,
            upper=FARTHEST,
            maxiter=70,  # 400 / 2^70 is below float64's resolution
            tol=0.0,
            check_bracket=False,
        )
        return solver.run(None, reducible, log_nd).params

    balance, slope = jax.value_and_grad(best)(log_nd)
    at_best = partial(_along, form, balance, reducible)  # the envelope theorem
    return Optimum(
        N=jnp.exp(log_nd / 2 + balance),
        D=jnp.exp(log_nd / 2 - balance),
        loss=jnp.exp(_along(form, balance, theta, log_nd)),
        a=0.5 + slope,
        gamma=-jax.grad(at_best)(log_nd),
    )


def _along(form: Form, balance: Array, theta: Theta, log_nd: Array) -> Array:
    """log L on the line of constant N D; balance is log(N / D) / 2."""
    log_n, log_d = log_nd / 2 + balance, log_nd / 2 - balance
    return form.log_loss(theta, {"N": log_n, "D": log_d, "U": log_d})  # one pass


def _slope(form: Form, balance: Array, theta: Theta, log_nd: Array) -> Array:
    return jax.grad(_along, argnums=1)(form, balance, theta, log_nd)
