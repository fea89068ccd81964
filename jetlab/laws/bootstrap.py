"""Bootstrap intervals: clusters of rows drawn with replacement, and the law refitted.

Each draw takes as many clusters of rows as there are (as arXiv:2404.10102 and
arXiv:2602.15781 draw rows) and is refitted from the optimum. Quantiles of such draws
are wrong in two ways where clusters are few, G of them for k parameters:

- A fit of absolute deviations, or of Huber's with delta far below the scatter, passes
  through k rows exactly, a different k in each draw: draws spread too widely, by about
  1 / sqrt(1 - k / G). Draws of least squares do not.
- They take the scatter as known. It is estimated, and Student's t with G - k degrees
  of freedom is wider than the normal distribution (the expanded percentile interval of
  Hesterberg, arXiv:1411.5279, Section 5).

Draws are therefore scaled about the optimum by the product of both factors, which is
near 1 for large tables. `docs/intervals.md` has the coverage measured with and without.
"""

from collections.abc import Sequence

import jax
import numpy as np
from jaxtyping import Bool, Float, Int

from jetlab.laws.intervals import student_factor
from jetlab.laws.newton import CONVERGED, HostOrDevice, ProblemBatch, newton_batch
from jetlab.laws.objective import Problem, Rows
from jetlab.laws.result import Draws, FitResult
from jetlab.laws.solver import levenberg_marquardt

Labels = Sequence | np.ndarray
"""Labels of the rows, equal for rows of one cluster."""

ALTERNATIVES = 12  # other starts for a draw that did not converge from the optimum
FEW = 4  # clusters a parameter: fewer, of several rows each, give narrow intervals
TOO_MANY = 0.03  # a share of refits lost that may bias the intervals


def bootstrap(
    fit: FitResult,
    *,
    draws: int = 1000,
    seed: int = 0,
    labels: Labels | None = None,
    keep_lost: bool = False,
) -> Draws:
    """Refits of `draws` resampled tables; `fit(..., bootstrap=1000)` keeps them with
    the fit.

    Clusters are those of `row_clusters`. Refits that did not converge are left out and
    counted in `message`; with `keep_lost` they are NaN in their places, so that draws
    of one seed can be paired. A fit without parameters, or with no more clusters than
    parameters, gives no draws. Absolute deviations are refitted as Huber's with their
    delta.

    Raises:
      ValueError: for labels of another number of rows.
    """
    if np.isnan(fit.objective):
        return Draws(values={}, asked=0, message="no draws: there was no fit")
    ids = row_clusters(fit, labels)
    count = int(ids.max()) + 1
    if count <= fit.free:
        why = too_few(count, fit.free)
        return Draws(values={}, asked=0, message=why, warnings=(why,))
    with jax.enable_x64(True):
        problem = fit.problem
        optimum = problem.space.coordinates(fit.params)
        starts = np.broadcast_to(optimum, (draws, len(optimum)))
        batch = ProblemBatch.same_rows(starts, problem.rows)._replace(
            weight=resampled_weights(problem.rows, ids, draws, seed)
        )
        z, converged = refit(problem, batch)
        z = corrected(z, batch.z, count, squares=fit.misfit.kind == "squares")
        values = problem.space.many_params(z if keep_lost else z[converged])
    if keep_lost:
        values = {k: np.where(converged, v, np.nan) for k, v in values.items()}
    lost = f"{np.sum(~converged)} of {draws} refits did not converge and are left out"
    warnings = _warnings(float(np.mean(~converged)), fit, count)
    message = "; ".join([lost, *warnings])
    return Draws(values=values, asked=draws, message=message, warnings=warnings)


def row_clusters(fit: FitResult, labels: Labels | None = None) -> Int[np.ndarray, "n"]:
    """The number of each row's cluster: by `labels`, else by those that the fit was
    given, else rows that agree in the form's columns.

    Raises:
      ValueError: for labels of another number of rows.
    """
    if labels is not None:
        return cluster_ids(labels, fit.rows)
    if fit.clusters is not None:
        return fit.clusters
    return fit.table.cells(fit.form.columns)


