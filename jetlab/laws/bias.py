"""How far the minima of approach 2 lead from a law that is known.

A valley of L_inf + A/N^alpha + B/D^beta along constant compute is steeper on the side
of the larger exponent. A parabola has no such side: its minimum is off without any
noise, the more the wider the sizes reach (arXiv:2603.22339), and where their centre
strays from the optimum with compute, so is the exponent.

Measured with the law of arXiv:2602.15781, Table 1 (alpha = 2 beta), seven sizes at each
of five budgets over four decades: a_N found less a_N true (1/3), in brackets the mean
of log N* found less true; then a_N with 1 % scatter, 50 experiments, mean and standard
deviation. "3 to 1/3" are centres at the first and last budget over the optimum.

    reach, centre    parabola       cubic          parabola, 1 %    cubic, 1 %
    3                 .000 (+.03)    .000 (.00)    -.001 +- .013    +.001 +- .038
    8                 .000 (+.12)    .000 (.00)    -.001 +- .007     .000 +- .019
    30               +.001 (+.29)   -.002 (+.02)   +.001 +- .004    -.001 +- .011
    8, 3 to 3        +.001 (-.01)   +.001 (.00)    +.004 +- .015    +.004 +- .012
    8, 3 to 1/3      -.001 (+.06)   +.001 (.00)    -.003 +- .012    +.002 +- .016
    8, 1/3 to 3      +.008 (+.06)   -.003 (+.01)   +.008 +- .014    -.003 +- .019
    30, 3 to 1/3     -.008 (+.24)   +.005 (+.02)   -.009 +- .006    +.006 +- .008
    30, 1/3 to 3     +.014 (+.24)   -.012 (+.05)   +.013 +- .007    -.013 +- .010

So a parabola buys networks 12 % too large at a reach of 8 and a third too large at 30,
where a cubic is within 2 %; its exponent is mostly right if the centre follows the
optimum. Centred, the cubic scatters up to three times as much. A parabola of L, not
log L, has the exponent off by +.026 where that of log L has +.008 (8, 1/3 to 3).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log

import numpy as np

from jetlab.laws import forms
from jetlab.laws.isoflop import Valley, isoflop


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """An iso-FLOP experiment: at each budget `sizes` networks, spread evenly in log N
    from 1/`reach` to `reach` times a centre. The centre is `offset` times the optimum
    at the first budget and `offset` times `drift` at the last; L scatters by `scatter`
    (relative, normal)."""

    budgets: Sequence[float]
    sizes: int = 7
    reach: float = 8.0
    offset: float = 1.0
    drift: float = 1.0
    scatter: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Bias:
    """a_N found less a_N true: mean and standard deviation over experiments; the mean
    of log N* found less log N* true; and the share of groups that gave no minimum."""

    mean: float
    spread: float
    shift: float
    refused: float


def exponent_bias(
    params: Mapping[str, float],
    sampling: Sampling,
    valley: Valley,
    *,
    experiments: int = 1,
    seed: int = 0,
) -> Bias:
    """Approach 2 on synthetic experiments of the additive law with `params`.

    The truth is a_N = beta / (alpha + beta) (arXiv:2203.15556, Eq. 4). Experiments in
    which fewer than two groups have a minimum count as refused and give no exponent.
    """
    rng = np.random.default_rng(seed)
    found, shifts, lost = [], [], 0
    for _ in range(experiments):
        rows = experiment(params, sampling, rng)
        try:
            through = isoflop(rows, group="budget", particles=1, valley=valley)
        except ValueError:
            lost += len(sampling.budgets)
            continue
        found.append(through.trajectory.size.exponent)
        best = through.trajectory
        shifts.append(np.mean(np.log(best.N / _optimum(params, best.C))))
        lost += len(sampling.budgets) - len(through.minima)
    misses = np.array(found) - params["beta"] / (params["alpha"] + params["beta"])
    return Bias(
        mean=float(misses.mean()) if found else np.nan,
        spread=float(misses.std()) if found else np.nan,
        shift=float(np.mean(shifts)) if found else np.nan,
        refused=lost / len(sampling.budgets) / experiments,
    )


def experiment(
    params: Mapping[str, float], sampling: Sampling, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Columns N, D, L and budget (its number) of one experiment, C = 6 N D."""
    budgets = np.asarray(sampling.budgets, float)
    steps = np.linspace(-log(sampling.reach), log(sampling.reach), sampling.sizes)
    drift = np.linspace(0, log(sampling.drift), len(budgets))
    centre = np.log(_optimum(params, budgets) * sampling.offset) + drift
    sizes = np.exp(centre[:, None] + steps)
    data = budgets[:, None] / (6 * sizes)
    rows = {"N": sizes.ravel(), "D": data.ravel()}
    noise = np.exp(sampling.scatter * rng.normal(size=sizes.size))
    number = np.repeat(np.arange(len(budgets)), sampling.sizes)
    loss = forms.additive.predict(params, rows) * noise
    return rows | {"L": loss, "budget": number.astype(float)}


def _optimum(params: Mapping[str, float], budgets: np.ndarray) -> np.ndarray:
    """arXiv:2203.15556, Eq. 4."""
    alpha, beta = params["alpha"], params["beta"]
    scale = (alpha * params["A"] / (beta * params["B"])) ** (1 / (alpha + beta))
    return scale * (budgets / 6) ** (beta / (alpha + beta))
