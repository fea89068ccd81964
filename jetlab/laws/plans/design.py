"""Optimal experimental design: the runs that reduce the error of a number most.

A run at (N, D) adds x x^T to the Fisher information M of the rows, x being the gradient
of log L there. The variance of a number with gradient g is g^T M^-1 g, and one more run
lowers it by (g^T M^-1 x)^2 / (1 + x^T M^-1 x): c-optimal design (Pukelsheim, Optimal
Design of Experiments, 1993, Chapter 2) for equal scatter of all runs. The gradients
depend on the parameters, so reductions are averaged over draws of the fit.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from jetlab.laws.fitting.objective import Problem, residuals
from jetlab.laws.plans.allocation import allocate
from jetlab.laws.plans.budget import flops_per_parameter, require_positive
from jetlab.laws.result import FitResult
from jetlab.records import Table

DRAWS = 50  # parameter sets averaged over
MAX_RUNS = 200  # suggested; more are a new grid
STEP = 1e-4  # of a coordinate, for the gradient of a target
NO_GAIN = 0.95  # error after the runs over before, above which they gain nothing
PRIOR = 1e-4  # information on each coordinate before any row: 100 times the scatter

Target = Callable[[Mapping[str, float]], float]
"""A number as a function of the parameters."""


@dataclass(frozen=True, kw_only=True)
class Suggestion:
    """Runs to add, the most useful first: `N` and `D` of each, `cost` of all in FLOPs.

    `gain` is the expected error of the target after them over the error before.
    """

    N: list[float]
    D: list[float]
    cost: float
    gain: float
    warnings: tuple[str, ...]

    @property
    def message(self) -> str:
        """Expected error and warnings in one line."""
        reduced = (
            f"the error is expected to fall to {self.gain:.2g} of its present value"
        )
        return "; ".join([reduced, *self.warnings])

    def to_json(self) -> str:
        """One JSON object with the fields and `message` as keys."""
        return json.dumps(asdict(self) | {"message": self.message}, allow_nan=False)


def suggest(
    law: FitResult,
    flops: float,
    *,
    target: str = "L_inf",
    particles: float | None = None,
) -> Suggestion:
    """The runs that determine `target` best for `flops` FLOPs in all.

    Args:
      target: a parameter, a derived exponent ("a", "a_D", "gamma") or "loss@FLOPS", the
        lowest loss for a budget.
      particles: n_p of a run's cost, 6 n_p N D; that of the fit by default.

    Raises:
      ValueError: for another target, a form without N and D, a fit without parameters,
        a budget below the cost of the cheapest run, or one that gains nothing.

    >>> suggest(law, flops=1e16, target="a")
    """
    particles = law.particles if particles is None else particles
    wanted = target_function(law, target, particles)
    runs, costs = candidates(law, flops, particles)
    found = select_runs(law, runs, costs, flops, wanted)
    if found.gain > NO_GAIN:
        raise ValueError(
            f"no runs for {flops:.3g} FLOPs lower the error of {target} to less than"
            f" {found.gain:.2g} of its value: give a larger budget, or another target"
        )
    return found


def target_function(law: FitResult, name: str, particles: float) -> Target:
    """The number that a target names. Raises ValueError for an unknown one."""
    bare = replace(law, draws=None)
    if name in law.params and name not in law.fixed:
        return lambda params: params[name]
    if name in law.derived:
        return lambda params: replace(bare, params=dict(params)).derived[name]
    if name.startswith("loss@"):
        try:
            flops = float(name.removeprefix("loss@"))
        except ValueError:
            raise ValueError(
                f"target {name!r}: write loss@FLOPS with a number, loss@1e18"
            ) from None
        return lambda params: (
            (
                allocate(replace(bare, params=dict(params)), flops, particles=particles)
            ).loss
        )
    known = [n for n in law.params if n not in law.fixed]
    known += [*law.derived, "loss@FLOPS"] if law.derived else []
    raise ValueError(f"no target {name!r}: choose from {', '.join(known)}")


def candidates(
    law: FitResult, flops: float, particles: float
) -> tuple[dict[str, Float[np.ndarray, "c"]], Float[np.ndarray, "c"]]:
    """Runs at half-decades of N and D, from the smallest fitted to ten times the
    largest, that `flops` affords, and the cost of each in FLOPs: 6 n_p N D.

    Raises:
      ValueError: where it affords none, or the form does not read N and D.
    """
    if not {"N", "D"} <= law.span.keys():
        raise ValueError(f"{law.form.name} has no N and D to choose runs by")
    require_positive(budget=flops, particles=particles)
    axes = []
    for name in ("N", "D"):
        low, high = law.span[name]
        count = int(np.ceil(2 * np.log10(10 * high / low))) + 1
        axes.append(np.geomspace(low, 10 * high, count))
    n, d = (axis.ravel() for axis in np.meshgrid(*axes))
    costs = flops_per_parameter(particles) * n * d
    affordable = costs <= flops
    if not affordable.any():
        raise ValueError(
            f"{flops:.3g} FLOPs do not pay for one run of the smallest N and D fitted"
            f" ({costs.min():.3g})"
        )
    return {"N": n[affordable], "D": d[affordable]}, costs[affordable]


def select_runs(
    law: FitResult,
    candidates: Mapping[str, np.ndarray],
    costs: Float[np.ndarray, "c"],
    flops: float,
    target: Target,
) -> Suggestion:
    """The candidates that determine `target` best for `flops` FLOPs; one may be chosen
    several times, for runs that differ in seed.

    Greedy selection by reduction per FLOP and by reduction alone; the better of the two
    is kept, as either can be far from the best.

    Args:
      candidates: columns of the form, one entry a run.
      costs: FLOPs of each.

    Raises:
      ValueError: for a fit without parameters, or where no candidate is affordable.
    """
    if not np.isfinite(law.objective):
        raise ValueError(f"there is no fit to improve on: {law.message}")
    if not (costs <= flops).any():
        raise ValueError(
            f"no candidate is affordable: the cheapest takes {costs.min():.3g} FLOPs "
            f"of a budget of {flops:.3g}"
        )
    with jax.enable_x64(True):
        local = _linearise(law, candidates, target)
    selections = [
        _greedy(local, costs, flops, per_flop=per_flop) for per_flop in (True, False)
    ]
    chosen, gain = min(selections, key=lambda selection: selection[1])
    return Suggestion(
        N=np.asarray(candidates["N"], float)[chosen].tolist(),
        D=np.asarray(candidates["D"], float)[chosen].tolist(),
        cost=float(costs[chosen].sum()),
        gain=gain,
        warnings=_warnings(law, candidates, chosen),
    )


@dataclass(frozen=True)
class _Linearised:
    """The problem about each of m parameter sets, in k coordinates: inverse information
    of the rows, gradient of the target, gradients of log L at the c candidates."""

    inverse: Float[np.ndarray, "m k k"]
    target: Float[np.ndarray, "m k"]
    points: Float[np.ndarray, "m c k"]


def _linearise(
    law: FitResult, candidates: Mapping[str, np.ndarray], target: Target
) -> _Linearised:
    table = Table(law.points, L=law.predict(law.points))
    problem = replace(law, weight=None, table=table).problem
    columns = law.form.columns
    logs = {n: jnp.log(jnp.asarray(candidates[n], float)) for n in columns}
    wanted = problem.rows._replace(logs=logs, log_loss=jnp.zeros(len(logs["N"])))
    sets = [problem.space.coordinates(params) for params in _parameter_sets(law)]
    jacobian = jax.vmap(jax.jacfwd(residuals), in_axes=(0, None))
    z = jnp.asarray(np.array(sets))
    rows = np.asarray(jacobian(z, problem))[:, : problem.rows.count]
    information = np.einsum("mni,mnj->mij", rows, rows)
    information += PRIOR * np.eye(z.shape[1])  # invertible without any row
    return _Linearised(
        np.linalg.inv(information),
        _gradients(problem, np.array(sets), target),
        np.asarray(jacobian(z, problem._replace(rows=wanted))),
    )


def _parameter_sets(law: FitResult) -> list[dict[str, float]]:
    """The parameters of the fit and of the first of its draws."""
    draws = law.draws.values if law.draws else {}
    columns = {k: [v, *draws.get(k, [])[:DRAWS]] for k, v in law.params.items()}
    shortest = min(len(column) for column in columns.values())
    return [{k: float(v[i]) for k, v in columns.items()} for i in range(shortest)]


def _gradients(
    problem: Problem, z: Float[np.ndarray, "m k"], target: Target
) -> Float[np.ndarray, "m k"]:
    """Of the target in the coordinates, by central differences at each of m points."""
    m, k = z.shape
    steps = STEP * np.concatenate([np.eye(k), -np.eye(k)])
    params = problem.space.many_params((z[:, None] + steps).reshape(-1, k))
    values = [
        target({name: float(column[i]) for name, column in params.items()})
        for i in range(2 * k * m)
    ]
    up, down = np.array(values).reshape(m, 2, k).swapaxes(0, 1)
    return (up - down) / (2 * STEP)


def _greedy(
    local: _Linearised, costs: Float[np.ndarray, "c"], flops: float, *, per_flop: bool
) -> tuple[Int[np.ndarray, "r"], float]:
    """Indices chosen one by one while a candidate is affordable, and the error of the
    target after them over before."""
    inverse, left, chosen = local.inverse.copy(), flops, []
    before = np.einsum("mi,mij,mj->m", local.target, inverse, local.target)
    weight = costs if per_flop else np.ones_like(costs)
    while (affordable := costs <= left).any():
        moved = np.einsum("mij,mcj->mci", inverse, local.points)
        scale = 1 + np.einsum("mci,mci->mc", moved, local.points)
        reduction = np.einsum("mci,mi->mc", moved, local.target) ** 2 / scale
        share = np.mean(reduction / before[:, None], axis=0) / weight
        best = int(np.argmax(np.where(affordable, share, -np.inf)))
        step = moved[:, best]  # Sherman-Morrison
        inverse -= step[:, :, None] * step[:, None] / scale[:, best, None, None]
        chosen.append(best)
        left -= costs[best]
        if len(chosen) == MAX_RUNS:
            break
    after = np.einsum("mi,mij,mj->m", local.target, inverse, local.target)
    return np.array(chosen), float(np.sqrt(np.mean(after / before)))


def _warnings(
    law: FitResult,
    candidates: Mapping[str, np.ndarray],
    chosen: Int[np.ndarray, "r"],
) -> tuple[str, ...]:
    warnings = []
    outside = [
        f"{name} to {factor:.2g} times the largest fitted"
        for name in ("N", "D")
        if (factor := np.max(candidates[name][chosen]) / law.span[name][1]) > 1
    ]
    if outside:
        warnings.append(f"extrapolation: {', '.join(outside)}; run the smallest first")
    if not law.reliable:
        warnings.append(
            f"the present fit is {law.summary}: fit again after some of the runs and"
            " ask anew"
        )
    return tuple(warnings)
