"""Parameters of the refits of a bootstrap."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from jetlab.laws.evidence.intervals import percentiles


@dataclass(frozen=True, kw_only=True)
class Draws:
    """Parameters of bootstrap refits: `values[name]` has one entry a refit that
    converged; `asked` counts all. `message` counts those left out, and `warnings` says
    why the intervals may be wrong."""

    values: dict[str, Float[np.ndarray, "draws"]]
    asked: int
    message: str
    warnings: tuple[str, ...] = ()

    @property
    def intervals(self) -> dict[str, tuple[float, float]]:
        """68 % percentile interval of each parameter."""
        ends = {k: percentiles(draws) for k, draws in self.values.items() if draws.size}
        return {name: (float(low), float(high)) for name, (low, high) in ends.items()}
