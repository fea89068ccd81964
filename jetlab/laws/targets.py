"""What to make surer, and the runs that could: for `jetlab.laws.design`."""

from dataclasses import replace

import numpy as np
from jaxtyping import Float

from jetlab.laws.allocation import allocate
from jetlab.laws.budgets import require
from jetlab.laws.design import Target
from jetlab.laws.result import FitResult


def target(fit: FitResult, name: str, particles: float) -> Target:
    """A parameter, "a" (the exponent of N* in C, beta / (alpha + beta)), or "loss@C",
    the least loss for C FLOPs.

    Raises:
      ValueError: for anything else.
    """
    if name in fit.params and name not in fit.fixed:
        return lambda params: params[name]
    if name == "a" and {"alpha", "beta"} <= fit.params.keys():
        return lambda params: params["beta"] / (params["alpha"] + params["beta"])
    if name.startswith("loss@"):
        try:
            budget = float(name.removeprefix("loss@"))
        except ValueError:
            raise ValueError(
                f"target {name!r}: write loss@FLOPS with a number, loss@1e18"
            ) from None
        bare = replace(fit, draws=None)
        return lambda params: (
            allocate(
                replace(bare, params=dict(params)), budget, particles=particles
            ).loss
        )
    known = [n for n in fit.params if n not in fit.fixed]
    if {"alpha", "beta"} <= fit.params.keys():
        known += ["a", "loss@FLOPS"]
    raise ValueError(f"no target {name!r}: choose from {', '.join(known)}")


def candidates(
    fit: FitResult, budget: float, particles: float
) -> tuple[dict[str, Float[np.ndarray, "c"]], Float[np.ndarray, "c"]]:
    """Runs at half-decades of N and D, from the least fitted to ten times the largest,
    that `budget` affords, and what each costs in FLOPs: 6 n_p N D.

    Raises:
      ValueError: where it affords none, or the form does not read N and D.
    """
    if not {"N", "D"} <= fit.span.keys():
        raise ValueError(f"{fit.form.name} has no N and D to choose runs by")
    require(budget=budget, particles=particles)
    axes = []
    for name in ("N", "D"):
        low, high = fit.span[name]
        count = int(np.ceil(2 * np.log10(10 * high / low))) + 1
        axes.append(np.geomspace(low, 10 * high, count))
    n, d = (axis.ravel() for axis in np.meshgrid(*axes))
    costs = 6 * particles * n * d
    there = costs <= budget
    if not there.any():
        raise ValueError(
            f"{budget:.3g} FLOPs do not pay for one run of the least N and D fitted"
            f" ({costs.min():.3g})"
        )
    return {"N": n[there], "D": d[there]}, costs[there]
