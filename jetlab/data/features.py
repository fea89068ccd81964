"""The 21 features of a particle and the four input configurations.

The set is Particle Transformer's 17 inputs with its standardisation (arXiv:2202.03772)
and the four-momentum: kinematics, particle identity and track parameters, 21 in all
(arXiv:2602.15781). Every feature is computed from the stored quantities on reading, by
XLA: on the device where the jets are to go, and several times faster than by NumPy.
"""

from dataclasses import dataclass, field, replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Num, Shaped, UInt32

from jetlab.data import ragged
from jetlab.data.columns import COLUMNS, Particles, Stored
from jetlab.types import MAX_PARTICLES, FlatJets, Jets, PaddedJets

BLOCK = 2**16
"""Particles that `featurize` computes at a time: one program serves all."""

FEATURES = tuple(COLUMNS)
"""Names of the 21 features, in order."""


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What a model reads of a jet: `features` of its leading `particles` particles."""

    particles: int
    features: tuple[str, ...]
    label: str = field(default="own", metadata={"identity": None})

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
INPUTS = {name: replace(inputs, label=name) for name, inputs in INPUTS.items()}


def resolve_inputs(inputs: "str | Inputs") -> Inputs:
    """A configuration by its name, or the configuration itself."""
    if isinstance(inputs, Inputs):
        return inputs
    if inputs not in INPUTS:
        raise ValueError(f"inputs {inputs!r}: choose from {', '.join(INPUTS)}")
    return INPUTS[inputs]


def featurize(jets: Jets, inputs: Inputs) -> FlatJets:
    """What a model reads of jets, on the host, their particles one jet after the other:
    x float16, counts int32, y int32."""
    jets = ragged.lead(jets, inputs.particles)
    total = len(jets.charge)
    stored = _stored(jets, -(-total // BLOCK) * BLOCK)
    x = np.empty((total, len(inputs.features)), np.float16)
    for first in range(0, total, BLOCK):
        block = Stored(*(column[..., first : first + BLOCK] for column in stored))
        computed = np.asarray(_compute(block, inputs.features))
        x[first : first + BLOCK] = computed[: total - first]
    return FlatJets(x, jets.counts, jets.label.astype(np.int32))


def on_device(jets: Jets, inputs: Inputs, rows: int) -> Float[Array, "{rows} f"]:
    """The features of the first `rows` particles of jets that have no more than
    `inputs.particles` each; rows that are left over mean nothing."""
    return _compute(_stored(jets, rows), inputs.features)


def _stored(jets: Jets, rows: int) -> Stored:
    """So many rows; those after the last particle are zero and of the last jet."""
    pt, eta, phi, energy = jets.jet.T
    of_jet = np.stack([np.log(pt), np.log(energy), eta, np.cos(phi), np.sin(phi)])
    counts = jets.counts.copy()
    counts[-1:] += max(0, rows - len(jets.charge))
    return Stored(
        measured=_cut(jets.measured.T, rows),
        jet=np.repeat(of_jet, counts, axis=1)[:, :rows],
        charge=_cut(jets.charge, rows),
        species=_cut(jets.species, rows),
    )


def _cut(column: Shaped[np.ndarray, "*q n"], rows: int) -> Shaped[np.ndarray, "*q m"]:
    cut = np.zeros((*column.shape[:-1], rows), column.dtype)
    cut[..., : column.shape[-1]] = column[..., :rows]
    return cut


@partial(jax.jit, static_argnames="features")
def _compute(stored: Stored, features: tuple[str, ...]) -> Float[Array, "n f"]:
    particles = Particles(stored)
    columns = [_bits(COLUMNS[name](particles)) for name in features]
    # In pairs: a CPU moves so many numbers, of any size, from columns to rows a second.
    columns += [jnp.zeros_like(columns[0])] * (len(columns) % 2)
    pairs = map(jnp.bitwise_or, columns[::2], [high << 16 for high in columns[1::2]])
    x = jax.lax.bitcast_convert_type(jnp.stack([*pairs], axis=1), jnp.float16)
    return x.reshape(len(x), -1)[:, : len(features)]


def _bits(column: Num[Array, "n"] | Bool[Array, "n"]) -> UInt32[Array, "n"]:
    halves = column.astype(jnp.float16)
    return jax.lax.bitcast_convert_type(halves, jnp.uint16).astype(jnp.uint32)


def padded(jets: FlatJets, particles: int) -> PaddedJets:
    """The same with a row of `particles` places for every jet, zero where empty."""
    return PaddedJets(
        x=ragged.spread(np.asarray(jets.x), np.asarray(jets.counts), particles),
        mask=np.arange(particles) < np.asarray(jets.counts)[:, None],
        y=jets.y,
    )
