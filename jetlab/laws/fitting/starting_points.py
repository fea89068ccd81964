"""Starts of a fit by variable projection: a grid of exponents, scales solved for.

For given exponents, L_inf + A/N^alpha + B/D^beta is linear in L_inf, A and B, and least
squares of L_fit / L - 1 (close to those of log L) have one nonnegative solution. Only
the exponents are searched (Golub and Pereyra, SIAM J. Numer. Anal. 10 (1973) 413; for
scaling laws arXiv:2603.22339). The values on the grid are `Parameter.starts` of the
form (`jetlab.laws.terms`), refined to `POINTS`.
"""

from dataclasses import replace
from itertools import combinations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jetlab.laws.fitting.objective import Problem, objective
from jetlab.laws.fitting.parameterization import Space
from jetlab.laws.terms import Parameter

POINTS = 1024  # of the grid of exponents, at most
FEWEST = 4  # starts, below which their neighbours are added
FAINTEST = np.log(1e-3)  # start of a term whose least-squares coefficient is zero


def starts(problem: Problem, count: int) -> Float[np.ndarray, "start k"] | None:
    """The `count` most promising points of the grid of exponents, local minima first,
    and their neighbours where the grid has few points; None for a form that is not
    linear in its scales."""
    space = problem.space
    linear = np.array([_is_scale(p) for p in space.free])
    axes = _axes(space, linear)
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1) if axes else None
    shape = grid.shape[:-1] if grid is not None else ()
    z = np.zeros((int(np.prod(shape)), len(linear)))
    if grid is not None:
        z[:, ~linear] = grid.reshape(len(z), -1)
    if linear.any() and not _solve_scales(problem, z, linear):
        return None
    value = np.nan_to_num(_objectives(problem, jnp.asarray(z)), nan=np.inf)
    order = np.lexsort((value, ~_local_minima(value.reshape(shape))))
    return _with_neighbours(z[order[:count]])


def _solve_scales(
    problem: Problem, z: Float[np.ndarray, "g k"], linear: Bool[np.ndarray, "k"]
) -> bool:
    """Put the scales of least squares into z; False, and z as it was, where the form is
    not the sum of the terms of its scales."""
    terms, total = (np.asarray(part) for part in _terms(problem, jnp.asarray(z)))
    kept = terms[..., : problem.rows.count]
    if not np.allclose(kept.sum(axis=1), total[:, : kept.shape[-1]], rtol=1e-6):
        return False
    weight = np.asarray(problem.rows.weight)
    z[:, linear] = _logs(nonnegative(terms[:, :-1], 1 - terms[:, -1], weight))
    z[:] = _inside(problem.space, z, linear)
    return True


def _with_neighbours(z: Float[np.ndarray, "s k"]) -> Float[np.ndarray, "m k"]:
    """Starts, with a step of 1 either way along each coordinate if they are fewer than
    `FEWEST`: one start alone cannot confirm an optimum."""
    if len(z) >= FEWEST:
        return z
    steps = np.concatenate([np.eye(z.shape[1]), -np.eye(z.shape[1])])
    return np.concatenate([z, (z[:, None] + steps).reshape(-1, z.shape[1])])


def nonnegative(
    terms: Float[np.ndarray, "g m n"],
    target: Float[np.ndarray, "g n"],
    weight: Float[np.ndarray, "n"],
) -> Float[np.ndarray, "g m"]:
    """The c >= 0 that minimise sum of w (c . terms - target)^2, in each of g problems.

    The best of all sets of terms with positive coefficients: three terms have seven.
    """
    gram = np.einsum("gin,gjn,n->gij", terms, terms, weight)
    right = np.einsum("gin,gn,n->gi", terms, target, weight)
    best, value = np.zeros(right.shape), np.zeros(len(right))
    for size in range(1, terms.shape[1] + 1):
        for chosen in combinations(range(terms.shape[1]), size):
            c = _solved(gram[:, chosen][:, :, chosen], right[:, chosen])
            now = -np.sum(c * right[:, chosen], axis=1)  # twice the drop of the sum
            better = np.all(c >= 0, axis=1) & (now < value)
            value[better] = now[better]
            best[better] = 0
            best[np.ix_(better, chosen)] = c[better]
    return best


