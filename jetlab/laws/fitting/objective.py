"""The problem of a fit: its rows, its parameters, and the objective to minimise.

    S(z) = sum over rows of w rho(log L_fit(z) - log L)

Hoffmann et al. (arXiv:2203.15556, Appendix D.3) take Huber's rho with delta = 1e-3
(`misfit.DELTA`). With scatter of per cents that is nearly a sum of absolute deviations:
few rows lie in the quadratic zone and the optimum sits in a narrow crease, where
least-squares steps converge slowly and Newton's do not.
"""

from collections.abc import Mapping
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jetlab.laws.fitting.misfit import HUBER, Misfit, Rho
from jetlab.laws.fitting.parameterization import Space, check_choices
from jetlab.laws.tables.table_checks import log_columns
from jetlab.laws.terms import Form
from jetlab.records import TableLike


class Rows(NamedTuple):
    """The data of a fit: logarithms of the columns and of L, and weights.

    Rows of weight 0 at the end pad a table to a size that is already compiled.
    """

    logs: dict[str, Float[Array, "n"]]
    log_loss: Float[Array, "n"]
    weight: Float[Array, "n"]

    @property
    def count(self) -> int:
        """Rows of the table, without the padding."""
        return int(np.count_nonzero(self.weight))


class Problem(NamedTuple):
    """A fit to do: parameters, data, and the misfit of a residual."""

    space: Space
    rows: Rows
    rho: Rho

    @property
    def delta(self) -> Float[Array, ""]:
        """The unit of residuals; Huber's delta."""
        return self.rho.delta

    def with_delta(self, delta: float) -> "Problem":
        """The same problem with another delta."""
        return self._replace(rho=self.rho._replace(delta=jnp.asarray(delta)))


def pose(
    form: Form,
    table: TableLike,
    fixed: Mapping[str, float] | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    misfit: Misfit = HUBER,
    weight: str | None = None,
    ties: Mapping[str, str] | None = None,
    *,
    min_rows: int = 0,
) -> Problem:
    """The problem of fitting `form` to a table, weights scaled to a mean of 1.

    It is padded to `min_rows` rows at least, so that parts of a table share the
    programs of the whole. Call it with 64-bit JAX enabled.

    Raises:
      ValueError: for a column or a choice that is not usable (`log_columns`,
        `check_choices`).
    """
    fixed, bounds, ties = dict(fixed or {}), dict(bounds or {}), dict(ties or {})
    named = (*form.columns, "L") if weight is None else (*form.columns, "L", weight)
    logs = log_columns(table, named)
    check_choices(form, fixed, bounds, ties)
    weights = np.ones(len(logs["L"]))
    if weight is not None:
        weights = np.exp(logs.pop(weight))
    centre = {name: float(column.mean()) for name, column in logs.items()}
    space = Space(
        form=form, bounds=bounds, fixed=fixed, centre=centre, ties=tuple(ties.items())
    )
    count = len(logs["L"])
    index = np.arange(padded(max(count, min_rows)))
    last = np.minimum(index, count - 1)
    columns = {name: jnp.asarray(column[last]) for name, column in logs.items()}
    loss = columns.pop("L")
    shares = np.where(index < count, weights[last] / weights.mean(), 0.0)
    return Problem(space, Rows(columns, loss, jnp.asarray(shares)), misfit.rho)


def padded(rows: int) -> int:
    """The next of 16, 24, 32, 48, 64, ...: few sizes, so that tables of nearly the same
    size share a compiled program; at most a third of the rows are padding."""
    power = max(16, 1 << (rows - 1).bit_length())
    return power * 3 // 4 if rows <= power * 3 // 4 and power > 16 else power


def residuals(z: Float[Array, "k"], problem: Problem) -> Float[Array, "n"]:
    """log L_fit - log L, row by row, or L_fit - L where the misfit is of L."""
    space, rows, rho = problem
    fitted = space.form.log_loss(space.theta(z), rows.logs)
    of_loss = jnp.exp(fitted) - jnp.exp(rows.log_loss)
    return jnp.where(rho.of_loss > 0, of_loss, fitted - rows.log_loss)


def log_residuals(z: Float[Array, "k"], problem: Problem) -> Float[Array, "n"]:
    """log L_fit - log L, row by row, whatever the misfit is of."""
    space, rows, _ = problem
    return space.form.log_loss(space.theta(z), rows.logs) - rows.log_loss


def row_weights(r: Float[Array, "n"], problem: Problem) -> Float[Array, "n"]:
    """Weights of the rows, times `above` for rows above the law (L > L_fit, r < 0)."""
    return problem.rows.weight * jnp.where(r < 0, problem.rho.above, 1.0)


def objective(z: Float[Array, "k"], problem: Problem) -> Float[Array, ""]:
    """Sum of w rho(r), in units of delta^2, which keeps it near 1."""
    r = residuals(z, problem) / problem.delta
    size, threshold = jnp.abs(r), problem.rho.threshold
    linear = threshold * size - threshold**2 / 2
    rho = jnp.where(size <= threshold, size**2 / 2, linear)
    return jnp.sum(row_weights(r, problem) * rho)


def pseudo_residuals(z: Float[Array, "k"], problem: Problem) -> Float[Array, "n"]:
    """Numbers whose half sum of squares is the objective, for least-squares solvers:
    r up to the threshold t, sign(r) sqrt(2 t |r| - t^2) beyond; r is in delta."""
    r = residuals(z, problem) / problem.delta
    t = problem.rho.threshold
    outside = jnp.abs(r) > t
    square = jnp.where(outside, 2 * t * jnp.abs(r) - t**2, 1.0)  # no NaN gradient
    size = jnp.where(outside, jnp.sign(r) * jnp.sqrt(square), r)
    return jnp.sqrt(row_weights(r, problem)) * size
