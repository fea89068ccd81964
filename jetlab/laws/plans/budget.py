"""What a budget pays for: training, 6 n_p N D FLOPs, and the simulation of jets.

All costs are in FLOPs. Simulation is converted by prices: `simulation_flops`.
"""

from dataclasses import dataclass
from math import isfinite

PARTICLES = 40.0
"""Mean number of particles in a JetClass jet, n_p of arXiv:2602.15781."""


@dataclass(frozen=True, kw_only=True)
class Costs:
    """A budget for simulation and training: E 6 n_p N U + s U = C for U jets that cost
    s FLOPs each to simulate and E epochs over them, between the bounds on E.

    Args:
      flops: C.
      flops_per_jet: s.
      particles: n_p, mean number of particles of a jet.
      min_epochs: lower bound on E.
      max_epochs: upper bound on E.
    """

    flops: float
    flops_per_jet: float
    particles: float
    min_epochs: float = 1.0
    max_epochs: float = 1.0


def flops_per_parameter(particles: float) -> float:
    """FLOPs to train one parameter on one jet, 6 n_p (arXiv:2001.08361, Eq. 2.8, with
    particles for tokens)."""
    return 6 * particles


def training_flops(device_hours: float, flop_rate: float) -> float:
    """FLOPs of `device_hours` at `flop_rate` achieved FLOP/s a device.

    Raises:
      ValueError: unless both are positive and finite.
    """
    require_positive(device_hours=device_hours, flop_rate=flop_rate)
    return device_hours * 3600 * flop_rate


def simulation_flops(core_seconds: float, exchange: float) -> float:
    """FLOPs that cost as much as `core_seconds` of simulation of one jet.

    `exchange` is (price of a core-second) / (price of a FLOP of training).

    Raises:
      ValueError: unless both are positive and finite.
    """
    require_positive(core_seconds=core_seconds, exchange=exchange)
    return core_seconds * exchange


def require_positive(**numbers: float) -> None:
    """Raises ValueError that names the first number not positive and finite."""
    for name, value in numbers.items():
        if not (isfinite(value) and value > 0):
            raise ValueError(f"{name} is {value:g}; it must be positive and finite")
