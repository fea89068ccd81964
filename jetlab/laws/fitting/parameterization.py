"""Coordinates of the solver: unbounded, dimensionless, one for each free parameter.

A power law's scale and exponent are all but degenerate when N is near 1e8: a change
of alpha by 0.01 moves A by a fifth. Measured in its unit at the centre of the rows (the
value of A/N^alpha there), the scale is nearly independent of the exponent, and the
condition number of the problem falls from 1e11 to about 1e2.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from itertools import product
from math import isfinite
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jetlab.laws.terms import Form, Parameter, exponent

Leaf = Any  # a float, or what JAX puts in its place while tracing
LARGEST = 700.0  # of a logarithm: keeps a scale without effect finite
EDGE = 1e-6  # share of the width by which a start on a bound is moved inside


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["bounds", "fixed", "centre"],
    meta_fields=["form", "ties"],
)
@dataclass(frozen=True, kw_only=True)
class Space:
    """Coordinates z, one for each parameter of a form that is not fixed.

    `bounds` and `fixed` are by parameter, in physical values; `centre` is the mean
    logarithm of each column, of "L" too. `ties` are pairs of a parameter and the free
    one that it equals.
    """

    form: Form
    bounds: dict[str, tuple[Leaf, Leaf]]
    fixed: dict[str, Leaf]
    centre: dict[str, Leaf]
    ties: tuple[tuple[str, str], ...] = ()

    @property
    def free(self) -> tuple[Parameter, ...]:
        given = {*self.fixed, *dict(self.ties)}
        return tuple(p for p in self.form.parameters if p.name not in given)

    def theta(self, z: Float[Array, "k"]) -> dict[str, Float[Array, ""]]:
        """The form's parameters at z, bounded ones inside their bounds."""
        theta = {
            p.name: _internal(p, jnp.asarray(self.fixed[p.name]))
            for p in self.form.parameters
            if p.name in self.fixed
        }
        for parameter, coordinate in self._exponents_first(z):
            theta[parameter.name] = self._one(parameter, coordinate, theta)
            tied = [name for name, other in self.ties if other == parameter.name]
            theta |= dict.fromkeys(tied, theta[parameter.name])
        return theta

    def _exponents_first(self, z: Float[Array, "k"]) -> list[tuple[Parameter, Array]]:
        """Free parameters and their coordinates, exponents before the units that need
        them."""
        pairs = list(zip(self.free, z, strict=True))
        return sorted(pairs, key=lambda pair: pair[0].positive)

    def _one(self, p: Parameter, z: Array, theta: Mapping[str, Array]) -> Array:
        if p.name not in self.bounds:
            return z + self._log_unit(p, theta) if p.positive else z
        low, high = self.bounds[p.name]
        share = jax.nn.sigmoid(jnp.clip(z, -36.0, 36.0))  # past 36 it rounds to 1
        return _internal(p, low + (high - low) * share)

    def _log_unit(self, p: Parameter, theta: Mapping[str, Array]) -> Array:
        """Logarithm of the parameter's unit at the centre of the rows."""
        total = jnp.zeros(())
        for column, power in p.unit:
            total += exponent(power, theta) * self.centre[column]
        return total

    def coordinates(self, params: Mapping[str, float]) -> np.ndarray:
        """z of physical parameters, those outside a bound moved just inside it."""
        theta = self.form.theta(params)
        return np.array([self._coordinate(p, theta, params) for p in self.free])

    def _coordinate(
        self, p: Parameter, theta: Mapping[str, Array], params: Mapping[str, float]
    ) -> float:
        if p.name not in self.bounds:
            return float(theta[p.name] - self._log_unit(p, theta))
        low, high = self.bounds[p.name]
        share = np.clip((params[p.name] - low) / (high - low), EDGE, 1 - EDGE)
        return float(np.log(share / (1 - share)))

    def params(self, z: Float[np.ndarray, "k"]) -> dict[str, float]:
        """Physical parameters at z, in the order of the form."""
        return {name: float(v[0]) for name, v in self.many_params(z[None]).items()}

    def many_params(
        self, z: Float[np.ndarray, "b k"]
    ) -> dict[str, Float[np.ndarray, "b"]]:
        """Physical parameters at each row of z."""
        theta = _thetas(self, jnp.asarray(z))
        values = {
            p.name: np.exp(np.minimum(theta[p.name], LARGEST))
            if p.positive
            else np.asarray(theta[p.name])
            for p in self.form.parameters
        }
        for name, (low, high) in self.bounds.items():  # exp(log(x)) may miss by an ulp
            values[name] = np.clip(values[name], low, high)
        for name, value in self.fixed.items():
            values[name] = np.full(len(z), value)
        return values

    def grid(self) -> Float[np.ndarray, "s k"]:
        """Starts: every combination of those of the free parameters."""
        points = product(*(p.starts for p in self.free))
        return np.array([self._start(point) for point in points])

    def _start(self, point: tuple[float, ...]) -> list[float]:
        return [
            self._bounded_start(p, value)
            if p.name in self.bounds
            else float(np.log(value) if p.positive else value)
            for p, value in zip(self.free, point, strict=True)
        ]

    def _bounded_start(self, p: Parameter, value: float) -> float:
        """A bounded parameter starts at even quantiles of its interval."""
        share = (p.starts.index(value) + 1) / (len(p.starts) + 1)
        return float(np.log(share / (1 - share)))


@jax.jit
def _thetas(space: Space, z: Float[Array, "b k"]) -> dict[str, Float[Array, "b"]]:
    return jax.vmap(space.theta)(z)


def _internal(p: Parameter, value: Array) -> Array:
    return jnp.log(value) if p.positive else value


def check_choices(
    form: Form,
    fixed: Mapping[str, float],
    bounds: Mapping[str, tuple[float, float]],
    ties: Mapping[str, str] = {},
) -> None:
    """Check `fixed`, `bounds` and `ties`.

    Raises:
      ValueError: for a fixed value, a bound or a tie that the form cannot have.
    """
    for name in (*fixed, *bounds, *ties, *ties.values()):
        if name not in form.names:
            raise ValueError(
                f"{form.name} has no parameter {name}; it has {', '.join(form.names)}"
            )
    if set(form.names) <= set(fixed):
        raise ValueError(f"every parameter of {form.name} is fixed: nothing to fit")
    positive = {p.name for p in form.parameters if p.positive}
    for name, other in ties.items():
        if name in {*fixed, *bounds} or other in {*fixed, *ties}:
            raise ValueError(
                f"{name} = {other}: a tied parameter is neither fixed nor bounded, and"
                " the one that it equals is free"
            )
        if (name in positive) or (other in positive):
            raise ValueError(f"{name} = {other}: only exponents can be tied")
    for name, value in fixed.items():
        if not isfinite(value) or (name in positive and value <= 0):
            raise ValueError(f"{name} cannot be fixed at {value}")
    for name, (low, high) in bounds.items():
        if not (isfinite(low) and isfinite(high) and low < high):
            raise ValueError(f"bounds of {name} are ({low}, {high}), not low < high")
        if name in positive and low < 0:
            raise ValueError(f"{name} is positive: its lower bound cannot be {low}")
        if name in fixed:
            raise ValueError(f"{name} is fixed and bounded: choose one")
