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

CPU_EFFICIENCY = {4: 0.06, 16: 0.27, 64: 0.6, 128: 0.7}
"""FLOP/s of training over those of a large matrix product on a CPU, by width
(benchmarks/roofline.py)."""

COMPILE = 9.0
"""Seconds that a program compiles on one core."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Number of runs, FLOPs (see `total_flops`), and seconds on this machine, good to a
    factor of two."""

    runs: int
    flops: float
    seconds: float

    def __str__(self) -> str:
        return (
            f"{self.runs} runs, {self.flops:.2g} FLOPs, about"
            f" {_duration(self.seconds)} on this machine"
        )


def at_once() -> int:
    """Number of groups that train concurrently: two on a CPU, one on accelerators.

    One tiny model leaves a second core idle, and more than two groups compete for the
    caches. Two programs that each span several devices would deadlock.
    """
    if jax.default_backend() != "cpu" or jax.device_count() > 1:
        return 1
    return min(2, os.cpu_count() or 1)


def total_flops(runs: Sequence[RunConfig], *, one_trajectory: bool) -> float:
    """6 n_p N D epochs (arXiv:2602.15781, Section 2), summed over trajectories.

    Repeated runs count with all epochs that they may take, jets with 40 particles or
    the most that the inputs show.
    """
    trajectories = trajectories_of(runs, one_trajectory=one_trajectory)
    return sum(_flops(one.run) for one in trajectories)


def cost_of(runs: Sequence[RunConfig], *, one_trajectory: bool) -> Cost:
    """The cost of a grid; runs of one trajectory cost as much as the longest."""
    trajectories = trajectories_of(runs, one_trajectory=one_trajectory)
    longest = [one.run for one in trajectories]
    peak, programs = _peak(), len({run.group for run in longest})
    training = sum(_flops(r) / (peak * _efficiency(r.model.width)) for r in longest)
    return Cost(
        runs=len(runs),
        flops=sum(map(_flops, longest)),
        seconds=training + COMPILE * programs / at_once(),
    )


def _flops(run: RunConfig) -> float:
    return cost(run, min(NOMINAL_PARTICLES, run.input_config.particles))


def _efficiency(width: int) -> float:
    """Achieved share of the peak: on a CPU as measured; half on an accelerator, where
    replicas fill the device."""
    if jax.default_backend() != "cpu":
        return 0.5
    measured = np.array(list(CPU_EFFICIENCY.values()))
    return float(np.interp(np.log(width), np.log(list(CPU_EFFICIENCY)), measured))


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
