"""Where simulation stops paying: where two passes over jets are as good as one."""

from collections.abc import Mapping

import jax
import numpy as np

from jetlab.laws.passes import CHUNK, Terms, solved
from jetlab.laws.terms import Form

ROUNDS, WIDTH = 7, 70.0  # zooms into a range of so many e-folds, 31-fold each


def turning_cost(form: Form, params: Mapping[str, float], terms: Terms) -> float | None:
    """The cost of a jet above which two passes beat one at this budget."""
    top = np.log(terms.budget)
    return _turning(form, params, terms, "jet", (top - WIDTH, top - 1e-6))


def turning_budget(
    form: Form, params: Mapping[str, float], terms: Terms
) -> float | None:
    """The budget below which two passes beat one at this cost of a jet."""
    bottom = np.log(max(terms.jet_cost, 6 * terms.particles)) + 0.1
    return _turning(form, params, terms, "budget", (bottom, bottom + WIDTH))


def _turning(
    form: Form,
    params: Mapping[str, float],
    terms: Terms,
    field: str,
    ends: tuple[float, float],
) -> float | None:
    """Where, along one field of the lanes, two passes and one are equally good."""
    half = CHUNK // 2
    columns = {name: np.full(CHUNK, params[name]) for name in form.names}
    passes = np.log(np.repeat([1.0, 2.0], half))
    with jax.enable_x64(True):
        for _ in range(ROUNDS):
            points = np.linspace(*ends, half)
            along = {field: np.tile(points, 2), "fewest": passes, "most": passes}
            found, _ = solved(form, terms.lanes(form, columns, **along))
            better = found.excess[half:] < found.excess[:half]
            turns = np.flatnonzero(better[1:] != better[:-1])
            if not turns.size:
                return None
            ends = (float(points[turns[0]]), float(points[turns[0] + 1]))
    return float(np.exp(np.mean(ends)))
