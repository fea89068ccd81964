"""Values that every room shares: jets, their source and the names of their columns.

Axis names in annotations: b batch, p particle, f feature, d width, k class.
"""

from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

CLASSES = (
    "QCD",
    "Hbb",
    "Hcc",
    "Hgg",
    "H4q",
    "Hqql",
    "Zqq",
    "Wqq",
    "Tbqq",
    "Tbl",
)
"""The ten JetClass classes in the order of their labels (arXiv:2202.03772)."""

SPECIES = ("charged_hadron", "neutral_hadron", "photon", "electron", "muon")
"""Particle-flow categories in the order of `Jets.species`."""

MEASURED = ("pt", "energy", "deta", "dphi", "d0val", "d0err", "dzval", "dzerr")
"""Columns of `Jets.measured`: GeV, GeV, -, rad, mm, mm, mm, mm."""

JET = ("pt", "eta", "phi", "energy")
"""Columns of `Jets.jet`: GeV, -, rad, GeV."""

MAX_PARTICLES = 128
"""Number of leading particles that a store keeps of each jet."""


class Jets(NamedTuple):
    """A ragged batch of jets on the host: particles of all jets concatenated.

    Jet i owns the `counts[i]` rows that follow the first `counts[:i].sum()` rows. Its
    particles are sorted by decreasing pT. `deta` follows the sign convention of
    JetClass: it is multiplied by sign(jet eta).
    """

    label: Int[np.ndarray, "b"]  # int16, index into the classes of the source
    counts: Int[np.ndarray, "b"]  # int32, number of particles, at least 1
    jet: Float[np.ndarray, "b 4"]  # float32, columns JET
    measured: Float[np.ndarray, "total 8"]  # float16, columns MEASURED
    charge: Int[np.ndarray, "total"]  # int8, -1, 0 or 1
    species: Int[np.ndarray, "total"]  # int8, index into SPECIES


class FlatJets(NamedTuple):
    """Features of a ragged batch of jets on the host, with counts and labels."""

    x: Float[np.ndarray, "total f"]  # float16
    counts: Int[np.ndarray, "b"]  # int32
    y: Int[np.ndarray, "b"]  # int32, labels


@runtime_checkable
class Source(Protocol):
    """A simulator or a store of jets.

    Training and validation jets are disjoint. `train(start, stop)` is deterministic,
    and any prefix of the training jets is a random sample of the classes.
    """

    @property
    def identity(self) -> str:
        """Identifier kept in records: equal strings mean equal jets."""
        ...

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the labels."""
        ...

    @property
    def size(self) -> int | None:
        """Number of training jets; None if unlimited."""
        ...

    @property
    def held_out(self) -> int | None:
        """Largest number of jets that `valid` returns; None if unlimited."""
        ...

    def train(self, start: int, stop: int) -> Jets:
        """Training jets `start` to `stop` - 1.

        Raises:
          ValueError: past the last training jet.
        """
        ...

    def valid(self, count: int) -> Jets:
        """`count` validation jets, equally many of each class."""
        ...
