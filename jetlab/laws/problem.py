"""From a table and choices to the problem that a solver sees."""

from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np

from jetlab.laws.form import Form
from jetlab.laws.misfit import HUBER, Misfit, chosen
from jetlab.laws.newton import Problem, Rows
from jetlab.laws.parameterization import Space, check_choices
from jetlab.laws.table_io import log_columns


def pose(
    form: Form,
    table: Mapping[str, np.ndarray],
    fixed: Mapping[str, float],
    bounds: Mapping[str, tuple[float, float]],
    misfit: Misfit | float = HUBER,
    weight: str | None = None,
    room: int = 0,
) -> Problem:
    """The problem as the solver sees it; a number for `misfit` is Huber's delta, and
    weights are scaled to a mean of 1. It is padded for `room` rows at least, so that
    parts of a table share the whole one's programs. Raises as `fit` does."""
    named = (*form.columns, "L") if weight is None else (*form.columns, "L", weight)
    logs = log_columns(table, named)
    check_choices(form, fixed, bounds)
    weights = np.ones(len(logs["L"]))
    if weight is not None:
        weights = np.exp(logs.pop(weight))
    centre = {name: float(column.mean()) for name, column in logs.items()}
    space = Space(form=form, bounds=dict(bounds), fixed=dict(fixed), centre=centre)
    count = len(logs["L"])
    index = np.arange(padded(max(count, room)))
    last = np.minimum(index, count - 1)
    columns = {name: jnp.asarray(column[last]) for name, column in logs.items()}
    loss = columns.pop("L")
    shares = np.where(index < count, weights[last] / weights.mean(), 0.0)
    rho = chosen(misfit).rho
    return Problem(space, Rows(columns, loss, jnp.asarray(shares)), rho)


def padded(rows: int) -> int:
    """The next of 16, 24, 32, 48, 64, ...: few sizes, so that tables of nearly the same
    size share a compiled program, and at most a third of the work is on padding."""
    power = max(16, 1 << (rows - 1).bit_length())
    return power * 3 // 4 if rows <= power * 3 // 4 and power > 16 else power
