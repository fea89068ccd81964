"""Which parameters do these rows determine? Checks before and after a fit.

Two kinds: parameters without effect, or whose effects the rows cannot separate
whatever the noise (the condition number of the Jacobian); and parameters that are
uncertain, at the scatter seen, by as much as themselves.
"""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Array, Float

from jetlab.laws.fitting.information import linearise
from jetlab.laws.fitting.objective import Problem
from jetlab.laws.fitting.parameterization import Space
from jetlab.laws.terms import exponent_name

NEGLIGIBLE = 1e-4  # a share of the loss, or of a bound's width, that counts as none
CONDITION = 500.0  # grids have 10 to 100, D = 20 N on every row 1e3 to 1e7
PARALLEL = 0.02  # scatter of log D at given N below which D is a power of N


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
    """exp(log), the largest float in place of infinity."""
    return float(np.exp(min(log, np.log(np.finfo(float).max))))


def underdetermined(problem: Problem) -> str | None:
    """Why no fit of these rows has a meaning; None if one has."""
    space, rows, _ = problem
    free = [parameter.name for parameter in space.free]
    count = rows.count
    points = np.stack([np.asarray(c)[:count] for c in rows.logs.values()], axis=1)
    different = len(np.unique(points, axis=0))
    if different <= len(free):
        at = "" if different == count else f" at {different} different points"
        words = (
            f"{count} rows{at} do not determine {len(free)} parameters"
            f" ({', '.join(free)}): add rows at {len(free) + 1 - different} more"
            " points, or fix parameters"
        )
        return "; ".join([words, *_parallel(problem)])
    loss = np.asarray(rows.log_loss)[:count]
    if np.ptp(loss) < 1e-12:
        return f"L is {np.exp(loss[0]):.6g} on every row: add rows of another loss"
    floor = space.fixed.get("L_inf", 0.0)
    under = int(np.sum(np.exp(loss) <= floor))
    if under > count / 2:
        return (
            f"L_inf is fixed at {floor:g}, above the loss of {under} of {count} rows:"
            " fix it lower"
        )
    return _constant(problem)


def _constant(problem: Problem) -> str | None:
    """A column of one value whose exponent is free."""
    free = {parameter.name for parameter in problem.space.free}
    for name, column in problem.rows.logs.items():
        exponents = _exponents(problem.space, name) & free
        if exponents and np.ptp(np.asarray(column)) < 1e-9:
            return (
                f"{name} is {np.exp(column[0]):.6g} on every row, which leaves"
                f" {', '.join(sorted(exponents))} undetermined: add rows of another"
                f" {name}, or take a form without it"
            )
    return None


def _exponents(space: Space, column: str) -> set[str]:
    """Exponents of a column, from the units of the form's parameters."""
    return {
        exponent_name(power)
        for parameter in space.form.parameters
        for name, power in parameter.unit
        if name == column and isinstance(power, str)
    }


def not_separated(problem: Problem, z: Float[np.ndarray, "k"]) -> dict[str, str]:
    """Parameters that the rows cannot separate at the optimum z, that change the loss
    at no row, or that run to a bound or to zero, each with why."""
    edges = at_edges(problem.space, z)
    floors = {p.name for p in problem.space.free if p.unit == (("L", 1.0),)}
    found = {n: why for n, why in edges.items() if n not in floors or "bound" in why}
    for parameter in problem.space.free:  # an exponent goes with its scale
        if parameter.name in found and parameter.positive:
            exponents = [p for _, p in parameter.unit if isinstance(p, str)]
            found |= {
                exponent_name(e): found[parameter.name]
                for e in exponents
                if exponent_name(e) not in problem.space.fixed
            }
    if parallel := _parallel(problem):
        columns = [_exponents(problem.space, name) for name in ("N", "D")]
        names = {p.name for p in problem.space.free}
        scales = {
            p.name
            for p in problem.space.free
            if {e for _, e in p.unit if isinstance(e, str)} & set.union(*columns)
        }
        found |= dict.fromkeys(
            sorted((set.union(*columns) | scales) & names), parallel[0]
        )
    number, mixed = condition(problem, z)
    if number == np.inf:
        return found | {
            name: f"{name} changes the loss at no row: fix {name}" for name in mixed
        }
    if number > CONDITION:
        why = (
            f"the rows cannot separate {', '.join(mixed)} (condition number"
            f" {number:.1g}, {CONDITION:g} allowed): fix one of them, or add rows at"
            f" other {' and '.join(problem.space.form.columns)}"
        )
        return dict.fromkeys(mixed, why) | found
    return found


def condition(
    problem: Problem, z: Float[np.ndarray, "k"]
) -> tuple[float, tuple[str, ...]]:
    """Condition number of the Jacobian of log L at z, each column scaled to norm 1, and
    the parameters in the combination that is determined worst.

    1 is ideal. Infinite, with the names of the parameters without effect, if there are
    such; parameters that run to a bound or to zero do not count.
    """
    inner = _inner(problem.space, z)
    jacobian = linearise(problem, z).jacobian[:, inner]
    names = [problem.space.free[i].name for i in inner]
    size = np.linalg.norm(jacobian, axis=0)
    without = size <= NEGLIGIBLE * size.max(initial=0)
    if without.any() or not inner:
        return np.inf, tuple(
            name for name, none in zip(names, without, strict=True) if none
        )
    _, sizes, axes = np.linalg.svd(jacobian / size, full_matrices=False)
    mixed = tuple(n for n, part in zip(names, axes[-1], strict=True) if abs(part) > 0.2)
    return float(sizes[0] / max(sizes[-1], 1e-16)), mixed


def _inner(space: Space, z: Float[np.ndarray, "k"]) -> list[int]:
    """The free parameters that do not run to a bound or to zero."""
    edges = at_edges(space, z)
    return [i for i, p in enumerate(space.free) if p.name not in edges]


def _parallel(problem: Problem) -> list[str]:
    """D a power of N on every row, which makes the two terms one."""
    rows = problem.rows
    logs = {name: np.asarray(c)[: rows.count] for name, c in rows.logs.items()}
    free = {parameter.name for parameter in problem.space.free}
    ruled = [_exponents(problem.space, name) & free for name in ("N", "D")]
    if not all(ruled) or np.ptp(logs["N"]) == 0:
        return []
    power, offset = np.polyfit(logs["N"], logs["D"], 1)
    if np.std(logs["D"] - power * logs["N"] - offset) > PARALLEL:
        return []
    ratio = np.exp(np.mean(logs["D"] - logs["N"]))
    law = (
        f"{ratio:.3g} N" if abs(power - 1) < 0.01 else f"a constant times N^{power:.3g}"
    )
    return [
        f"D is {law} on every row, so the terms of N and D cannot be separated: add"
        " rows of another D at one N"
    ]


def at_edges(space: Space, z: Float[np.ndarray, "k"]) -> dict[str, str]:
    """Parameters that run to a bound or to zero, each with a sentence."""
    found = {}
    for parameter, coordinate in zip(space.free, z, strict=True):
        name = parameter.name
        if name in space.bounds:
            share = 1 / (1 + np.exp(-coordinate))
            if not NEGLIGIBLE < share < 1 - NEGLIGIBLE:
                edge = space.bounds[name][int(share > 0.5)]
                found[name] = (
                    f"{name} runs to its bound {edge:g}: widen the bound, or fix {name}"
                )
        elif parameter.positive and coordinate < np.log(NEGLIGIBLE):
            found[name] = (
                f"{name} runs to zero (its term is below {NEGLIGIBLE:g} of the loss at"
                f" the centre of the rows): fix {name}, or add rows where it matters"
            )
    return found
