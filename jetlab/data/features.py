"""The 21 features of a particle and the four input configurations.

The set is Particle Transformer's 17 inputs with its standardisation (arXiv:2202.03772)
and the four-momentum: kinematics, particle identity and track parameters, 21 in all
(arXiv:2602.15781). Every feature is computed from the stored quantities on reading.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Num

from jetlab.data import ragged
from jetlab.types import JET, MAX_PARTICLES, MEASURED, SPECIES, FlatJets, Jets, Ragged

_HALVES = np.nan_to_num(
    np.arange(2**16, dtype=np.uint16).view(np.float16).astype(np.float32),
    posinf=0.0,
    neginf=0.0,
)
"""The value of every finite float16. Stored quantities are float16, so a function of
one of them is looked up: exact, and several times faster than computing it."""

_LOG = np.log(np.maximum(_HALVES, np.finfo(np.float16).tiny))


class _Particles:
    """Columns over all particles of some jets, each made when first asked for."""

    def __init__(self, jets: Ragged):
        self.counts, self.charge, self.species = jets.counts, jets.charge, jets.species
        self.jet = dict[str, np.ndarray](zip(JET, jets.jet.T, strict=True))
        bits = np.ascontiguousarray(jets.measured.view(np.uint16).T)
        self.bits = dict[str, np.ndarray](zip(MEASURED, bits, strict=True))

    def column(self, name: str) -> Float[np.ndarray, "total"]:
        return _HALVES.take(self.bits[name])

    def beside(self, jet: Float[np.ndarray, "b"]) -> Float[np.ndarray, "total"]:
        """A quantity of the jet, beside each of its particles."""
        return np.repeat(jet, self.counts)

    def log_ratio(self, name: str) -> Float[np.ndarray, "total"]:
        return _LOG.take(self.bits[name]) - self.beside(np.log(self.jet[name]))

    @cached_property
    def pt(self) -> Float[np.ndarray, "total"]:
        return self.column("pt")

    @cached_property
    def phi(self) -> Float[np.ndarray, "total"]:
        return self.beside(self.jet["phi"]) + self.column("dphi")

    @property
    def pz(self) -> Float[np.ndarray, "total"]:
        sign = np.copysign(np.float32(1), self.jet["eta"])
        eta = self.beside(self.jet["eta"]) + self.beside(sign) * self.column("deta")
        grown = np.exp(eta)
        return self.pt * (grown - 1 / grown) / 2  # sinh, by the faster exp

    @property
    def distance(self) -> Float[np.ndarray, "total"]:
        deta, dphi = self.column("deta"), self.column("dphi")
        return np.sqrt(deta * deta + dphi * dphi)


Column = Callable[[_Particles], np.ndarray]


def _asinh(p: Float[np.ndarray, "total"]) -> Float[np.ndarray, "total"]:
    """asinh(p / 1 GeV): linear for soft particles, logarithmic for hard ones, odd."""
    size = np.abs(p)
    return np.copysign(np.log(size + np.sqrt(size * size + 1)), p)


def _scale(
    value: Num[np.ndarray, "total"],
    subtract: float = 0.0,
    multiply: float = 1.0,
    low: float = -5.0,
    high: float = 5.0,
) -> Float[np.ndarray, "total"]:
    return np.clip((value - subtract) * multiply, low, high)


def _table(values: Float[np.ndarray, "halves"], name: str) -> Column:
    """The entry of a stored quantity in a table over all float16."""
    halves = values.astype(np.float16)
    return lambda p: halves.take(p.bits[name])


def _is(species: int) -> Column:
    flags = (np.arange(len(SPECIES)) == species).astype(np.float16)
    return lambda p: flags.take(p.species)


_COLUMNS: dict[str, Column] = {
    "part_pt_log": _table(_scale(_LOG, 1.7, 0.7), "pt"),
    "part_e_log": _table(_scale(_LOG, 2.0, 0.7), "energy"),
    "part_logptrel": lambda p: _scale(p.log_ratio("pt"), -4.7, 0.7),
    "part_logerel": lambda p: _scale(p.log_ratio("energy"), -4.7, 0.7),
    "part_deltaR": lambda p: _scale(p.distance, 0.2, 4.0),
    "part_charge": lambda p: p.charge,
    "part_isChargedHadron": _is(0),
    "part_isNeutralHadron": _is(1),
    "part_isPhoton": _is(2),
    "part_isElectron": _is(3),
    "part_isMuon": _is(4),
    "part_d0": _table(np.tanh(_HALVES), "d0val"),
    "part_d0err": _table(_scale(_HALVES, low=0.0, high=1.0), "d0err"),
    "part_dz": _table(np.tanh(_HALVES), "dzval"),
    "part_dzerr": _table(_scale(_HALVES, low=0.0, high=1.0), "dzerr"),
    "part_deta": _table(_HALVES, "deta"),
    "part_dphi": _table(_HALVES, "dphi"),
    "part_px": lambda p: 0.4 * _asinh(p.pt * np.cos(p.phi)),
    "part_py": lambda p: 0.4 * _asinh(p.pt * np.sin(p.phi)),
    "part_pz": lambda p: 0.4 * _asinh(p.pz),
    "part_energy": _table(0.4 * _asinh(_HALVES), "energy"),
}
# The scaling of the four-momentum is a choice, as the paper prints none:
# 0.4 asinh(p / 1 GeV) is smooth and odd, and stays within +-3.5 for jets to 3 TeV.

FEATURES = tuple(_COLUMNS)
"""Names of the 21 features, in order."""


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What a model reads of a jet: `features` of its leading `particles` particles."""

    particles: int
    features: tuple[str, ...]

    def __post_init__(self):
        unknown = [name for name in self.features if name not in FEATURES]
        if unknown or not self.features:
            raise ValueError(f"no such features: {unknown}; choose from {FEATURES}")
        if not 1 <= self.particles <= MAX_PARTICLES:
            raise ValueError(
                f"particles is {self.particles}; a store holds the leading "
                f"{MAX_PARTICLES}, so choose 1 to {MAX_PARTICLES}"
            )


INPUTS = {
    "kinematics-40": Inputs(
        particles=40, features=("part_deta", "part_dphi", "part_pt_log")
    ),
    "full-10": Inputs(particles=10, features=FEATURES),
    "full-40": Inputs(particles=40, features=FEATURES),
    "full-128": Inputs(particles=128, features=FEATURES),
}
"""The four input configurations of arXiv:2602.15781."""


def featurize(jets: Ragged, inputs: Inputs) -> FlatJets:
    """What a model reads of jets, their particles one jet after the other: x float16,
    counts int32, y int32."""
    jets = ragged.lead(jets, inputs.particles)
    particles = _Particles(jets)
    flat = np.empty((len(jets.charge), len(inputs.features)), np.float16)
    for column, name in enumerate(inputs.features):
        flat[:, column] = _COLUMNS[name](particles)
    return FlatJets(flat, jets.counts, jets.label.astype(np.int32))


def padded(jets: FlatJets, particles: int) -> Jets:
    """The same with a row of `particles` places for every jet, zero where empty."""
    return Jets(
        x=ragged.spread(np.asarray(jets.x), np.asarray(jets.counts), particles),
        mask=np.arange(particles) < np.asarray(jets.counts)[:, None],
        y=jets.y,
    )
