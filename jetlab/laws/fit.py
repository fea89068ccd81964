"""Fit a law to rows: many starts, Levenberg-Marquardt (jaxopt), a Newton polish.

    from jetlab.laws import forms
    from jetlab.laws.fit import fit

    law = fit(forms.additive, {"N": ..., "D": ..., "L": ...}, fixed={"L_inf": 0.32})
    print(law.params, law.message)

Everything runs in float64, whatever the rest of the program uses.
"""

import warnings
from collections.abc import Mapping
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jetlab.laws import identify
from jetlab.laws.columns import log_columns
from jetlab.laws.fitted import Fit
from jetlab.laws.forms import Form
from jetlab.laws.huber import Problem, Rows, pseudo_residuals, residuals
from jetlab.laws.lanes import Lanes, in_chunks, lane_problem, polish
from jetlab.laws.space import Space, check_choices

with warnings.catch_warnings():
    # JAXopt says at import that it is no longer maintained; its users cannot help it.
    warnings.simplefilter("ignore", DeprecationWarning)
    import jaxopt

DELTA = 1e-3
EXPLORE = 40  # Levenberg-Marquardt steps from each start
FINALISTS = 16  # starts that are polished
CONVERGED = 1e-5  # an imbalance of pulls that counts as none


def fit(
    form: Form,
    table: Mapping[str, np.ndarray],
    *,
    fixed: Mapping[str, float] | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    delta: float = DELTA,
) -> Fit:
    """The parameters that minimise the sum of Huber_delta(log L_fit - log L).

    `table` has the form's columns and "L", one row a run. `fixed` and `bounds` hold
    physical values by parameter. A fit that did not converge, or that the rows cannot
    decide, comes back with `converged` or `identified` False and the reason in
    `message`. Raises ValueError, naming them, for rows or choices that are not usable.
    """
    with jax.enable_x64(True):
        problem = pose(form, table, fixed or {}, bounds or {}, delta)
        lacking = identify.lacking(problem)
        return _unsolved(problem, lacking) if lacking else _solved(problem)


def pose(
    form: Form,
    table: Mapping[str, np.ndarray],
    fixed: Mapping[str, float],
    bounds: Mapping[str, tuple[float, float]],
    delta: float,
) -> Problem:
    """The problem as the solver sees it. Raises as `fit` does."""
    logs = log_columns(table, (*form.columns, "L"))
    check_choices(form, fixed, bounds)
    if not delta > 0:
        raise ValueError(f"Huber's delta is {delta}, not positive")
    centre = {name: float(column.mean()) for name, column in logs.items()}
    space = Space(form=form, bounds=dict(bounds), fixed=dict(fixed), centre=centre)
    count = len(logs["L"])
    index = np.arange(padded(count))
    columns = {k: jnp.asarray(v[np.minimum(index, count - 1)]) for k, v in logs.items()}
    loss = columns.pop("L")
    rows = Rows(columns, loss, jnp.asarray(index < count, float))
    return Problem(space, rows, jnp.asarray(delta))


def padded(rows: int) -> int:
    """The next of 16, 24, 32, 48, 64, ...: few sizes, so that tables of nearly the same
    size share a compiled program, and at most a third of the work is on padding."""
    power = max(16, 1 << (rows - 1).bit_length())
    return power * 3 // 4 if rows <= power * 3 // 4 and power > 16 else power


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


def _solved(problem: Problem) -> Fit:
    rows = problem.rows
    z, value = descend(problem, Lanes.same_rows(problem.space.grid(), rows), EXPLORE)
    finalists = z[np.argsort(value)[:FINALISTS]]
    z, value, imbalance = polish(problem, Lanes.same_rows(finalists, rows))
    best = int(np.argmin(value))
    close = value <= value[best] * (1 + 1e-6) + 1e-9 * rows.count
    stray = _stray(imbalance[best], int(close.sum()))
    doubts = identify.doubts(problem, z[best])
    return _result(
        problem,
        params=problem.space.params(z[best]),
        objective=float(value[best] * problem.delta**2),
        converged=stray is None,
        identified=not doubts,
        message="; ".join([stray or "converged", *(doubts or ["identified"])]),
        residuals=np.asarray(residuals(jnp.asarray(z[best]), problem))[: rows.count],
    )


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


def _unsolved(problem: Problem, lacking: str) -> Fit:
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
) -> Fit:
    """A Fit with what was asked beside what was found."""
    space, rows, delta = problem
    return Fit(
        form=space.form,
        params=params,
        objective=objective,
        converged=converged,
        identified=identified,
        message=message,
        residuals=residuals,
        rows=rows.count,
        delta=float(delta),
        span=identify.span(rows.logs),
        fixed=space.fixed,
        bounds=space.bounds,
    )
