"""The definition of every feature, as columns over particles that XLA computes."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Num

from jetlab.types import MEASURED

_HALVES = np.nan_to_num(
    np.arange(2**16, dtype=np.uint16).view(np.float16).astype(np.float32),
    posinf=0.0,
    neginf=0.0,
)
# XLA computes these two one by one on a CPU: looking them up is ten times faster.
_COS, _SIN = np.cos(_HALVES), np.sin(_HALVES)


class Stored(NamedTuple):
    """A column over particles for every stored quantity, and for those of the jet
    that a particle is in: log pT, log E, eta, cos phi, sin phi."""

    measured: Float[Array | np.ndarray, "8 n"]
    jet: Float[Array | np.ndarray, "5 n"]
    charge: Int[Array | np.ndarray, "n"]
    species: Int[Array | np.ndarray, "n"]


class Particles:
    """What the features are made of, under its names."""

    def __init__(self, stored: Stored):
        self.charge, self.species = stored.charge, stored.species
        self.halves = dict[str, Any](zip(MEASURED, stored.measured, strict=True))
        names = ("log_pt", "log_energy", "eta", "cos", "sin")
        self.jet = dict[str, Any](zip(names, stored.jet, strict=True))

    def column(self, name: str) -> Float[Array, "n"]:
        return self.halves[name].astype(jnp.float32)

    def log(self, name: str) -> Float[Array, "n"]:
        return jnp.log(self.column(name))

    def turned(self, table: Float[np.ndarray, "halves"]) -> Float[Array, "n"]:
        """A function of the angle to the jet, from its table over all float16."""
        bits = jax.lax.bitcast_convert_type(self.halves["dphi"], jnp.uint16)
        return jnp.asarray(table)[bits]

    @property
    def px(self) -> Float[Array, "n"]:
        """pT cos(phi of the jet + dphi)."""
        cos, sin = self.turned(_COS), self.turned(_SIN)
        return self.column("pt") * (self.jet["cos"] * cos - self.jet["sin"] * sin)

    @property
    def py(self) -> Float[Array, "n"]:
        cos, sin = self.turned(_COS), self.turned(_SIN)
        return self.column("pt") * (self.jet["sin"] * cos + self.jet["cos"] * sin)

    @property
    def pz(self) -> Float[Array, "n"]:
        """pT sinh(eta), by the faster exp: deta grows away from the beam's middle."""
        grown = jnp.exp(jnp.abs(self.jet["eta"]) + self.column("deta"))
        size = self.column("pt") * (grown - 1 / grown) / 2
        return jnp.copysign(1.0, self.jet["eta"]) * size

    @property
    def distance(self) -> Float[Array, "n"]:
        deta, dphi = self.column("deta"), self.column("dphi")
        return jnp.sqrt(deta * deta + dphi * dphi)


Column = Callable[[Particles], Any]


def _asinh(p: Float[Array, "n"]) -> Float[Array, "n"]:
    """asinh(p / 1 GeV): linear for soft particles, logarithmic for hard ones, odd."""
    size = jnp.abs(p)
    return jnp.copysign(jnp.log(size + jnp.sqrt(size * size + 1)), p)


def _scale(
    value: Num[Array, "n"],
    subtract: float = 0.0,
    multiply: float = 1.0,
    low: float = -5.0,
    high: float = 5.0,
) -> Float[Array, "n"]:
    return jnp.clip((value - subtract) * multiply, low, high)


def _is(species: int) -> Column:
    return lambda p: p.species == species


COLUMNS: dict[str, Column] = {
    "part_pt_log": lambda p: _scale(p.log("pt"), 1.7, 0.7),
    "part_e_log": lambda p: _scale(p.log("energy"), 2.0, 0.7),
    "part_logptrel": lambda p: _scale(p.log("pt") - p.jet["log_pt"], -4.7, 0.7),
    "part_logerel": lambda p: _scale(p.log("energy") - p.jet["log_energy"], -4.7, 0.7),
    "part_deltaR": lambda p: _scale(p.distance, 0.2, 4.0),
    "part_charge": lambda p: p.charge,
    "part_isChargedHadron": _is(0),
    "part_isNeutralHadron": _is(1),
    "part_isPhoton": _is(2),
    "part_isElectron": _is(3),
    "part_isMuon": _is(4),
    "part_d0": lambda p: jnp.tanh(p.column("d0val")),
    "part_d0err": lambda p: _scale(p.column("d0err"), low=0.0, high=1.0),
    "part_dz": lambda p: jnp.tanh(p.column("dzval")),
    "part_dzerr": lambda p: _scale(p.column("dzerr"), low=0.0, high=1.0),
    "part_deta": lambda p: p.halves["deta"],
    "part_dphi": lambda p: p.halves["dphi"],
    "part_px": lambda p: 0.4 * _asinh(p.px),
    "part_py": lambda p: 0.4 * _asinh(p.py),
    "part_pz": lambda p: 0.4 * _asinh(p.pz),
    "part_energy": lambda p: 0.4 * _asinh(p.column("energy")),
}
# The scaling of the four-momentum is a choice, as the paper prints none:
# 0.4 asinh(p / 1 GeV) is smooth and odd, and stays within +-3.5 for jets to 3 TeV.
