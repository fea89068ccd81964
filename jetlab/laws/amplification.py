"""The amplification omega: how much repeating a data set is worth, from two fits."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from jetlab.laws.evidence.intervals import percentiles
from jetlab.laws.plans.budget import require_positive
from jetlab.laws.result import FitResult


class Amplification(NamedTuple):
    """D examples repeated until the loss rises are worth `omega` D examples seen once;
    `interval` is the 68 % percentile interval, None without comparable draws."""

    omega: float
    interval: tuple[float, float] | None


def amplification(single: FitResult, many: FitResult, examples: float) -> Amplification:
    """omega of a data set of D examples (arXiv:2602.15781, Eq. 5),

        omega = (B / B_rep)^(1/beta) D^(beta_rep/beta - 1).

    Args:
      single: fit to runs of one epoch, of a form with B and beta.
      many: fit to runs repeated until the loss rises, of the form `repeated`.
      examples: D.

    Eq. 5 holds for equal L_inf: fix one fit's to the other's. The interval pairs draws
    of the two fits as independent. It needs L_inf of `single` fixed: if it was fitted,
    draws of B vary together with L_inf, and draws of B_rep at one L_inf do not.

    Raises:
      ValueError: for other forms, or examples that are not positive.
    """
    for law, needed in ((single, ("B", "beta")), (many, ("B_rep", "beta_rep"))):
        if not set(needed) <= set(law.form.names):
            raise ValueError(f"{law.form.name} has no {' and '.join(needed)}")
    require_positive(examples=examples)
    both = {name: np.array([v]) for name, v in (single.params | many.params).items()}
    value = float(_omega(both, examples)[0])
    draws = [law.draws.values if law.draws else {} for law in (single, many)]
    if not (all(draws) and "L_inf" in single.fixed):
        return Amplification(value, None)
    low, high = percentiles(_omega(_paired(*draws), examples))
    return Amplification(value, (float(low), float(high)))


def _omega(
    params: Mapping[str, Float[np.ndarray, "m"]], examples: float
) -> Float[np.ndarray, "m"]:
    """Eq. 5, draw by draw."""
    B, beta, B_rep, beta_rep = (
        params[name] for name in ("B", "beta", "B_rep", "beta_rep")
    )
    power = np.log(B / B_rep) / beta + (beta_rep / beta - 1) * np.log(examples)
    return np.exp(power)


def _paired(
    single: Mapping[str, Float[np.ndarray, "m"]],
    many: Mapping[str, Float[np.ndarray, "k"]],
) -> dict[str, Float[np.ndarray, "p"]]:
    """Draws of the two fits side by side, those of `many` permuted so that resamples of
    the same index are not paired."""
    count = min(len(single["B"]), len(many["B_rep"]))
    order = np.random.default_rng(0).permutation(count)
    first = {name: single[name][:count] for name in ("B", "beta")}
    return first | {k: many[k][:count][order] for k in ("B_rep", "beta_rep")}