def cluster_ids(labels: Labels, rows: int) -> Int[np.ndarray, "n"]:
    """Numbers from 0 for labels.

    Raises:
      ValueError: for labels of another number of rows, or empty ones.
    """
    values = np.asarray(labels)
    if values.shape != (rows,):
        raise ValueError(f"{len(values)} labels for a table of {rows} rows")
    text = not np.issubdtype(values.dtype, np.number)
    empty = int(np.sum(values == "")) if text else int(np.sum(np.isnan(values)))
    if empty:
        raise ValueError(f"clusters: no label on {empty} rows; every row needs one")
    return np.unique(values, return_inverse=True)[1].reshape(-1)


def resampled_weights(
    rows: Rows, ids: Int[np.ndarray, "n"], draws: int, seed: int
) -> Float[np.ndarray, "draws p"]:
    """Weights of tables whose clusters are drawn with replacement, as many as there
    are; zero for rows that pad."""
    count = ids.max() + 1
    rng = np.random.default_rng(seed)
    times = rng.multinomial(count, np.full(count, 1 / count), draws)
    weight = np.asarray(rows.weight)
    resampled = np.zeros((draws, len(weight)))
    resampled[:, : len(ids)] = times[:, ids]
    return resampled * weight


def corrected(
    z: Float[np.ndarray, "b k"],
    optima: Float[HostOrDevice, "b k"],
    clusters: int,
    *,
    squares: bool,
) -> Float[np.ndarray, "b k"]:
    """Draws scaled about their optima by t / normal quantile, times sqrt(1 - k / G) but
    for least squares; G is `clusters`."""
    free = z.shape[1]
    factor = student_factor(clusters - free)
    if not squares:
        factor *= np.sqrt(1 - free / clusters)
    return np.asarray(optima + factor * (z - optima))


def refit(
    problem: Problem, batch: ProblemBatch
) -> tuple[Float[np.ndarray, "b k"], Bool[np.ndarray, "b"]]:
    """The optimum of each fit, from its z first, and whether it converged."""
    z, _ = levenberg_marquardt(problem, batch, 10)
    z, gradient = _polished(problem, batch, z)
    stray = np.flatnonzero(~(gradient <= CONVERGED))
    if stray.size:
        z[stray], gradient[stray] = _from_elsewhere(problem, batch.take(stray))
    return z, gradient <= CONVERGED


def _from_elsewhere(
    problem: Problem, batch: ProblemBatch
) -> tuple[np.ndarray, np.ndarray]:
    """The lowest of several descents for each fit, polished."""
    grid = problem.space.grid()
    starts = grid[np.linspace(0, len(grid) - 1, ALTERNATIVES).astype(int)]
    count = len(batch.z)
    copies = batch.take(np.repeat(np.arange(count), ALTERNATIVES))
    copies = copies._replace(z=np.tile(starts, (count, 1)))
    z, value = levenberg_marquardt(problem, copies, 40)
    lowest = value.reshape(count, ALTERNATIVES).argmin(axis=1)
    z = z.reshape(count, ALTERNATIVES, -1)[np.arange(count), lowest]
    return _polished(problem, batch, z)


def _polished(
    problem: Problem, batch: ProblemBatch, z: Float[np.ndarray, "b k"]
) -> tuple[np.ndarray, np.ndarray]:
    """z and relative gradient after Newton's method; a descent that failed restarts."""
    start = np.where(np.isfinite(z), z, batch.z)
    z, _, gradient = newton_batch(problem, batch._replace(z=start))
    return z, gradient


def too_few(clusters: int, free: int) -> str:
    """Why `clusters` clusters give `free` parameters no intervals."""
    return (
        f"no intervals: {clusters} clusters of rows for {free} parameters; take finer"
        f" clusters ({free + 1} at least), or fix parameters"
    )


def _warnings(lost: float, fit: FitResult, clusters: int) -> tuple[str, ...]:
    """Why the intervals may be wrong."""
    found = []
    if lost > TOO_MANY:
        found.append(
            f"{100 * lost:.1f} % of the refits did not converge, {100 * TOO_MANY:.0f} %"
            " allowed: the intervals may be biased; fix or bound a parameter"
        )
    if clusters < min(fit.rows, FEW * fit.free):
        found.append(
            f"{clusters} clusters are few for {fit.free} parameters: the intervals are"
            f" too narrow; add runs in {FEW * fit.free} clusters or more"
        )
    if fit.misfit.kind == "absolute":
        found.append(
            f"draws are refitted by Huber's function, delta {fit.delta:g}, in place of"
            " absolute deviations"
        )
    return tuple(found)
