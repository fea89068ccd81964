"""Input configurations of a model, and the features of particles that they select.

The 21 features are Particle Transformer's 17 inputs with its standardisation
(arXiv:2202.03772) and the four-momentum (arXiv:2602.15781). They are computed by XLA
from the stored quantities when jets are read: on the device that will hold them, and
several times faster than NumPy.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Num, Shaped, UInt32

from jetlab.data import ragged
from jetlab.data.feature_definitions import DEFINITIONS, Particles, Stored
from jetlab.types import MAX_PARTICLES, FlatJets, Jets

BLOCK = 2**16
"""Particles that `featurize` computes per call: one compiled program suffices."""

FEATURES = tuple(DEFINITIONS)
"""Names of all features, in order: the 21 of the paper first."""

_KINEMATICS = ("part_deta", "part_dphi", "part_pt_log")
_FULL = FEATURES[:21]
_PAPER = {
    "kinematics-40": (40, _KINEMATICS),
    "full-10": (10, _FULL),
    "full-40": (40, _FULL),
    "full-128": (128, _FULL),
}
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """An input configuration: `features` of the `particles` leading particles of a jet.

        Inputs(particles=40, features=("part_deta", "part_dphi"), label="angles")

    The label names the configuration in tables, figures and file names. It defaults to
    the name of an equal member of `INPUTS`, else to "2f-40p" for 2 features of 40
    particles. Equality and the identity of a run ignore it.

    Raises:
      ValueError: for an unknown or duplicate feature, no feature, a number of particles
        outside 1 to 128, a label that cannot be part of a file name, or the name of a
        member of `INPUTS` as label of another configuration.
    """

    particles: int
    features: tuple[str, ...]
    label: str = field(default="", compare=False, metadata={"identity": None})

    def __post_init__(self):
        object.__setattr__(self, "features", tuple(self.features))
        _check_features(self.features)
        if not 1 <= self.particles <= MAX_PARTICLES:
            raise ValueError(
                f"particles is {self.particles}: choose 1 to {MAX_PARTICLES}, the "
                "number of leading particles that a store keeps"
            )
        content = (self.particles, self.features)
        if not self.label:
            object.__setattr__(self, "label", _default_label(*content))
        if not _LABEL.fullmatch(self.label):
            raise ValueError(
                f"label {self.label!r}: use letters, digits and . _ + - only, as it is "
                "part of file names"
            )
        if _PAPER.get(self.label, content) != content:
            raise ValueError(
                f"label {self.label!r} names another input configuration, of "
                "arXiv:2602.15781: choose another label"
            )


def _default_label(particles: int, features: tuple[str, ...]) -> str:
    for name, content in _PAPER.items():
        if content == (particles, features):
            return name
    return f"{len(features)}f-{particles}p"


def _check_features(features: tuple[str, ...]) -> None:
    unknown = [name for name in features if name not in FEATURES]
    if unknown or not features:
        problem = f"unknown features {', '.join(unknown)}" if unknown else "no features"
        raise ValueError(f"{problem}: choose from {', '.join(FEATURES)}")
    repeated = [name for name, times in Counter(features).items() if times > 1]
    if repeated:
        raise ValueError(f"duplicate features {', '.join(repeated)}: name each once")


INPUTS = {
    name: Inputs(particles=particles, features=features, label=name)
    for name, (particles, features) in _PAPER.items()
}
"""The four input configurations of arXiv:2602.15781."""


def resolve_inputs(inputs: str | Inputs) -> Inputs:
    """The configuration of a name in `INPUTS`, or `inputs` itself.

    Raises:
      ValueError: for an unknown name.
    """
    if isinstance(inputs, Inputs):
        return inputs
    if inputs not in INPUTS:
        raise ValueError(f"inputs {inputs!r}: choose from {', '.join(INPUTS)}")
    return INPUTS[inputs]


def parse_inputs(text: str) -> str | Inputs:
    """The configuration that a command line gives, by its name if it is in `INPUTS`.

        parse_inputs("full-40")
        parse_inputs("40:part_deta,part_dphi")
        parse_inputs("angles=40:part_deta,part_dphi")

    Args:
      text: a name, or PARTICLES:FEATURE,FEATURE,... with or without LABEL= before it.

    Raises:
      ValueError: for text of another form, and as `Inputs` does.
    """
    if text in INPUTS:
        return text
    match = re.fullmatch(r"(?:([^=:]*)=)?([^=:]*):([^=:]*)", text)
    if not match or match[1] == "" or not match[2].strip().isdecimal():
        raise ValueError(
            f"inputs {text!r}: choose from {', '.join(INPUTS)}, or give "
            "PARTICLES:FEATURE,FEATURE,... or LABEL=PARTICLES:FEATURE,FEATURE,..."
        )
    features = [name.strip() for name in match[3].split(",") if name.strip()]
    inputs = Inputs(
        particles=int(match[2]),
        features=tuple(features),
        label=(match[1] or "").strip(),
    )
    return inputs.label if inputs.label in INPUTS else inputs


def require_distinct_labels(inputs: Iterable[str | Inputs]) -> None:
    """Check that different configurations of one study have different labels.

    Raises:
      ValueError: for two configurations of one label.
    """
    known: dict[str, Inputs] = {}
    for one in map(resolve_inputs, inputs):
        if known.setdefault(one.label, one) != one:
            raise ValueError(
                f"two input configurations have the label {one.label!r}: give them "
                "labels of their own, as in LABEL=PARTICLES:FEATURE,FEATURE,..."
            )


def featurize(jets: Jets, inputs: Inputs) -> FlatJets:
    """Features of the leading particles of jets, as arrays on the host."""
    jets = ragged.truncate(jets, inputs.particles)
    total = len(jets.charge)
    stored = _stored(jets, -(-total // BLOCK) * BLOCK)
    x = np.empty((total, len(inputs.features)), np.float16)
    for first in range(0, total, BLOCK):
        block = Stored(*(column[..., first : first + BLOCK] for column in stored))
        computed = np.asarray(_compute(block, inputs.features))
        x[first : first + BLOCK] = computed[: total - first]
    return FlatJets(x, jets.counts, jets.label.astype(np.int32))


def on_device(jets: Jets, inputs: Inputs, rows: int) -> Float[Array, "{rows} f"]:
    """Features of the first `rows` particles of truncated jets, on the device. Rows
    beyond the last particle hold arbitrary values."""
    return _compute(_stored(jets, rows), inputs.features)


def _stored(jets: Jets, rows: int) -> Stored:
    """Columns padded or cut to `rows` particles; padding is zero and is assigned to the
    last jet."""
    pt, eta, phi, energy = jets.jet.T
    of_jet = np.stack([np.log(pt), np.log(energy), eta, np.cos(phi), np.sin(phi)])
    counts = jets.counts.copy()
    counts[-1:] += max(0, rows - len(jets.charge))
    return Stored(
        measured=_resized(jets.measured.T, rows),
        jet=np.repeat(of_jet, counts, axis=1)[:, :rows],
        charge=_resized(jets.charge, rows),
        species=_resized(jets.species, rows),
    )


def _resized(
    column: Shaped[np.ndarray, "*q n"], rows: int
) -> Shaped[np.ndarray, "*q m"]:
    resized = np.zeros((*column.shape[:-1], rows), column.dtype)
    resized[..., : column.shape[-1]] = column[..., :rows]
    return resized


@partial(jax.jit, static_argnames="features")
def _compute(stored: Stored, features: tuple[str, ...]) -> Float[Array, "n f"]:
    particles = Particles(stored)
    columns = [_bits(DEFINITIONS[name](particles)) for name in features]
    # Two float16 per uint32: transposing costs a CPU the same per number of any size.
    columns += [jnp.zeros_like(columns[0])] * (len(columns) % 2)
    pairs = map(jnp.bitwise_or, columns[::2], [high << 16 for high in columns[1::2]])
    x = jax.lax.bitcast_convert_type(jnp.stack([*pairs], axis=1), jnp.float16)
    return x.reshape(len(x), -1)[:, : len(features)]


def _bits(column: Num[Array, "n"] | Bool[Array, "n"]) -> UInt32[Array, "n"]:
    float16 = column.astype(jnp.float16)
    return jax.lax.bitcast_convert_type(float16, jnp.uint16).astype(jnp.uint32)
