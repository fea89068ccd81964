"""Can these rows tell? What a table cannot decide about a law, in words.

Two questions: are some parameters without effect, or with effects that the rows cannot
tell apart whatever their noise (the Jacobian's condition number)? And is a parameter
uncertain, at the scatter seen, by as much as itself?
"""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Array, Float

from jetlab.laws.information import covariance_of, near
from jetlab.laws.newton import Problem
from jetlab.laws.parameterization import Space

NEGLIGIBLE = 1e-4  # a share of the loss, or of a bound's width, that counts as none
CONDITION = 500.0  # grids have 10 to 100, D = 20 N on every row 1e3 to 1e7
PARALLEL = 0.02  # scatter of log D at given N below which one follows the other


def span(logs: Mapping[str, Array]) -> dict[str, tuple[float, float]]:
    """Range of each column, and of the product "ND" where there are both."""
    columns = {name: np.asarray(column) for name, column in logs.items()}
    if {"N", "D"} <= columns.keys():
        columns["ND"] = columns["N"] + columns["D"]
    return {
        name: (_exp(column.min()), _exp(column.max()))
        for name, column in columns.items()
    }


def _exp(log: float) -> float:
    """exp(log), the largest number there is in place of infinity."""
    return float(np.exp(min(log, np.log(np.finfo(float).max))))


def lacking(problem: Problem) -> str | None:
    """What is missing for a fit to mean anything; None if nothing is."""
    space, rows, _ = problem
    free = [parameter.name for parameter in space.free]
    count = rows.count
    points = np.stack([np.asarray(c)[:count] for c in rows.logs.values()], axis=1)
    different = len(np.unique(points, axis=0))
    if different <= len(free):
        at = "" if different == count else f" at {different} different points"
        asked = f"{len(free)} parameters ({', '.join(free)})"
        return "; ".join(
            [f"{count} rows{at} cannot decide {asked}", *_parallel(problem)]
        )
    loss = np.asarray(rows.log_loss)[:count]
    if np.ptp(loss) < 1e-12:
        return f"L is {np.exp(loss[0]):.6g} on every row: there is nothing to fit"
    floor = space.fixed.get("L_inf", 0.0)
    under = int(np.sum(np.exp(loss) <= floor))
    if under > count / 2:
        return f"L_inf is fixed at {floor:g}, above the loss of {under} of {count} rows"
    for name, column in rows.logs.items():
        exponents = _exponents(space, name) & set(free)
        if exponents and np.ptp(np.asarray(column)) < 1e-9:
            return (
                f"{name} is {np.exp(column[0]):.6g} on every row, which leaves"
                f" {', '.join(sorted(exponents))} open; vary {name} or take a form"
                " without it"
            )
    return None


def _exponents(space: Space, column: str) -> set[str]:
    """Exponents of a column, as the units of the form tell them."""
    return {
        power.removeprefix("-")
        for parameter in space.form.parameters
        for name, power in parameter.unit
        if name == column and isinstance(power, str)
    }


def doubts(problem: Problem, z: Float[np.ndarray, "k"]) -> list[str]:
    """Why the rows do not decide the parameters at the optimum z; empty if they do."""
    found = [*_parallel(problem), *_at_edges(problem.space, z).values()]
    if problem.rows.count == len(problem.space.free) + 1:
        found.append(
            f"{problem.rows.count} rows cannot tell how far they scatter about"
            f" {len(problem.space.free)} parameters: bring more"
        )
    number, mixed = condition(problem, z)
    if number == np.inf:
        return [*found, *(f"{name} changes the loss at no row" for name in mixed)]
    if number > CONDITION:
        found.append(
            f"the rows cannot separate {', '.join(mixed)} (condition number"
            f" {number:.1g}): fix one of them, or bring more and wider values of N"
            " and D"
        )
        return found
    return [*found, *_uncertain(problem, z)]


def condition(
    problem: Problem, z: Float[np.ndarray, "k"]
) -> tuple[float, tuple[str, ...]]:
    """How unequally well the rows know combinations of parameters at z, 1 being
    equally, and the names in the combination that they know least: the condition number
    of the effects on log L, each scaled to one. Infinite, with the names of those that
    have none, where some have no effect."""
    inner = _inner(problem.space, z)
    effects = near(problem, z).effects[:, inner]
    names = [problem.space.free[i].name for i in inner]
    size = np.linalg.norm(effects, axis=0)
    idle = size <= NEGLIGIBLE * size.max(initial=0)
    if idle.any() or not inner:
        return np.inf, tuple(
            name for name, none in zip(names, idle, strict=True) if none
        )
    _, sizes, axes = np.linalg.svd(effects / size, full_matrices=False)
    mixed = tuple(n for n, part in zip(names, axes[-1], strict=True) if abs(part) > 0.2)
    return float(sizes[0] / max(sizes[-1], 1e-16)), mixed


def _inner(space: Space, z: Float[np.ndarray, "k"]) -> list[int]:
    """The free parameters that do not run to a bound or to zero."""
    edges = _at_edges(space, z)
    return [i for i, p in enumerate(space.free) if p.name not in edges]


def _parallel(problem: Problem) -> list[str]:
    """D a power of N on every row, which leaves the two terms one variable."""
    rows = problem.rows
    logs = {name: np.asarray(c)[: rows.count] for name, c in rows.logs.items()}
    free = {parameter.name for parameter in problem.space.free}
    ruled = [_exponents(problem.space, name) & free for name in ("N", "D")]
    if not all(ruled):
        return []
    if np.ptp(logs["N"]) == 0:
        return []
    power, offset = np.polyfit(logs["N"], logs["D"], 1)
    if np.std(logs["D"] - power * logs["N"] - offset) > PARALLEL:
        return []
    ratio = np.exp(np.mean(logs["D"] - logs["N"]))
    law = f"{ratio:.3g} N" if abs(power - 1) < 0.01 else f"N^{power:.3g} times a number"
    return [
        f"D is {law} on every row, so N and D cannot be told apart; vary D at one N"
    ]


def _at_edges(space: Space, z: Float[np.ndarray, "k"]) -> dict[str, str]:
    """Parameters that run to a bound or to zero, each with its words."""
    found = {}
    for parameter, coordinate in zip(space.free, z, strict=True):
        name = parameter.name
        if name in space.bounds:
            share = 1 / (1 + np.exp(-coordinate))
            if not NEGLIGIBLE < share < 1 - NEGLIGIBLE:
                edge = space.bounds[name][int(share > 0.5)]
                found[name] = f"{name} runs to its bound {edge:g}"
        elif parameter.positive and coordinate < np.log(NEGLIGIBLE):
            found[name] = f"{name} runs to zero, the rows show none of it: fix it"
    return found


def _uncertain(problem: Problem, z: Float[np.ndarray, "k"]) -> list[str]:
    """Parameters that are within two standard errors of zero, a scale's error being
    that of its term at the centre of the rows."""
    free = problem.space.free
    here, inner = near(problem, z), _inner(problem.space, z)
    shape = covariance_of(problem, here.left, here.effects[:, inner])
    errors = np.sqrt(np.diag(shape))
    found = []
    for i, error in zip(inner, errors, strict=True):
        size = 1.0 if free[i].positive else here.theta[i]
        if size < 2 * error * abs(here.slopes[i, i]):
            found.append(free[i].name)
    if not found:
        return []
    return [
        f"at this scatter {', '.join(found)} cannot be told from zero (within two"
        " standard errors): fix it, or bring more rows"
    ]