def _solved(
    gram: Float[np.ndarray, "g s s"], right: Float[np.ndarray, "g s"]
) -> Float[np.ndarray, "g s"]:
    """Coefficients of terms scaled to 1, regularised for terms that are equal."""
    unit = np.sqrt(np.maximum(np.einsum("gii->gi", gram), 1e-300))
    scaled = gram / unit[:, :, None] / unit[:, None, :]
    scaled = scaled + 1e-12 * np.eye(gram.shape[-1])
    return np.linalg.solve(scaled, (right / unit)[..., None])[..., 0] / unit


def _is_scale(p: Parameter) -> bool:
    """Whether a parameter has the unit of the loss, as linear ones must."""
    return p.positive and ("L", 1) in p.unit


def _axes(space: Space, linear: Bool[np.ndarray, "k"]) -> list[np.ndarray]:
    """Coordinates to search of each parameter that is not linear."""
    others = [p for p, scale in zip(space.free, linear, strict=True) if not scale]
    each = int(min(24, POINTS ** (1 / max(1, len(others)))))
    return [_axis(space, p, each) for p in others]


def _axis(space: Space, p: Parameter, points: int) -> Float[np.ndarray, "points"]:
    """From half a parameter's least start to twice its greatest, or its interval."""
    if p.name in space.bounds:
        share = (np.arange(points) + 0.5) / points
        return np.log(share / (1 - share))
    low, high = min(p.starts), max(p.starts)
    if low <= 0:
        return np.linspace(low, high, points)
    values = np.geomspace(low / 2, 2 * high, points)
    return np.log(values) if p.positive else values


@jax.jit
def _terms(
    problem: Problem, z: Float[Array, "g k"]
) -> tuple[Float[Array, "g m1 n"], Float[Array, "g n"]]:
    """Linear terms with their scale at its unit, over L, and last the sum of the fixed
    ones; and the whole form over L."""
    space, rows, _ = problem
    scales = [p.name for p in space.free if _is_scale(p)]
    loose = {n: ends for n, ends in space.bounds.items() if n not in scales}
    space = replace(space, bounds=loose)
    fixed = [p.name for p in space.form.parameters if _is_scale(p)]
    fixed = [name for name in fixed if name in space.fixed]

    def over_loss(theta, kept):
        dropped = {n: jnp.full_like(theta[n], -jnp.inf) for n in (*scales, *fixed)}
        theta = theta | dropped | {name: theta[name] for name in kept}
        return jnp.exp(space.form.log_loss(theta, rows.logs) - rows.log_loss)

    def one(z):
        theta = space.theta(z)
        parts = [over_loss(theta, [name]) for name in scales]
        constant = over_loss(theta, fixed) if fixed else jnp.zeros_like(rows.log_loss)
        return jnp.stack([*parts, constant]), over_loss(theta, [*scales, *fixed])

    return jax.vmap(one)(z)


@jax.jit
def _objectives(problem: Problem, z: Float[Array, "g k"]) -> Float[Array, "g"]:
    return jax.vmap(objective, in_axes=(0, None))(z, problem)


def _logs(coefficients: Float[np.ndarray, "g m"]) -> Float[np.ndarray, "g m"]:
    return np.maximum(np.log(np.maximum(coefficients, 1e-300)), FAINTEST)


def _inside(
    space: Space, z: Float[np.ndarray, "g k"], linear: Bool[np.ndarray, "k"]
) -> Float[np.ndarray, "g k"]:
    """Bounded scales, so far logarithms in their units, as coordinates in bounds."""
    bounded = [
        i for i, p in enumerate(space.free) if linear[i] and p.name in space.bounds
    ]
    if not bounded:
        return z
    names = {space.free[i].name for i in bounded}
    loose = {n: ends for n, ends in space.bounds.items() if n not in names}
    free = replace(space, bounds=loose)
    values = free.many_params(z)
    for i in bounded:
        low, high = space.bounds[space.free[i].name]
        share = (values[space.free[i].name] - low) / (high - low)
        share = np.clip(share, 0.01, 0.99)  # where the slope is not yet flat
        z[:, i] = np.log(share / (1 - share))
    return z


def _local_minima(value: Float[np.ndarray, "..."]) -> Bool[np.ndarray, "g"]:
    """Whether each point of a grid is below its neighbours along every axis."""
    lowest = np.ones(value.shape, bool)
    for axis in range(value.ndim):
        up = np.diff(value, axis=axis, append=np.inf) > 0
        down = np.diff(value, axis=axis, prepend=np.inf) < 0
        lowest &= up & down
    return lowest.ravel()
