"""Laws of repeated data: what a second epoch over the same examples is worth.

D counts examples seen, repeats included, and U the unique ones among them: D / U
epochs. Each law reads an effective data size D' in place of D: D' = D in the first
epoch and less than D after.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, isinf
from types import MappingProxyType

import jax.numpy as jnp
from jaxtyping import Array

from jetlab.laws.terms import (
    FLOOR,
    Form,
    Logs,
    Parameter,
    Theta,
    log_power_law,
    log_sum,
    power_law,
)

MAX_LOG = 60.0  # of R and R*: larger ones change nothing in float64
MIN_EXPONENT = 1e-3  # alpha and beta are raised to it in N_opt


def _saturated(log_unique: Array, log_ratio: Array, log_star: Array) -> Array:
    """Logarithm of U (1 + R* (1 - exp(-R / R*))) with R = ratio - 1 repeats; of
    U ratio where the ratio is below 1, less than one epoch."""
    star = jnp.exp(jnp.clip(log_star, -MAX_LOG, MAX_LOG))
    repeats = jnp.expm1(jnp.clip(log_ratio, 0.0, MAX_LOG))
    part = log_unique + jnp.minimum(log_ratio, 0.0)
    return part + jnp.log1p(-star * jnp.expm1(-repeats / star))


def _data_term(theta: Theta, logs: Logs, log_star: Array) -> Array:
    """Logarithm of B / D'^beta."""
    log_d = _saturated(logs["U"], logs["D"] - logs["U"], log_star)
    return theta["B"] - theta["beta"] * log_d


def _optimal_size(theta: Theta, log_unique: Array) -> Array:
    """Logarithm of N_opt(U), the size for which U examples seen once are optimal:
    alpha A / N_opt^alpha = beta B / U^beta."""
    alpha, beta = (jnp.maximum(theta[k], MIN_EXPONENT) for k in ("alpha", "beta"))
    weights = jnp.log(alpha) + theta["A"] - jnp.log(beta) - theta["B"]
    return (weights + beta * log_unique) / alpha


def _repetition(theta: Theta, logs: Logs) -> Array:
    log_u = jnp.minimum(logs["N"], _optimal_size(theta, logs["U"]))
    log_n = _saturated(log_u, logs["N"] - log_u, theta["R_N_star"])
    return log_sum(
        theta["L_inf"],
        theta["A"] - theta["alpha"] * log_n,
        _data_term(theta, logs, theta["R_D_star"]),
    )


def _decay_constant(name: str) -> Parameter:
    """Repeats after which their worth has fallen to 1/e."""
    return Parameter(name=name, positive=True, starts=(3.0, 30.0))


repetition = Form(
    name="repetition",
    formula=(
        "L_inf + A / N'^alpha + B / D'^beta;"
        " D' = U (1 + R_D_star (1 - exp(-(D/U - 1) / R_D_star)));"
        " N' = U_N (1 + R_N_star (1 - exp(-(N/U_N - 1) / R_N_star)));"
        " U_N = min(N, (alpha A / (beta B))^(1/alpha) U^(beta/alpha))"
    ),
    source="arXiv:2305.16264, Section 3.1",
    columns=("N", "D", "U"),
    parameters=(
        FLOOR,
        *power_law("A", "alpha", "N"),
        *power_law("B", "beta", "D"),
        _decay_constant("R_D_star"),
        _decay_constant("R_N_star"),
    ),
    log_loss=_repetition,
)


def log_omega(theta: Theta, log_unique: Array) -> Array:
    """Logarithm of the amplification omega (arXiv:2602.15781, Eq. 5): U examples
    repeated until the loss rises are worth omega U examples seen once."""
    beta = theta["beta"]
    ratio = (theta["B"] - theta["B_rep"]) / beta
    return ratio + (theta["beta_rep"] / beta - 1) * log_unique


def _amplified(theta: Theta, logs: Logs) -> Array:
    gain = jnp.expm1(jnp.clip(log_omega(theta, logs["U"]), 1e-12, MAX_LOG))
    return log_sum(
        theta["L_inf"],
        log_power_law(theta, logs, "A", "alpha", "N"),
        _data_term(theta, logs, jnp.log(gain)),
    )


amplified = Form(
    name="amplified",
    formula=(
        "L_inf + A / N^alpha + B / D'^beta;"
        " D' = U (1 + (omega - 1) (1 - exp(-(D/U - 1) / (omega - 1))));"
        " omega = (B / B_rep)^(1/beta) U^(beta_rep/beta - 1), at least 1"
    ),
    source=(
        "arXiv:2602.15781, Eq. 1 for one epoch and Eq. 4 for many at large N; between"
        " them the exponential of arXiv:2305.16264, our choice"
    ),
    columns=("N", "D", "U"),
    parameters=(
        FLOOR,
        *power_law("A", "alpha", "N"),
        *power_law("B", "beta", "D"),
        *power_law("B_rep", "beta_rep", "U"),
    ),
    log_loss=_amplified,
)

repeated = Form(
    name="repeated",
    formula="L_inf + B_rep / D^beta_rep",  # D: unique examples, of many epochs
    source="arXiv:2602.15781, Eq. 4",
    columns=("D",),
    parameters=(FLOOR, *power_law("B_rep", "beta_rep", "D")),
    log_loss=lambda theta, logs: log_sum(
        theta["L_inf"], log_power_law(theta, logs, "B_rep", "beta_rep", "D")
    ),
)


@dataclass(frozen=True, kw_only=True)
class RepeatModel:
    """What repeated data are worth, for a fit to runs of one epoch: values of the
    parameters of `form` that the additive law lacks, and a warning on their origin."""

    form: Form
    params: MappingProxyType[str, float]
    assumption: str


def repeat_model(params: Mapping[str, float]) -> RepeatModel:
    """The form and values that two parameters name.

    Args:
      params: R_D_star and R_N_star of Muennighoff's form (inf: no decay), or B_rep and
        beta_rep, measured, of arXiv:2602.15781, Eqs. 4 and 5.

    Raises:
      ValueError: for other names, or values that are not positive.
    """
    for name, value in params.items():
        if not value > 0 or (isinf(value) and not name.startswith("R_")):
            raise ValueError(f"{name} is {value:g}; it must be positive")
    for form in (repetition, amplified):
        if set(params) == set(form.names[5:]):
            values = ", ".join(f"{name} = {value:g}" for name, value in params.items())
            return RepeatModel(
                form=form,
                params=MappingProxyType(dict(params)),
                assumption=(
                    f"repeated data were not fitted: {values} as given"
                    f"{_NOTE[form.name]}"
                ),
            )
    raise ValueError(
        "repeats take R_D_star and R_N_star, or B_rep and beta_rep; there are"
        f" {', '.join(params) or 'none'}"
    )


_NOTE = {
    repetition.name: "",
    amplified.name: ", and an exponential between one epoch and many",
}

MUENNIGHOFF = MappingProxyType({"R_D_star": 15.387756, "R_N_star": 5.309743})
"""Decay constants of language models (arXiv:2305.16264)."""

LANGUAGE_MODELS = RepeatModel(
    form=repetition,
    params=MappingProxyType(MUENNIGHOFF | {"R_N_star": inf}),
    assumption=(
        "repeated data were not fitted: R_D* = 15.3878 is assumed, the value of"
        " language models (arXiv:2305.16264), and no decay of parameters; give repeats,"
        " or fit runs of several epochs"
    ),
)
"""Assumed for an additive fit to runs of one epoch, which it continues: with a finite
R_N*, parameters beyond the best for U jets would lose worth in the first epoch already,
which the runs fitted contradict."""
