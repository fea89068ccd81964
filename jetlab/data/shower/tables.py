"""Tables from which the simulated shower is drawn, one row for each configuration."""

from functools import cache
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jetlab.data.shower import parameters as fixed
from jetlab.data.shower.decays import ELECTRON
from jetlab.data.shower.marks import BACKGROUND

DIRECT, CHILDREN = 192, 12  # lengths of the tables of two Poisson laws


class Emission(NamedTuple):
    """What a decay emits, the background as its last emitter."""

    share: Float[Array, "*b q"]
    direction: Float[Array, "*b q 2"]
    emitter: Int[Array, "*b q"]
    softness: Float[Array, "*b q"]
    before_end: Float[Array, "*b q"]  # probability that t < END
    edges: Float[Array, "*b e"]  # cumulative shares of the emitters
    direct: Float[Array, "*b n"]  # P(number of direct particles <= n)
    children: Float[Array, "*b m"]  # P(number of children <= m)
    lepton: Float[Array, "*b"]  # P(lepton | jet not empty)
    lepton_share: Float[Array, "*b"]
    lepton_direction: Float[Array, "*b 2"]
    lepton_emitter: Int[Array, "*b"]


def emission(label: Int[Array, "b"], configuration: Int[Array, "b"]) -> Emission:
    """The rows of some decays."""
    return Emission(*(jnp.asarray(v)[label, configuration] for v in _tables()))


@cache
def _tables() -> tuple[np.ndarray, ...]:
    """All rows, class by configuration, in the order of `Emission`."""
    decay, mean = fixed.configurations(), fixed.direct_mean()
    total = mean.sum(-1, keepdims=True)

    def extended(values: np.ndarray, background: float | int) -> np.ndarray:
        return np.concatenate([values, np.full_like(values[:, :, :1], background)], 2)

    rate = extended(decay.rate, fixed.BACKGROUND_RATE)
    tables = (
        extended(decay.share, 1.0),
        extended(decay.direction, 0.0),
        extended(decay.flavour, BACKGROUND),
        extended(decay.softness, fixed.BACKGROUND_SOFTNESS),
        mean / np.where(rate > 0, rate, 1.0),
        (mean.cumsum(-1) / total)[..., :-1],
        _poisson(total, DIRECT),
        _poisson(decay.offspring[..., None], CHILDREN),
        fixed.lepton_probability() / (1 - fixed.empty_probability()),
        decay.lepton_share,
        decay.lepton_direction,
        ELECTRON + decay.lepton_muon,
    )
    return tuple(
        v.astype(np.int32 if v.dtype.kind == "i" else np.float32) for v in tables
    )


def _poisson(mean: Float[np.ndarray, "k u 1"], size: int) -> Float[np.ndarray, "k u n"]:
    """P(number <= n) for n from 0 to size - 1."""
    n = np.arange(size)
    log_factorial = np.cumsum(np.log(np.maximum(n, 1)))
    return np.cumsum(np.exp(n * np.log(mean) - mean - log_factorial), axis=-1)
