"""Building blocks of a law: parameters, terms, and the form that they make up.

A form maps logarithms of the columns to the logarithm of the loss, so that a sum of
power laws is one log-sum-exp: stable at any size, and convex along a line of constant
compute. Its parameters are passed as `theta`: the logarithm of a positive parameter, an
exponent as it is.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

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
    being a number or the name of an exponent: A of A/N^alpha has L^1 N^alpha. The
    solver measures the parameter in this unit at the centre of the rows. A minus
    before the name of an exponent marks a rising term: k of k D^alpha has L^1 D^-alpha;
    "2 eta" is twice the exponent eta.
    `starts` are the values that the search starts from, in this unit.
    """

    name: str
    positive: bool
    starts: tuple[float, ...]
    unit: tuple[tuple[str, float | str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Form:
    """A law: its formula as text and as `log_loss(theta, logs)`, the columns that it
    takes, and its source. Column L of a table holds the values that it predicts.
    Derivatives are those of `log_loss` by automatic differentiation."""

    name: str
    formula: str
    source: str
    columns: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    log_loss: Callable[[Theta, Logs], Array]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the parameters, in order."""
        return tuple(parameter.name for parameter in self.parameters)

    def theta(self, params: Mapping[str, ArrayLike]) -> dict[str, Array]:
        """Parameters as the form takes them: logarithms of the positive ones."""
        values = {p.name: jnp.asarray(params[p.name]) for p in self.parameters}
        logs = {p.name: jnp.log(values[p.name]) for p in self.parameters if p.positive}
        return values | logs

    def predict(
        self, params: Mapping[str, float], columns: Mapping[str, np.ndarray]
    ) -> np.ndarray:
        """The loss at each row of `columns`, in float64."""
        with jax.enable_x64(True):
            logs = {name: jnp.log(jnp.asarray(columns[name])) for name in self.columns}
            return np.asarray(_loss(self, self.theta(params), logs))

    def predict_each(
        self,
        params: Mapping[str, Float[np.ndarray, "m"]],
        columns: Mapping[str, Float[np.ndarray, "n"]],
    ) -> Float[np.ndarray, "m n"]:
        """The loss at each row of `columns` for each of m sets of parameters."""
        with jax.enable_x64(True):
            logs = {name: jnp.log(jnp.asarray(columns[name])) for name in self.columns}
            each = jax.vmap(partial(_loss, self), in_axes=(0, None))
            return np.asarray(each(self.theta(params), logs))


@partial(jax.jit, static_argnames="form")
def _loss(form: Form, theta: Theta, logs: Logs) -> Array:
    return jnp.exp(form.log_loss(theta, logs))


def exponent(power: float | str, theta: Theta) -> ArrayLike:
    """The power of a column in a unit: a number, or an exponent of the form, its
    negative or its double."""
    if not isinstance(power, str):
        return power
    factor = -1 if power.startswith("-") else 2 if power.startswith("2 ") else 1
    return factor * theta[exponent_name(power)]


def exponent_name(power: str) -> str:
    """The exponent in a power of a unit: alpha of "alpha", "-alpha" and "2 alpha"."""
    return power.removeprefix("-").removeprefix("2 ")


def log_sum(*terms: Float[Array, "*#n"]) -> Float[Array, "*n"]:
    """Logarithm of a sum of terms given by their logarithms."""
    return jax.nn.logsumexp(jnp.stack(jnp.broadcast_arrays(*terms)), axis=0)


def log_power_law(
    theta: Theta, logs: Logs, scale: str, exponent: str, column: str
) -> Array:
    """Logarithm of scale / column^exponent."""
    return theta[scale] - theta[exponent] * logs[column]


FLOOR = Parameter(
    name="L_inf", positive=True, starts=(0.1, 0.5, 0.9), unit=(("L", 1.0),)
)


def power_law(scale: str, exponent: str, column: str) -> tuple[Parameter, Parameter]:
    """The two parameters of a term scale / column^exponent."""
    unit = (("L", 1.0), (column, exponent))
    return (
        Parameter(name=scale, positive=True, starts=(0.1, 0.4), unit=unit),
        Parameter(name=exponent, positive=False, starts=(0.1, 0.3, 0.7, 1.5)),
    )
