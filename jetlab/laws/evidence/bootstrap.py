"""Bootstrap intervals: the law refitted to tables drawn anew.

Each draw takes as many clusters of rows as there are, with replacement (as
arXiv:2404.10102 and arXiv:2602.15781 draw rows), and is refitted from the optimum.
Quantiles of such draws are wrong in two ways where clusters are few, G of them for k
parameters:

- A fit of absolute deviations, or of Huber's with delta far below the scatter, passes
  through k rows exactly, a different k in each draw: draws spread too widely, by about
  1 / sqrt(1 - k / G). Draws of least squares do not.
- They take the scatter as known. It is estimated, and Student's t with G - k degrees
  of freedom is wider than the normal distribution (the expanded percentile interval of
  Hesterberg, arXiv:1411.5279, Section 5).

Draws are therefore scaled about the optimum by the product of both factors, which is
near 1 for large tables. Where clusters are fewer still, resampled ones do not determine
the law: tables are then simulated about the optimum, with the scatter between and
within the clusters (`laws.evidence.random_effects`), and scaled by Student's factor
alone. `docs/intervals.md` has the coverage measured.
"""

import jax
import numpy as np
from jaxtyping import Bool, Float, Int

from jetlab.laws.evidence.clusters import Labels, row_clusters, too_few
from jetlab.laws.evidence.draws import Draws
from jetlab.laws.evidence.intervals import student_factor
from jetlab.laws.evidence.random_effects import RandomEffects, effects_of
from jetlab.laws.fitting.identifiability import at_edges
from jetlab.laws.fitting.newton import CONVERGED, ProblemBatch, newton_batch
from jetlab.laws.fitting.objective import Problem, Rows
from jetlab.laws.fitting.solver import levenberg_marquardt
from jetlab.laws.result import FitResult

ALTERNATIVES = 12  # other starts for a draw that did not converge from the optimum
FEW = 4  # clusters a parameter, of several rows each, below which tables are simulated
FEW_ROWS = 3  # the same for rows that are clusters of their own
TOO_MANY = 0.03  # a share of refits lost that may bias the intervals


def bootstrap(
    fit: FitResult,
    *,
    draws: int = 1000,
    seed: int = 0,
    labels: Labels | None = None,
    keep_lost: bool = False,
    simulate: bool = True,
) -> Draws:
    """Refits of `draws` tables drawn anew; `fit(..., bootstrap=1000)` keeps them with
    the fit.

    Clusters are those of `row_clusters`. Where they are few (fewer than four a
    parameter if they have several rows, three if they have one), tables are simulated;
    without `simulate` clusters are resampled nevertheless. Refits that did not converge
    are left out and counted in `message`; with `keep_lost` they are NaN in their
    places, so that draws of one seed can be paired. A fit without parameters, or with
    too few clusters for a variance, gives no draws. Absolute deviations are refitted as
    Huber's with their delta.

    Raises:
      ValueError: for labels of another number of rows.
    """
    if np.isnan(fit.objective):
        return Draws(values={}, asked=0, message="no draws: there was no fit")
    ids = row_clusters(fit, labels)
    with jax.enable_x64(True):
        problem = fit.problem
        optimum = problem.space.coordinates(fit.params)
        simulate &= few(ids, fit.free)
        effects = effects_of(fit.linearised, ids) if simulate else None
        count = int(ids.max()) + 1
        if effects is None and (simulate or count <= fit.free):
            why = too_few(count, fit.free)
            return Draws(values={}, asked=0, message=why, warnings=(why,))
        starts = np.broadcast_to(optimum, (draws, len(optimum)))
        batch = ProblemBatch.same_rows(starts, problem.rows)
        if effects is None:
            weight = resampled_weights(problem.rows, ids, draws, seed)
            batch = batch._replace(weight=weight)
            squares = fit.misfit.kind == "squares"
            factor = resampling_factor(count, fit.free, squares=squares)
        else:
            losses = simulated_losses(fit, effects, draws, seed)
            batch = batch._replace(log_loss=losses)
            factor = student_factor(effects.freedom)
        z, converged = refit(problem, batch)
        z = scaled(z, optimum, factor, problem)
        values = problem.space.many_params(z if keep_lost else z[converged])
    if keep_lost:
        values = {k: np.where(converged, v, np.nan) for k, v in values.items()}
    lost = f"{np.sum(~converged)} of {draws} refits did not converge and are left out"
    warnings = _warnings(float(np.mean(~converged)), fit)
    message = "; ".join([lost, *warnings])
    return Draws(values=values, asked=draws, message=message, warnings=warnings)


def few(ids: Int[np.ndarray, "n"], free: int) -> bool:
    """Whether clusters are too few to be resampled for `free` parameters."""
    count = int(ids.max()) + 1
    return count < (FEW_ROWS if count == len(ids) else FEW) * free


def simulated_losses(
    fit: FitResult, effects: RandomEffects, draws: int, seed: int
) -> Float[np.ndarray, "draws p"]:
    """log L of tables about the law, the rows that pad as they are."""
    rows = fit.problem.rows
    scatter = effects.drawn(np.random.default_rng(seed), draws)
    weight = np.asarray(rows.weight)[: rows.count]
    power = 0.5 if fit.misfit.kind == "squares" else 1.0
    scatter = scatter / weight**power
    losses = np.tile(np.asarray(rows.log_loss), (draws, 1))
    losses[:, : rows.count] += fit.residuals
    if fit.misfit.of == "L":  # scatter that would leave no loss leaves a hundredth
        fitted = np.exp(losses[:, : rows.count])
        scatter = np.log(np.maximum(1 + scatter / fitted, 0.01))
    losses[:, : rows.count] += scatter
    return losses


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


def resampling_factor(clusters: int, free: int, *, squares: bool) -> float:
    """Student's t over the normal quantile, times sqrt(1 - k / G) but for least
    squares."""
    factor = student_factor(clusters - free)
    return factor if squares else factor * float(np.sqrt(1 - free / clusters))


def scaled(
    z: Float[np.ndarray, "b k"],
    optimum: Float[np.ndarray, "k"],
    factor: float,
    problem: Problem,
) -> Float[np.ndarray, "b k"]:
    """Draws scaled about the optimum, but for parameters that run to zero or to a
    bound there: their coordinate is far away, and a tenth of the distance is much."""
    edges = at_edges(problem.space, optimum)
    inner = np.array([p.name not in edges for p in problem.space.free])
    with np.errstate(invalid="ignore"):  # refits that were lost
        return np.where(inner, optimum + factor * (z - optimum), z)


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


def _warnings(lost: float, fit: FitResult) -> tuple[str, ...]:
    """Why the intervals may be wrong."""
    found = []
    if lost > TOO_MANY:
        found.append(
            f"{100 * lost:.1f} % of the refits did not converge, {100 * TOO_MANY:.0f} %"
            " allowed: the intervals may be biased; fix or bound a parameter"
        )
    if fit.misfit.kind == "absolute":
        found.append(
            f"draws are refitted by Huber's function, delta {fit.misfit.delta:g}, in"
            " place of absolute deviations"
        )
    return tuple(found)
