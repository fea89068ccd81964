"""Compute-optimal allocation: N*(C) and D*(C) of a fitted law, one epoch over D jets.

    min over N, D of L(N, D)  with  6 n_p N D = C             (arXiv:2602.15781, Eq. 2)

Along a line of constant compute the logarithm of a sum of power laws is a convex
function of log N, so the optimum is the only root of its slope, found by bisection
(JAXopt). The additive form has it in closed form, which the tests compare with
(arXiv:2203.15556, Eq. 4): N* = G (C / 6 n_p)^a with a = beta / (alpha + beta) and
G = (alpha A / beta B)^(1/(alpha + beta)).
"""

import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from math import isfinite
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jetlab.laws.plans import plan, plan_certainty
from jetlab.laws.plans.budget import flops_per_parameter, require_positive
from jetlab.laws.plans.plan import Plan
from jetlab.laws.result import FitResult
from jetlab.laws.terms import Form, Theta

with warnings.catch_warnings():
    # JAXopt says at import that it is no longer maintained; its users cannot help it.
    warnings.simplefilter("ignore", DeprecationWarning)
    import jaxopt

SEARCHED = 200.0  # largest |log(N / D)| / 2 searched: far past any network


class Optimum(NamedTuple):
    """The best point of an iso-FLOP line and its local exponents in compute."""

    N: Float[Array, "*d"]
    D: Float[Array, "*d"]
    loss: Float[Array, "*d"]
    a: Float[Array, "*d"]  # d log N / d log C
    gamma: Float[Array, "*d"]  # -d log (L - L_inf) / d log C


def allocate(law: FitResult, flops: float, *, particles: float | None = None) -> Plan:
    """The compute-optimal N and D for `flops` FLOPs of training, one epoch over D.

    Args:
      particles: n_p of C = 6 n_p N D; that of the fit by default.

    Raises:
      ValueError: for a form without N and D, a fit without parameters, a law without an
        optimum, or a budget that is not positive or buys less than one jet.

    >>> allocate(law, flops=1e18)
    Plan for 1e+18 FLOPs
      N         4.247e+05 (4.026e+05, 4.471e+05)
      ...
    """
    plan.check_law(law)
    particles = law.particles if particles is None else particles
    require_positive(budget=flops, particles=particles)
    log_nd = float(np.log(flops / flops_per_parameter(particles)))
    best = optima(law.form, plan_certainty.params_and_evidence(law), log_nd)
    values: dict[str, Any] = {name: float(column[0]) for name, column in best.items()}
    if not isfinite(values["N"]):
        raise ValueError(
            f"no optimum: L does not fall with both N and D at {law.params}"
        )
    if min(values["N"], values["D"]) < 1:
        raise ValueError(
            f"a budget of {flops:g} FLOPs is too small: the best plan would be"
            f" N = {values['N']:.3g} and D = {values['D']:.3g}"
        )
    bought = {"N": values["N"], "D": values["D"], "ND": float(np.exp(log_nd))}
    certainty = plan_certainty.certainty(law, best, bought)
    return Plan(**values, flops=flops, particles=particles, **certainty)


def frontier(
    law: FitResult, flops: Sequence[float], *, particles: float | None = None
) -> list[Plan]:
    """The compute-optimal path: `allocate` at each budget, in FLOPs."""
    return [allocate(law, budget, particles=particles) for budget in flops]


def optima(
    form: Form, params: Mapping[str, Float[np.ndarray, "m"]], log_nd: float
) -> dict[str, Float[np.ndarray, "m"]]:
    """Best N, D, loss, a and gamma at N D = exp(log_nd) for m sets of parameters; NaN
    where the loss does not fall with both N and D."""
    with jax.enable_x64(True):
        theta = form.theta(params)
        found = _optima(form, theta, jnp.asarray(log_nd))
        columns = {name: np.asarray(v) for name, v in found._asdict().items()}
    half_log_ratio = np.log(columns["N"] / columns["D"]) / 2
    inside = np.abs(half_log_ratio) < SEARCHED - 1  # False for NaN
    inside &= columns["gamma"] > 0  # else a maximum: the loss rises with both
    return {name: np.where(inside, v, np.nan) for name, v in columns.items()}


@partial(jax.jit, static_argnames="form")
def _optima(form: Form, theta: Theta, log_nd: Float[Array, ""]) -> Optimum:
    """One optimum for each entry of theta's arrays."""
    return jax.vmap(partial(_optimum, form), in_axes=(0, None))(theta, log_nd)


def _optimum(form: Form, theta: Theta, log_nd: Float[Array, ""]) -> Optimum:
    reducible = {**theta, "L_inf": jnp.full_like(theta["L_inf"], -jnp.inf)}

    def best(log_nd: Array) -> Array:
        """x = log(N / D) / 2 at which the slope along constant N D vanishes."""
        solver = jaxopt.Bisection(
            partial(_slope, form),
            lower=-SEARCHED,
            upper=SEARCHED,
            maxiter=70,  # 400 / 2^70 is below float64's resolution
            tol=0.0,
            check_bracket=False,
        )
        return solver.run(None, reducible, log_nd).params

    x, slope = jax.value_and_grad(best)(log_nd)
    at_best = partial(_log_loss, form, x, reducible)  # the envelope theorem
    return Optimum(
        N=jnp.exp(log_nd / 2 + x),
        D=jnp.exp(log_nd / 2 - x),
        loss=jnp.exp(_log_loss(form, x, theta, log_nd)),
        a=0.5 + slope,
        gamma=-jax.grad(at_best)(log_nd),
    )


def _log_loss(form: Form, x: Array, theta: Theta, log_nd: Array) -> Array:
    """log L on the line of constant N D, at x = log(N / D) / 2."""
    log_n, log_d = log_nd / 2 + x, log_nd / 2 - x
    return form.log_loss(theta, {"N": log_n, "D": log_d, "U": log_d})  # one epoch


def _slope(form: Form, x: Array, theta: Theta, log_nd: Array) -> Array:
    return jax.grad(_log_loss, argnums=1)(form, x, theta, log_nd)
