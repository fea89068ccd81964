"""Fits with stated parameters, for tests of what is made of a fit."""

from typing import Any

import numpy as np

from jetlab.laws.evidence.draws import Draws
from jetlab.laws.result import FitResult
from jetlab.laws.terms import Form


def stated(form: Form, params: dict[str, float], **changes: Any) -> FitResult:
    """A reliable fit of nine runs, as if its parameters had been found."""
    fields = {
        "objective": 0.0,
        "converged": True,
        "outcome": "converged",
        "rows": 9,
        "span": {},
        "residuals": np.zeros(9),
    }
    return FitResult(form=form, params=params, **(fields | changes))


def draws(params: dict[str, float], count: int, **spread: Any) -> Draws:
    """Draws equal to the parameters, but for those given."""
    values = {name: np.full(count, float(value)) for name, value in params.items()}
    return Draws(values=values | spread, asked=count, message="")
