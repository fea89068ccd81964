"""The loss function of a fit: how much a row that misses the law counts.

    sum over rows of w rho(log L_fit - log L)

rho is Huber's function (arXiv:2203.15556, Appendix D.3), half the square (least
squares in log L, the likelihood of normal scatter), or the absolute value (the
likelihood of Laplace's distribution, to which Epoch AI's fit of the noise scale
collapses, arXiv:2404.10102). Huber's with delta far below the scatter is close to the
last.
"""

from dataclasses import asdict, dataclass
from math import inf
from typing import Literal, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

DELTA = 1e-3
QUADRATIC = 1e9  # a threshold, in units of delta, that no residual reaches


class Rho(NamedTuple):
    """A misfit as the solver takes it, in units of delta: u^2 / 2 up to `threshold`,
    linear beyond, times `above` for a run whose loss is above the law."""

    delta: Float[Array, ""]
    threshold: Float[Array, ""]
    above: Float[Array, ""]
    of_loss: Float[Array, ""]  # 1 for residuals of L, 0 for those of log L


@dataclass(frozen=True, kw_only=True)
class Misfit:
    """A choice of rho.

    Args:
      delta: where Huber's function turns from quadratic to linear, in log L. Least
        squares use it as a unit only, and absolute deviations are first fitted as
        Huber's with this delta.
      above: factor on rho of the rows whose loss is above the law, which may be
        undertuned runs: at 0.5 a run 2 % above counts half as much as one 2 % below.
        The law then moves towards the better runs: a fit of absolute deviations with
        `above` = f leaves a share f / (1 + f) of equally weighted rows below it, a
        third at 0.5, a tenth at 1/9. 1 is symmetric.

      of: what the residuals are of: log L, whose scatter is a share of the loss, or L,
        in which small losses count less. Delta is in its units.

    Raises:
      ValueError: for an unknown kind or `of`, or a delta or `above` out of range.
    """

    kind: Literal["huber", "squares", "absolute"] = "huber"
    delta: float = DELTA
    above: float = 1.0
    of: Literal["log L", "L"] = "log L"

    def __post_init__(self):
        if self.kind not in ("huber", "squares", "absolute"):
            raise ValueError(
                f"unknown misfit {self.kind!r}; known are huber, squares, absolute"
            )
        if self.of not in ("log L", "L"):
            raise ValueError(f"residuals are of log L or of L, not of {self.of!r}")
        if not 0 < self.delta < inf:
            raise ValueError(f"Huber's delta is {self.delta}, not positive and finite")
        if not 0 < self.above <= 1:
            raise ValueError(f"above is {self.above}; it must be in (0, 1]")

    @property
    def rho(self) -> Rho:
        """The choice as arrays, in the precision in force."""
        threshold = QUADRATIC if self.kind == "squares" else 1.0
        numbers = (self.delta, threshold, self.above, float(self.of == "L"))
        return Rho(*(jnp.asarray(x) for x in numbers))

    @property
    def words(self) -> str:
        """The choice as a phrase."""
        name = {
            "huber": f"Huber's function of {self.of}, delta {self.delta:g}",
            "squares": f"least squares in {self.of}",
            "absolute": f"least absolute deviations of {self.of}",
        }[self.kind]
        if self.above == 1:
            return name
        return f"{name}, runs above the law with weight {self.above:g}"

    def record(self) -> dict[str, str | float]:
        """The choice as JSON holds it; `Misfit(**record)` reads it."""
        record = asdict(self)
        return record if self.of == "L" else {k: record[k] for k in record if k != "of"}


HUBER = Misfit()
SQUARES = Misfit(kind="squares")
ABSOLUTE = Misfit(kind="absolute")
