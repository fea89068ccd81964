"""How far would the parameters move with other runs? Rows drawn anew and refitted.

Each draw takes as many clusters of rows as there are, with replacement (as
arXiv:2404.10102 and arXiv:2602.15781 draw rows), and is refitted from the optimum. Two
things are wrong with the quantiles of such draws where clusters are few, G of them for
k parameters:

- A fit of absolute deviations, or of Huber's far below the scatter, passes through k
  rows, and other k of every draw: like the jackknife it moves too far, by about
  1 / sqrt(1 - k / G). Least squares do not.
- They take the scatter for known. It is estimated, and Student's t with G - k degrees
  of freedom is wider than the normal distribution (the expanded percentile interval of
  Hesterberg, arXiv:1411.5279, Section 5).

Draws are therefore moved along the line from the optimum by the product of both, which
does nothing to large tables. `docs/intervals.md` has the coverage that was measured,
with and without.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from jetlab.laws.batched import HostOrDevice, Lanes, polish
from jetlab.laws.fit import CONVERGED, descend, pose_again
from jetlab.laws.newton import Problem, residuals
from jetlab.laws.resampling import (
    Labels,
    clusters,
    drawn,
    scattered,
    student,
)
from jetlab.laws.result import LEVEL, Draws, FitResult
from jetlab.records import TableLike

ALTERNATIVES = 12  # other starts for a draw that did not converge from the optimum
FEW = 4  # times the parameters: fewer clusters of several rows give narrow intervals
TOO_MANY = 0.03  # a share of refits lost that may bend the intervals


def bootstrap(
    fit: FitResult,
    table: TableLike,
    *,
    draws: int = 1000,
    seed: int = 0,
    labels: Labels | None = None,
    wild: bool = False,
    keep_lost: bool = False,
) -> Draws:
    """Refits of `draws` other tables; `dataclasses.replace(fit, draws=...)` keeps them
    with the fit.

    Cells are drawn anew, rows that agree in the form's columns; with `labels` (names of
    trajectories, a number for each row) other clusters are. With `wild` the rows keep
    N and D and their residuals are turned by random signs, one a cluster. Refits that
    did not converge are left out and counted in `message`; with `keep_lost` they are
    NaN in their places, so that draws of one seed can be paired. A fit that has no
    parameters, or no more clusters than it has, gives no draws. Absolute deviations are
    refitted as Huber's with their delta.

    Raises:
      ValueError: if `table` is not what was fitted, or labels are not one a row.
    """
    if np.isnan(fit.objective):
        return Draws(values={}, asked=0, message="no draws: there was no fit")
    with jax.enable_x64(True):
        problem = pose_again(fit, table)
        optimum = problem.space.coordinates(fit.params)
        left = _residuals(problem, optimum, fit)
        ids = clusters(labels, table, fit.form.columns)
        count = int(ids.max()) + 1
        if count <= fit.free:
            return Draws(values={}, asked=0, message=_too_few(count, fit))
        lanes = _lanes(problem, optimum, left, ids, draws, seed, wild)
        z, converged = refit(problem, lanes)
        if not wild:
            squares = fit.misfit.kind == "squares"
            z = corrected(z, lanes.z, count, squares=squares)
        values = problem.space.many_params(z if keep_lost else z[converged])
        if keep_lost:
            values = {k: np.where(converged, v, np.nan) for k, v in values.items()}
        return Draws(
            values=values,
            asked=draws,
            message=_words(converged, fit, count),
        )


def _lanes(
    problem: Problem,
    optimum: Float[np.ndarray, "k"],
    left: Float[np.ndarray, "n"],
    ids: Int[np.ndarray, "n"],
    draws: int,
    seed: int,
    wild: bool,
) -> Lanes:
    """The other tables, each to be fitted from the optimum."""
    free = len(optimum)
    same = Lanes.same_rows(np.broadcast_to(optimum, (draws, free)), problem.rows)
    if wild:
        others = scattered(problem.rows, left, ids, free, draws, seed)
        return same._replace(log_loss=others)
    return same._replace(weight=drawn(problem.rows, ids, draws, seed))


def refit(
    problem: Problem, lanes: Lanes
) -> tuple[Float[np.ndarray, "lane k"], Bool[np.ndarray, "lane"]]:
    """The optimum of each lane, sought from its z first, and whether it was found."""
    z, imbalance = _from_here(problem, lanes)
    stray = np.flatnonzero(~(imbalance <= CONVERGED))
    if stray.size:
        z[stray], imbalance[stray] = _from_elsewhere(problem, lanes.take(stray))
    return z, imbalance <= CONVERGED


def corrected(
    z: Float[np.ndarray, "lane k"],
    optima: Float[HostOrDevice, "lane k"],
    clusters: int,
    *,
    squares: bool,
) -> Float[np.ndarray, "lane k"]:
    """Draws moved from or towards the optimum, for so many clusters drawn."""
    free = z.shape[1]
    factor = student(LEVEL, clusters - free) / student(LEVEL, np.inf)
    if not squares:
        factor *= np.sqrt(1 - free / clusters)
    return np.asarray(optima + factor * (z - optima))


def _from_here(problem: Problem, lanes: Lanes) -> tuple[np.ndarray, np.ndarray]:
    z, _ = descend(problem, lanes, 10)
    return _polished(problem, lanes, z)


def _from_elsewhere(problem: Problem, lanes: Lanes) -> tuple[np.ndarray, np.ndarray]:
    """The lowest of several descents in each lane, polished."""
    grid = problem.space.grid()
    starts = grid[np.linspace(0, len(grid) - 1, ALTERNATIVES).astype(int)]
    count = len(lanes.z)
    copies = lanes.take(np.repeat(np.arange(count), ALTERNATIVES))
    z, value = descend(problem, copies._replace(z=np.tile(starts, (count, 1))), 40)
    lowest = value.reshape(count, ALTERNATIVES).argmin(axis=1)
    z = z.reshape(count, ALTERNATIVES, -1)[np.arange(count), lowest]
    return _polished(problem, lanes, z)


def _polished(
    problem: Problem, lanes: Lanes, z: Float[np.ndarray, "lane k"]
) -> tuple[np.ndarray, np.ndarray]:
    """z and imbalance after Newton's method; a descent that failed starts over."""
    start = np.where(np.isfinite(z), z, lanes.z)
    z, _, imbalance = polish(problem, lanes._replace(z=start))
    return z, imbalance


