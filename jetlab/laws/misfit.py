"""What a fit minimises: how much a row that misses the law counts.

    sum over rows of w rho(log L_fit - log L)

rho is Huber's function (arXiv:2203.15556, Appendix D.3), half the square (least
squares in log L, the likelihood of normal scatter), or the absolute value (the
likelihood of Laplace's, to which Epoch AI's fit of the noise scale collapses,
arXiv:2404.10102). Huber's with delta far below the scatter is nearly the last.
"""

from dataclasses import asdict, dataclass
from math import inf, isfinite
from typing import Literal, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

DELTA = 1e-3
NEVER = 1e9  # a knee, in units of delta, that no residual reaches


class Rho(NamedTuple):
    """A misfit as the solver sees it, in units of delta: u^2 / 2 up to the knee and
    straight beyond, times `above` for a run whose loss is above the law."""

    delta: Float[Array, ""]
    knee: Float[Array, ""]
    above: Float[Array, ""]


@dataclass(frozen=True, kw_only=True)
class Misfit:
    """A choice of rho.

    `delta` is where Huber's function turns from square to straight, in log L; least
    squares only take it as a unit, and absolute deviations are sought first as Huber's
    with that delta.

    `above` multiplies rho of the rows whose loss is above the law, those that may be
    undertuned: at 0.5 a run 2 % above counts half as much as one 2 % below. The law
    then sinks towards the better runs: an absolute fit with `above` = f leaves a share
    f / (1 + f) of the (equally weighted) rows below it, a third at 0.5, a tenth at 1/9.
    1 is symmetric. Raises ValueError for a choice that is no misfit.
    """

    kind: Literal["huber", "squares", "absolute"] = "huber"
    delta: float = DELTA
    above: float = 1.0

    def __post_init__(self):
        if self.kind not in ("huber", "squares", "absolute"):
            raise ValueError(
                f"no misfit is called {self.kind!r}; there are huber, squares, absolute"
            )
        if not 0 < self.delta < inf:
            raise ValueError(f"Huber's delta is {self.delta}, not positive and finite")
        if not 0 < self.above <= 1:
            raise ValueError(
                f"above is {self.above}: runs above the law count at most as much as"
                " those below it (1) and more than nothing (0)"
            )

    @property
    def rho(self) -> Rho:
        """For the solver, in the precision in force."""
        knee = NEVER if self.kind == "squares" else 1.0
        return Rho(*(jnp.asarray(x) for x in (self.delta, knee, self.above)))

    @property
    def words(self) -> str:
        """The choice as a phrase."""
        name = {
            "huber": f"Huber's function of log L, delta {self.delta:g}",
            "squares": "least squares in log L",
            "absolute": "least absolute deviations of log L",
        }[self.kind]
        if self.above == 1:
            return name
        return f"{name}, runs above the law counted {self.above:g} times"

    def record(self) -> dict[str, str | float]:
        """The choice as JSON writes it; `Misfit(**record)` reads it."""
        return asdict(self)


HUBER = Misfit()
SQUARES = Misfit(kind="squares")
ABSOLUTE = Misfit(kind="absolute")


def chosen(misfit: Misfit | float) -> Misfit:
    """A misfit; a number is Huber's delta."""
    if isinstance(misfit, Misfit):
        return misfit
    if not isfinite(misfit) or misfit <= 0:
        raise ValueError(f"Huber's delta is {misfit}, not positive and finite")
    return Misfit(delta=misfit)
