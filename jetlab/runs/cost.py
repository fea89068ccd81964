"""The cost of runs before they are trained: FLOPs, and time on this machine."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np

from jetlab.training.run_config import RunConfig, cost
from jetlab.training.trajectory import trajectories_of

NOMINAL_PARTICLES = 40
"""n_p of arXiv:2602.15781, for a cost before any jet is read."""

SPEED = {4: 0.06, 16: 0.27, 64: 0.6, 128: 0.7}
"""Share of the speed of a large matrix product that training reaches on a CPU, by
width (benchmarks/roofline.py)."""

COMPILE = 9.0
"""Seconds of compilation of a compiled program on one core."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Number of runs, FLOPs by 6 n_p N D (all passes that repeated runs may take), and
    seconds on this machine, good to a factor of two."""

    runs: int
    flops: float
    seconds: float

    def __str__(self) -> str:
        return (
            f"{self.runs} runs, {self.flops:.2g} FLOPs, about"
            f" {_duration(self.seconds)} on this machine"
        )


def at_once() -> int:
    """Groups of runs that train side by side: one on accelerators, two on a CPU.

    One tiny run cannot keep two cores busy; more than two compete for the caches.
    Programs of several devices wait for one another if two of them begin at once.
    """
    if jax.default_backend() != "cpu" or jax.device_count() > 1:
        return 1
    return min(2, os.cpu_count() or 1)


def total_flops(runs: Sequence[RunConfig], *, one_trajectory: bool) -> float:
    """FLOPs of what is trained by the paper's estimate, repeated runs with all passes
    that they may take; 40 particles a jet, or as many as the inputs show."""
    longest = [one.run for one in trajectories_of(runs, one_trajectory=one_trajectory)]
    return sum(cost(run, _particles(run)) for run in longest)


def cost_of(runs: Sequence[RunConfig], *, one_trajectory: bool) -> Cost:
    """The cost of a grid, a row of D counted once where runs share a trajectory."""
    longest = [one.run for one in trajectories_of(runs, one_trajectory=one_trajectory)]
    peak = _peak()
    training = sum(
        cost(run, _particles(run)) / (peak * _share(run.model.width)) for run in longest
    )
    programs = len({run.group for run in longest})
    return Cost(
        runs=len(runs),
        flops=sum(cost(run, _particles(run)) for run in longest),
        seconds=training + COMPILE * programs / at_once(),
    )


def _particles(run: RunConfig) -> int:
    return min(NOMINAL_PARTICLES, run.input_config.particles)


def _share(width: int) -> float:
    """Of the speed of a large product: on a CPU as measured; half on an accelerator,
    where replicas fill the device."""
    if jax.default_backend() != "cpu":
        return 0.5
    return float(np.interp(np.log(width), np.log(list(SPEED)), list(SPEED.values())))


@lru_cache(1)
def _peak() -> float:
    """FLOP/s of a large matrix product on this machine, measured once."""
    size = 1024 if jax.default_backend() == "cpu" else 8192
    square = jnp.ones((size, size))
    multiply = jax.jit(lambda a: a @ a)
    multiply(square).block_until_ready()
    begin = time.perf_counter()
    for _ in range(3):
        multiply(square).block_until_ready()
    return 3 * 2 * size**3 / (time.perf_counter() - begin)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
