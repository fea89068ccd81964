"""Laws of repeated data: what a second pass over the same examples is worth.

D counts examples seen, repeats included, and U the unique ones among them: D / U passes
or epochs. Each law reads an effective data size D' in place of D: D' = D in the first
pass and less than D after.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, isinf
from types import MappingProxyType

import jax.numpy as jnp
from jaxtyping import Array

from jetlab.laws.terms import FLOOR, Form, Logs, Parameter, Theta, fall, power, total

REACH = 60.0  # a larger logarithm of R or R* changes nothing that float64 can hold
FLATTEST = 1e-3  # the least exponent for which N_opt is worked out


def _saturated(log_unique: Array, log_ratio: Array, log_star: Array) -> Array:
    """Logarithm of U (1 + R* (1 - exp(-R / R*))) with R = ratio - 1; of U ratio where
    the ratio is below 1, less than one pass."""
    star = jnp.exp(jnp.clip(log_star, -REACH, REACH))
    repeats = jnp.expm1(jnp.clip(log_ratio, 0.0, REACH))
    part = log_unique + jnp.minimum(log_ratio, 0.0)
    return part + jnp.log1p(-star * jnp.expm1(-repeats / star))


def _data_term(theta: Theta, logs: Logs, log_star: Array) -> Array:
    """Logarithm of B / D'^beta."""
    log_d = _saturated(logs["U"], logs["D"] - logs["U"], log_star)
    return theta["B"] - theta["beta"] * log_d


def _justified(theta: Theta, log_unique: Array) -> Array:
    """Logarithm of N_opt(U), for which U examples, each seen once, are optimal:
    alpha A / N^alpha = beta B / U^beta."""
    alpha, beta = (jnp.maximum(theta[k], FLATTEST) for k in ("alpha", "beta"))
    weights = jnp.log(alpha) + theta["A"] - jnp.log(beta) - theta["B"]
    return (weights + beta * log_unique) / alpha


def _repetition(theta: Theta, logs: Logs) -> Array:
    log_u = jnp.minimum(logs["N"], _justified(theta, logs["U"]))
    log_n = _saturated(log_u, logs["N"] - log_u, theta["R_N_star"])
    return total(
        theta["L_inf"],
        theta["A"] - theta["alpha"] * log_n,
        _data_term(theta, logs, theta["R_D_star"]),
    )


def _passes(name: str) -> Parameter:
    """A number of repeats after which most of their worth is used up."""
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
        *power("A", "alpha", "N"),
        *power("B", "beta", "D"),
        _passes("R_D_star"),
        _passes("R_N_star"),
    ),
    log_loss=_repetition,
)


def log_omega(theta: Theta, log_unique: Array) -> Array:
    """Logarithm of the amplification omega of arXiv:2602.15781, Eq. 5: repeated until
    the loss rises, U examples are worth omega U that are seen once."""
    beta = theta["beta"]
    ratio = (theta["B"] - theta["B_rep"]) / beta
    return ratio + (theta["beta_rep"] / beta - 1) * log_unique


def _amplified(theta: Theta, logs: Logs) -> Array:
    gain = jnp.expm1(jnp.clip(log_omega(theta, logs["U"]), 1e-12, REACH))
    return total(
        theta["L_inf"],
        fall(theta, logs, "A", "alpha", "N"),
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
        "arXiv:2602.15781, Eq. 1 for one pass and Eq. 4 for many in the limit of large"
        " N; between them the exponential of arXiv:2305.16264, our choice"
    ),
    columns=("N", "D", "U"),
    parameters=(
        FLOOR,
        *power("A", "alpha", "N"),
        *power("B", "beta", "D"),
        *power("B_rep", "beta_rep", "U"),
    ),
    log_loss=_amplified,
)

repeated = Form(
    name="repeated",
    formula="L_inf + B_rep / D^beta_rep",  # D is the size of the data set, seen often
    source="arXiv:2602.15781, Eq. 4",
    columns=("D",),
    parameters=(FLOOR, *power("B_rep", "beta_rep", "D")),
    log_loss=lambda theta, logs: total(
        theta["L_inf"], fall(theta, logs, "B_rep", "beta_rep", "D")
    ),
)


BETWEEN = "; between one pass and many an exponential is assumed"


@dataclass(frozen=True, kw_only=True)
class Repeats:
    """What repeats are worth, for a fit of rows that have none: the values of the
    parameters that `form` has beyond those of the additive law, and, in `words`, where
    they come from."""

    form: Form
    params: MappingProxyType[str, float]
    words: str


def given(params: Mapping[str, float]) -> Repeats:
    """Repeats by Muennighoff's form, from R_D_star and R_N_star (infinite ones never
    decay), or by the paper's Eqs. 4 and 5, from a measured B_rep and beta_rep.

    Raises ValueError for other names or values that are not positive.
    """
    for name, value in params.items():
        if not value > 0 or (isinf(value) and not name.startswith("R_")):
            raise ValueError(f"{name} is {value:g}; it must be positive")
    for form, rest in ((repetition, ""), (amplified, BETWEEN)):
        if set(params) == set(form.names[5:]):
            values = ", ".join(f"{name} = {value:g}" for name, value in params.items())
            return Repeats(
                form=form,
                params=MappingProxyType(dict(params)),
                words=f"no repeats were fitted: {values} as given{rest}",
            )
    raise ValueError(
        "repeats take R_D_star and R_N_star, or B_rep and beta_rep; there are"
        f" {', '.join(params) or 'none'}"
    )


PUBLISHED = MappingProxyType({"R_D_star": 15.387756, "R_N_star": 5.309743})
"""Of language models (arXiv:2305.16264)."""

ASSUMED = Repeats(
    form=repetition,
    params=MappingProxyType(PUBLISHED | {"R_N_star": inf}),
    words=(
        "no repeats were fitted: R_D* = 15.3878 is assumed, the value of language"
        " models (arXiv:2305.16264), and parameters that never decay, as in one pass"
    ),
)
"""For an additive fit of runs of one pass: that of few passes is then near it. With a
finite R_N* parameters beyond the best for U jets would lose worth at once, which the
runs of one pass deny."""
