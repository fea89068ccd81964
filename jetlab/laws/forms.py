"""The formulas: what a law says of the loss, one definition each.

A form reads logarithms and gives the logarithm of the loss, so that a sum of power
laws is one log-sum-exp: stable at any size, and convex along a line of constant
compute. Its parameters come as `theta`: the logarithm of a positive parameter, an
exponent as it is.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

Theta = Mapping[str, Array]
Logs = Mapping[str, Array]


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """A parameter of a form.

    `unit` is the dimension of a positive parameter as (column, power) pairs, a power
    being a number or the name of an exponent: A of A/N^alpha has L^1 N^alpha. A solver
    measures it in that unit at the centre of the rows. `starts` are values to search
    from, in that unit.
    """

    name: str
    positive: bool
    starts: tuple[float, ...]
    unit: tuple[tuple[str, float | str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Form:
    """A law: its formula as text and as `log_loss(theta, logs)`, the columns that it
    reads, and its source."""

    name: str
    formula: str
    source: str
    columns: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    log_loss: Callable[[Theta, Logs], Array]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(parameter.name for parameter in self.parameters)

    def theta(self, params: Mapping[str, ArrayLike]) -> dict[str, Array]:
        """Physical parameters to the form's own: logarithms of the positive ones."""
        values = {p.name: jnp.asarray(params[p.name]) for p in self.parameters}
        logs = {p.name: jnp.log(values[p.name]) for p in self.parameters if p.positive}
        return values | logs

    def predict(
        self, params: Mapping[str, float], columns: Mapping[str, np.ndarray]
    ) -> np.ndarray:
        """The loss at each row of `columns`, in float64."""
        with jax.enable_x64(True):
            logs = {name: jnp.log(jnp.asarray(columns[name])) for name in self.columns}
            return np.asarray(jnp.exp(self.log_loss(self.theta(params), logs)))


def _sum(*terms: Float[Array, "*#n"]) -> Float[Array, "*n"]:
    """Logarithm of a sum of terms given by their logarithms."""
    return jax.nn.logsumexp(jnp.stack(jnp.broadcast_arrays(*terms)), axis=0)


def _fall(theta: Theta, logs: Logs, scale: str, exponent: str, column: str) -> Array:
    """Logarithm of scale / column^exponent."""
    return theta[scale] - theta[exponent] * logs[column]


FLOOR = Parameter(
    name="L_inf", positive=True, starts=(0.1, 0.5, 0.9), unit=(("L", 1.0),)
)


def _power(scale: str, exponent: str, column: str) -> tuple[Parameter, Parameter]:
    """The two parameters of a term scale / column^exponent."""
    unit = (("L", 1.0), (column, exponent))
    return (
        Parameter(name=scale, positive=True, starts=(0.1, 0.4), unit=unit),
        Parameter(name=exponent, positive=False, starts=(0.1, 0.3, 0.7, 1.5)),
    )


additive = Form(
    name="additive",
    formula="L_inf + A / N^alpha + B / D^beta",
    source="arXiv:2203.15556, Eq. 10; arXiv:2602.15781, Eq. 1",
    columns=("N", "D"),
    parameters=(FLOOR, *_power("A", "alpha", "N"), *_power("B", "beta", "D")),
    log_loss=lambda theta, logs: _sum(
        theta["L_inf"],
        _fall(theta, logs, "A", "alpha", "N"),
        _fall(theta, logs, "B", "beta", "D"),
    ),
)

model_only = Form(
    name="model_only",
    formula="L_inf + A / N^alpha",
    source="arXiv:2001.08361, Eq. 1.1, with a floor",
    columns=("N",),
    parameters=(FLOOR, *_power("A", "alpha", "N")),
    log_loss=lambda theta, logs: _sum(
        theta["L_inf"], _fall(theta, logs, "A", "alpha", "N")
    ),
)

data_only = Form(
    name="data_only",
    formula="L_inf + B / D^beta",
    source="arXiv:2001.08361, Eq. 1.2, with a floor",
    columns=("D",),
    parameters=(FLOOR, *_power("B", "beta", "D")),
    log_loss=lambda theta, logs: _sum(
        theta["L_inf"], _fall(theta, logs, "B", "beta", "D")
    ),
)

FORMS = (additive, model_only, data_only)


def named(name: str) -> Form:
    """The form that a saved fit names. Raises ValueError for an unknown one."""
    for form in FORMS:
        if form.name == name:
            return form
    known = ", ".join(form.name for form in FORMS)
    raise ValueError(f"no form is called {name!r}; there are {known}")
