"""Quantiles that give the intervals of laws, by default at `types.CONFIDENCE_LEVEL`."""

import numpy as np
from jaxtyping import Float
from scipy.special import stdtrit

from jetlab.types import CONFIDENCE_LEVEL


def ends_of(level: float) -> tuple[float, float]:
    """Probabilities at the ends of a central interval."""
    tail = (1 - level) / 2
    return tail, 1 - tail


def percentiles(
    values: Float[np.ndarray, "draws *n"], level: float = CONFIDENCE_LEVEL
) -> Float[np.ndarray, "2 *n"]:
    """Central interval that holds a share `level` of the draws."""
    return np.quantile(values, ends_of(level), axis=0)


def around(value: float, ends: Float[np.ndarray, "2"]) -> tuple[float, float]:
    """An interval of draws, extended to the fitted value where that is outside: draws
    need not be centred on it, and it is the value that is quoted."""
    return min(float(ends[0]), value), max(float(ends[1]), value)


def student_quantile(level: float, freedom: float) -> float:
    """t such that |Student's t| with `freedom` degrees of freedom is below it with
    probability `level`."""
    return float(stdtrit(freedom, (1 + level) / 2))


def student_factor(freedom: float) -> float:
    """How much wider an interval is by Student's t than by the normal distribution."""
    normal = student_quantile(CONFIDENCE_LEVEL, np.inf)
    return student_quantile(CONFIDENCE_LEVEL, freedom) / normal
