"""The laws that can be fitted, and the list of them by name.

Laws of repeated data are defined in `jetlab.laws.repeated_data`.
"""

import jax.numpy as jnp
from jaxtyping import Array

from jetlab.laws.one_variable import broken, exponential, saturating
from jetlab.laws.repeated_data import amplified, repeated, repetition
from jetlab.laws.terms import (
    FLOOR,
    Form,
    Logs,
    Parameter,
    Theta,
    log_power_law,
    log_sum,
    power_law,
)

additive = Form(
    name="additive",
    formula="L_inf + A / N^alpha + B / D^beta",
    source="arXiv:2203.15556, Eq. 10; arXiv:2602.15781, Eq. 1",
    columns=("N", "D"),
    parameters=(
        FLOOR,
        *power_law("A", "alpha", "N"),
        *power_law("B", "beta", "D"),
    ),
    log_loss=lambda theta, logs: log_sum(
        theta["L_inf"],
        log_power_law(theta, logs, "A", "alpha", "N"),
        log_power_law(theta, logs, "B", "beta", "D"),
    ),
)


def _one_power(name: str, scale: str, exponent: str, column: str, source: str) -> Form:
    """A floor and a power of one column."""
    return Form(
        name=name,
        formula=f"L_inf + {scale} / {column}^{exponent}",
        source=source,
        columns=(column,),
        parameters=(FLOOR, *power_law(scale, exponent, column)),
        log_loss=lambda theta, logs: log_sum(
            theta["L_inf"], log_power_law(theta, logs, scale, exponent, column)
        ),
    )


model_only = _one_power(
    "model_only", "A", "alpha", "N", "arXiv:2001.08361, Eq. 1.1, with a floor"
)
data_only = _one_power(
    "data_only", "B", "beta", "D", "arXiv:2001.08361, Eq. 1.2, with a floor"
)
compute_only = _one_power(
    "compute_only", "K", "gamma", "C", "arXiv:2001.08361, Eq. 1.3, with a floor"
)

LINEAR_BELOW = 1e-3  # of a: below it log(a - b ln N) is continued by its tangent


def _log_of_line(theta: Theta, logs: Logs) -> Array:
    """log(a - b ln N), continued by its tangent below a thousandth of a, so that a
    solver that steps past the zero of the line finds a slope back."""
    height = 1 - jnp.exp(theta["b"] - theta["a"]) * logs["N"]
    above = jnp.log(jnp.maximum(height, LINEAR_BELOW))
    return theta["a"] + above + (jnp.minimum(height, LINEAR_BELOW) / LINEAR_BELOW - 1)


logarithmic = Form(
    name="logarithmic",
    formula="a - b ln N",
    source="arXiv:2605.28940 names a logarithmic law in N; this form of it is ours",
    columns=("N",),
    parameters=(
        Parameter(name="a", positive=True, starts=(1.2, 2.0, 6.0), unit=(("L", 1.0),)),
        Parameter(name="b", positive=True, starts=(0.01, 0.1), unit=(("L", 1.0),)),
    ),
    log_loss=_log_of_line,
)

transfer = Form(
    name="transfer",
    formula="D_T = k D^alpha N^beta",  # column L holds D_T, D the fine-tuning examples
    source="arXiv:2102.01293, effective data transferred",
    columns=("N", "D"),
    parameters=(
        Parameter(
            name="k",
            positive=True,
            starts=(0.1, 1.0),
            unit=(("L", 1.0), ("D", "-alpha"), ("N", "-beta")),
        ),
        Parameter(name="alpha", positive=False, starts=(0.1, 0.5)),
        Parameter(name="beta", positive=False, starts=(0.1, 0.5)),
    ),
    log_loss=lambda theta, logs: (
        theta["k"] + theta["alpha"] * logs["D"] + theta["beta"] * logs["N"]
    ),
)

overtrained = Form(
    name="overtrained",
    formula="L_inf + (a M^eta + b M^-eta) / C^eta",  # = L_inf + a/N^2eta + b/D^2eta
    source="arXiv:2403.08540, Eq. 4, with M = D / N and C = N D",
    columns=("N", "D"),
    parameters=(
        FLOOR,
        Parameter(
            name="a", positive=True, starts=(0.1, 0.4), unit=(("L", 1), ("N", "2 eta"))
        ),
        Parameter(
            name="b", positive=True, starts=(0.1, 0.4), unit=(("L", 1), ("D", "2 eta"))
        ),
        Parameter(name="eta", positive=False, starts=(0.05, 0.15, 0.35, 0.75)),
    ),
    log_loss=lambda theta, logs: log_sum(
        theta["L_inf"],
        theta["a"] - 2 * theta["eta"] * logs["N"],
        theta["b"] - 2 * theta["eta"] * logs["D"],
    ),
)

rejection = Form(
    name="rejection",
    formula="R = C + A / X^B",  # X = exp(loss); column L holds the rejection R
    source="arXiv:2602.15781, Section 4",
    columns=("X",),
    parameters=(
        Parameter(name="C", positive=True, starts=(0.1, 0.5), unit=(("L", 1.0),)),
        Parameter(
            name="A", positive=True, starts=(0.3, 0.9), unit=(("L", 1.0), ("X", "B"))
        ),
        Parameter(name="B", positive=False, starts=(1.0, 4.0, 12.0)),
    ),
    log_loss=lambda theta, logs: log_sum(
        theta["C"], log_power_law(theta, logs, "A", "B", "X")
    ),
)

FORMS = (
    additive,
    overtrained,
    model_only,
    data_only,
    compute_only,
    logarithmic,
    repetition,
    amplified,
    repeated,
    transfer,
    rejection,
    saturating,
    broken,
    exponential,
)


def get_form(name: str) -> Form:
    """The form of that name.

    Raises:
      ValueError: for an unknown name; the message lists the known ones.
    """
    for form in FORMS:
        if form.name == name:
            return form
    known = ", ".join(form.name for form in FORMS)
    raise ValueError(f"no form is called {name!r}; there are {known}")
