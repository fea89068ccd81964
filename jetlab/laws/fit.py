"""Fit a law to rows: starts by variable projection, Newton's method on the best.

    from jetlab.laws import forms
    from jetlab.laws.fit import fit

    law = fit(forms.additive, {"N": ..., "D": ..., "L": ...}, fixed={"L_inf": 0.32})
    print(law.params, law.message)

Everything runs in float64, whatever the rest of the program uses.
"""

import warnings
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jetlab.laws import identifiability, starting_points
from jetlab.laws.absolute import sharpened
from jetlab.laws.batched import Lanes, in_chunks, lane_problem, polish
from jetlab.laws.form import Form
from jetlab.laws.misfit import HUBER, Misfit
from jetlab.laws.newton import Problem, pseudo_residuals, residuals
from jetlab.laws.problem import pose
from jetlab.laws.result import FitResult

with warnings.catch_warnings():
    # JAXopt says at import that it is no longer maintained; its users cannot help it.
    warnings.simplefilter("ignore", DeprecationWarning)
    import jaxopt

EXPLORE = 40  # Levenberg-Marquardt steps from each start
FINALISTS = 16  # starts that are polished
CONVERGED = 1e-5  # an imbalance of pulls that counts as none


def fit(
    form: Form,
    table: Mapping[str, np.ndarray],
    *,
    fixed: Mapping[str, float] | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    misfit: Misfit = HUBER,
    weight: str | None = None,
    left_out: Mapping[int, str] | None = None,
) -> FitResult:
    """The parameters that minimise the sum of w rho(log L_fit - log L).

    `table` has the form's columns and "L", one row a run; `misfit` says what rho is and
    `weight` names the column of w, if there is one (only ratios count). `fixed` and
    `bounds` hold physical values by parameter. `left_out` is what
    `jetlab.laws.table_io.usable` left out, for the fit to report: rows without a
    logarithm are refused here, never dropped.

    A fit that did not converge, or that the rows cannot decide, comes back with
    `converged` or `identified` False and the reason in `message`, which names outliers
    too. Raises ValueError, naming them, for rows or choices that are not usable.
    """
    with jax.enable_x64(True):
        problem = pose(form, table, fixed or {}, bounds or {}, misfit, weight)
        law = _judged(problem, misfit)
    law = replace(law, weight=weight, left_out=dict(left_out or {}))
    return replace(law, message="; ".join([law.message, *law.exceptions]))


def fit_part(law: FitResult, part: Mapping[str, np.ndarray]) -> FitResult:
    """The fit of `law` made to a part of its rows. Raises as `fit` does."""
    with jax.enable_x64(True):
        return _judged(pose_again(law, part), law.misfit)


def pose_again(law: FitResult, table: Mapping[str, np.ndarray]) -> Problem:
    """The problem that `law` solved, with its rows or others. Raises as `fit` does."""
    choices = (law.fixed, law.bounds, law.misfit, law.weight)
    return pose(law.form, table, *choices, room=law.rows)


def descend(
    problem: Problem, lanes: Lanes, steps: int
) -> tuple[Float[np.ndarray, "lane k"], Float[np.ndarray, "lane"]]:
    """Levenberg-Marquardt in every lane: z and objective (in delta^2)."""
    z, value = in_chunks(
        partial(_descend_chunk, problem, steps=jnp.asarray(steps)), lanes
    )
    return z, np.nan_to_num(value, nan=np.inf)


@jax.jit
def _descend_chunk(
    problem: Problem, lanes: Lanes, steps: Int[Array, ""]
) -> tuple[Float[Array, "lane k"], Float[Array, "lane"]]:
    solver = jaxopt.LevenbergMarquardt(
        pseudo_residuals,
        maxiter=steps,  # pyright: ignore[reportArgumentType]  (may be traced)
        tol=1e-6,
        solver="cholesky",
        materialize_jac=True,
        implicit_diff=False,
        unroll=False,  # a loop that stops; jaxopt's default here always runs to the end
    )

    def one(z, log_loss, weight):
        z, state = solver.run(z, lane_problem(problem, log_loss, weight))
        return z, state.value

    return jax.vmap(one)(*lanes)