def _residuals(
    problem: Problem, optimum: np.ndarray, fit: FitResult
) -> Float[np.ndarray, "n"]:
    """Those of the fit. Raises ValueError if the rows are not those fitted."""
    if problem.rows.count == fit.rows:
        ours = np.asarray(residuals(jnp.asarray(optimum), problem))[: fit.rows]
        if np.allclose(ours, fit.residuals, rtol=1e-4, atol=1e-4):
            return ours
    raise ValueError("the table is not the one that was fitted: its residuals differ")


def _too_few(count: int, fit: FitResult) -> str:
    return (
        f"no intervals: {count} clusters of rows cannot tell how sure {fit.free}"
        " parameters are; take finer clusters, or fix parameters"
    )


def _words(converged: Bool[np.ndarray, "draw"], fit: FitResult, clusters: int) -> str:
    lost = int(np.sum(~converged))
    words = f"{lost} of {len(converged)} refits did not converge and are left out"
    if lost > TOO_MANY * len(converged):
        words += "; that is too many for the intervals to be trusted"
    if clusters < min(fit.rows, FEW * fit.free):
        words += (
            f"; {clusters} clusters are few for {fit.free} parameters: the intervals"
            " are too narrow"
        )
    if fit.misfit.kind == "absolute":
        words += f"; refitted by Huber's function, delta {fit.delta:g}"
    return words
