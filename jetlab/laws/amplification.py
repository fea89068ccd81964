"""What repetition is worth, measured: the amplification omega of two fits."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from jetlab.laws.budgets import require
from jetlab.laws.result import FitResult, percentiles


class Amplification(NamedTuple):
    """D examples repeated until the loss rises are worth `omega` D seen once;
    `interval` holds 68 % of the draws, None without draws in both fits or a floor that
    they share."""

    omega: float
    interval: tuple[float, float] | None


def amplification(single: FitResult, many: FitResult, examples: float) -> Amplification:
    """omega of a data set of so many examples (arXiv:2602.15781, Eq. 5),

        omega = (B / B_rep)^(1/beta) D^(beta_rep/beta - 1),

    from a fit of runs of one pass (`single`, a form with B and beta) and one of runs
    repeated until the loss rises (`many`, the form `repeated`). The fits are taken as
    independent. Eq. 5 sets their L_inf equal: fix one to the other's before comparing.
    Where that of `single` was fitted there is no interval: its draws of B come with
    floors of their own, and those of B_rep with one. Raises ValueError for other forms
    or a number of examples that is not positive.
    """
    for fit, needed in ((single, ("B", "beta")), (many, ("B_rep", "beta_rep"))):
        if not set(needed) <= set(fit.form.names):
            raise ValueError(f"{fit.form.name} has no {' and '.join(needed)}")
    require(examples=examples)
    both = {name: np.array([v]) for name, v in (single.params | many.params).items()}
    value = float(_omega(both, examples)[0])
    drawn = [law.draws.values if law.draws else {} for law in (single, many)]
    if not (all(drawn) and "L_inf" in single.fixed):
        return Amplification(value, None)
    low, high = percentiles(_omega(_paired(single, many), examples))
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


def _paired(single: FitResult, many: FitResult) -> dict[str, Float[np.ndarray, "m"]]:
    """Draws of the two fits side by side, in an order that links none of one to the
    rows drawn for the other."""
    assert single.draws
    assert many.draws
    ours, theirs = single.draws.values, many.draws.values
    count = min(len(ours["B"]), len(theirs["B_rep"]))
    order = np.random.default_rng(0).permutation(count)
    first = {name: ours[name][:count] for name in ("B", "beta")}
    return first | {k: theirs[k][:count][order] for k in ("B_rep", "beta_rep")}