def _judged(problem: Problem, misfit: Misfit) -> FitResult:
    """The fit of a problem that may be one that no rows decide."""
    lacking = identifiability.lacking(problem)
    law = _unsolved(problem, lacking) if lacking else _solved(problem, misfit)
    return replace(law, misfit=misfit)


def _solved(problem: Problem, misfit: Misfit) -> FitResult:
    rows, space = problem.rows, problem.space
    z, value, imbalance = polish(problem, Lanes.same_rows(_finalists(problem), rows))
    value = np.nan_to_num(value, nan=np.inf)
    close = value <= value.min() * (1 + 1e-6) + 1e-9 * rows.count
    settled = close & (imbalance <= CONVERGED)  # in a flat valley not all of them
    best = _plainest(z, np.where(settled if settled.any() else close, value, np.inf))
    stray = _stray(imbalance[best], int(close.sum()))
    optimum, lowest = z[best], float(value[best] * problem.delta**2)
    if misfit.kind == "absolute":
        optimum, lowest = sharpened(problem, z[best])
    doubts = identifiability.doubts(problem, optimum)
    return _result(
        problem,
        params=space.params(optimum),
        objective=lowest,
        converged=stray is None,
        identified=not doubts,
        message="; ".join([stray or "converged", *(doubts or ["identified"])]),
        residuals=np.asarray(residuals(jnp.asarray(optimum), problem))[: rows.count],
    )


def _plainest(z: Float[np.ndarray, "lane k"], value: Float[np.ndarray, "lane"]) -> int:
    """The lowest lane, and of equally low ones, along a valley that is flat to the last
    digits, that of the least coordinates: no term and no exponent there is extreme."""
    lowest = value <= value.min() * (1 + 1e-12)
    return int(np.argmin(np.where(lowest, np.linalg.norm(z, axis=1), np.inf)))


def _finalists(problem: Problem) -> Float[np.ndarray, "start k"]:
    """Where Newton's method starts: points of the projected grid of exponents, or for a
    form without linear scales the best of Levenberg-Marquardt from every start."""
    projected = starting_points.starts(problem, FINALISTS)
    if projected is not None:
        return projected
    lanes = Lanes.same_rows(problem.space.grid(), problem.rows)
    z, value = descend(problem, lanes, EXPLORE)
    return z[np.argsort(value)[:FINALISTS]]


def _stray(imbalance: float, agree: int) -> str | None:
    """Why the best point is not to be trusted as the optimum, if it is not."""
    if not imbalance <= CONVERGED:
        return (
            f"not converged: the rows' pulls on a parameter do not balance"
            f" (to {imbalance:.1g} of their sum, {CONVERGED:g} asked)"
        )
    if agree < 2:
        return (
            f"not converged: of the {FINALISTS} best starts only one reached the"
            " lowest objective, so a lower one may exist; bound or fix a parameter"
        )
    return None


def _unsolved(problem: Problem, lacking: str) -> FitResult:
    """A fit of rows that are too few or too alike for any number."""
    names = problem.space.form.names
    return _result(
        problem,
        params=dict.fromkeys(names, np.nan) | problem.space.fixed,
        objective=np.nan,
        converged=False,
        identified=False,
        message=f"not fitted: {lacking}",
        residuals=np.full(problem.rows.count, np.nan),
    )


def _result(
    problem: Problem,
    *,
    params: dict[str, float],
    objective: float,
    converged: bool,
    identified: bool,
    message: str,
    residuals: Float[np.ndarray, "n"],
) -> FitResult:
    """A Fit with what was asked beside what was found."""
    space, rows, _ = problem
    return FitResult(
        form=space.form,
        params=params,
        objective=objective,
        converged=converged,
        identified=identified,
        message=message,
        residuals=residuals,
        rows=rows.count,
        span=identifiability.span(rows.logs),
        points={n: np.exp(np.asarray(c)[: rows.count]) for n, c in rows.logs.items()},
        fixed=space.fixed,
        bounds=space.bounds,
    )
