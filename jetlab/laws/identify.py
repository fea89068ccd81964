"""Can these rows tell? What a table cannot decide about a law, in words.

Two questions: are some parameters without effect, or with effects that the rows cannot
tell apart whatever their noise (the Jacobian's condition number)? And is a parameter
uncertain, at the scatter seen, by as much as itself?
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jetlab.laws.huber import Problem, residuals
from jetlab.laws.space import Space

NEGLIGIBLE = 1e-4  # a share of the loss, or of a bound's width, that counts as none
CONDITION = 500.0  # grids have 10 to 100, D = 20 N on every row 1e3 to 1e7
PARALLEL = 0.02  # scatter of log D at given N below which one follows the other


def span(logs: Mapping[str, Array]) -> dict[str, tuple[float, float]]:
    """Range of each column, and of the product "ND" where there are both."""
    columns = {name: np.asarray(column) for name, column in logs.items()}
    if {"N", "D"} <= columns.keys():
        columns["ND"] = columns["N"] + columns["D"]
    return {
        name: (float(np.exp(column.min())), float(np.exp(column.max())))
        for name, column in columns.items()
    }


def lacking(problem: Problem) -> str | None:
    """What is missing for a fit to mean anything; None if nothing is."""
    space, rows, _ = problem
    free = [parameter.name for parameter in space.free]
    count = rows.count
    if count <= len(free):
        return f"{count} rows cannot decide {len(free)} parameters ({', '.join(free)})"
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
        power
        for parameter in space.form.parameters
        for name, power in parameter.unit
        if name == column and isinstance(power, str)
    }


def doubts(problem: Problem, z: Float[np.ndarray, "k"]) -> list[str]:
    """Why the rows do not decide the parameters at the optimum z; empty if they do."""
    edges = _at_edges(problem.space, z)
    inner = [i for i, p in enumerate(problem.space.free) if p.name not in edges]
    names = [problem.space.free[i].name for i in inner]
    jacobian = np.asarray(jax.jacfwd(residuals)(jnp.asarray(z), problem))
    jacobian = jacobian[: problem.rows.count, inner]
    effect = np.linalg.norm(jacobian, axis=0)
    idle = effect <= NEGLIGIBLE * effect.max(initial=0)
    found = [*_parallel(problem), *edges.values()]
    if idle.any() or not names:
        still = [name for name, none in zip(names, idle, strict=True) if none]
        return [*found, *(f"{name} changes the loss at no row" for name in still)]
    weak = _inseparable(jacobian / effect, names)
    return [*found, *(weak or _uncertain(problem, z, jacobian, inner))]


def _parallel(problem: Problem) -> list[str]:
    """D a power of N on every row, which leaves the two terms one variable."""
    rows = problem.rows
    logs = {name: np.asarray(c)[: rows.count] for name, c in rows.logs.items()}
    free = {parameter.name for parameter in problem.space.free}
    ruled = [_exponents(problem.space, name) & free for name in ("N", "D")]
    if not all(ruled):
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


def _inseparable(directions: Float[np.ndarray, "n j"], names: list[str]) -> list[str]:
    """Parameters whose effects on the rows all but cancel, from unit effects."""
    _, sizes, axes = np.linalg.svd(directions, full_matrices=False)
    if sizes[0] <= CONDITION * sizes[-1]:
        return []
    mixed = [n for n, part in zip(names, axes[-1], strict=True) if abs(part) > 0.2]
    return [
        f"the rows cannot separate {', '.join(mixed)} (condition number"
        f" {sizes[0] / max(sizes[-1], 1e-16):.1g}): fix one of them, or bring more and"
        " wider values of N and D"
    ]


def _uncertain(
    problem: Problem,
    z: Float[np.ndarray, "k"],
    jacobian: Float[np.ndarray, "n j"],
    inner: list[int],
) -> list[str]:
    """Parameters that are within two standard errors of zero, a scale's error being
    that of its term at the centre of the rows."""
    space = problem.space
    errors = np.sqrt(np.diag(_covariance(problem, z, jacobian)))
    theta = space.theta(jnp.asarray(z))
    names = [space.free[i].name for i in inner]
    found = []
    for i, name, error in zip(inner, names, errors, strict=True):
        own = jax.grad(lambda z, name=name: space.theta(z)[name])(jnp.asarray(z))[i]
        size = 1.0 if space.free[i].positive else float(theta[name])
        if size < 2 * error * abs(float(own)):
            found.append(name)
    if not found:
        return []
    return [
        f"at this scatter {', '.join(found)} cannot be told from zero (within two"
        " standard errors): fix it, or bring more rows"
    ]


def scatter(left: Float[np.ndarray, "n"], free: int) -> float:
    """Robust standard deviation of log L from residuals, 1.4826 times the median size
    of those that the fit misses. A fit of absolute deviations passes through as many
    rows as it has free parameters: those tell nothing of the scatter and would make a
    law through 13 rows look five times better than it is."""
    return float(1.4826 * np.median(np.sort(np.abs(left))[free:]))


def covariance(
    problem: Problem, z: Float[Array | np.ndarray, "k"]
) -> Float[np.ndarray, "k k"]:
    """Rough covariance of z: sigma^2 (J^T J)^-1."""
    jacobian = np.asarray(jax.jacfwd(residuals)(jnp.asarray(z), problem))
    return _covariance(problem, np.asarray(z), jacobian[: problem.rows.count])


def _covariance(
    problem: Problem, z: Float[np.ndarray, "k"], jacobian: Float[np.ndarray, "n j"]
) -> Float[np.ndarray, "j j"]:
    """sigma^2 from the scatter and the efficiency 2 / pi of absolute deviations under
    normal scatter."""
    count, free = jacobian.shape
    left = np.asarray(residuals(jnp.asarray(z), problem))[:count]
    sigma = scatter(left, free) * np.sqrt(np.pi / 2 * count / (count - free))
    return sigma**2 * np.linalg.inv(jacobian.T @ jacobian)
