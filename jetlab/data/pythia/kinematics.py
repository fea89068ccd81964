"""Directions and distances in pseudorapidity and azimuth."""

from typing import Any

import numpy as np
from jaxtyping import Float


def wrap_phi(angle: Any) -> Any:
    """The angle in [-pi, pi)."""
    return (angle + np.pi) % (2 * np.pi) - np.pi


def eta_phi(
    momentum: Float[np.ndarray, "*n 3"],
) -> tuple[Float[np.ndarray, "*n"], Float[np.ndarray, "*n"]]:
    """Pseudorapidity and azimuth of (px, py, pz) in GeV; a pT below 1e-9 counts as
    1e-9, so that momenta along the beam have a finite eta."""
    px, py, pz = np.moveaxis(momentum, -1, 0)
    pt = np.maximum(np.hypot(px, py), 1e-9)
    return np.arcsinh(pz / pt), np.arctan2(py, px)


def delta_r(eta1: Any, phi1: Any, eta2: Any, phi2: Any) -> Any:
    """sqrt((eta2 - eta1)^2 + (phi2 - phi1)^2), elementwise, with phi wrapped."""
    return np.hypot(eta2 - eta1, wrap_phi(phi2 - phi1))
