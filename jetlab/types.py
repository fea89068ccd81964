"""The values that cross the doors between rooms: jets, as stored and as batches.

Named axes in every annotation: b batch, p particle, f feature, d width, k class.
"""

from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Array, Bool, Float, Int

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
"""Leading particles kept of a jet."""


class PaddedJets(NamedTuple):
    """Jets as a model reads them: padded features, a mask that is True where a
    particle is real, and labels."""

    x: Float[Array | np.ndarray, "*b p f"]
    mask: Bool[Array | np.ndarray, "*b p"]
    y: Int[Array | np.ndarray, "*b"]


class FlatJets(NamedTuple):
    """The same on the host without padding: particles of one jet after another's."""

    x: Float[np.ndarray, "n f"]
    counts: Int[np.ndarray, "b"]
    y: Int[np.ndarray, "b"]


class Jets(NamedTuple):
    """Jets as they are stored: particles of all jets one after the other, no padding.

    Jet i owns the `counts[i]` rows after the first `counts[:i].sum()`; its particles
    are sorted by falling pT. `deta` carries the sign convention of JetClass: it is
    multiplied by sign(jet eta).
    """

    label: Int[np.ndarray, "b"]  # int16, index into the source's classes
    counts: Int[np.ndarray, "b"]  # int32, particles in each jet, at least 1
    jet: Float[np.ndarray, "b 4"]  # float32, columns JET
    measured: Float[np.ndarray, "total 8"]  # float16, columns MEASURED
    charge: Int[np.ndarray, "total"]  # int8, -1, 0 or 1
    species: Int[np.ndarray, "total"]  # int8, index into SPECIES


@runtime_checkable
class Source(Protocol):
    """Where jets come from: a simulator or a store.

    Training and validation jets are disjoint. `train(start, stop)` is the same jets
    whenever it is asked, and any prefix is a fair sample of the classes.
    """

    @property
    def identity(self) -> str:
        """What a record keeps: equal strings mean equal jets."""
        ...

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the labels."""
        ...

    @property
    def size(self) -> int | None:
        """Training jets there are; None where they never run out."""
        ...

    @property
    def held_out(self) -> int | None:
        """The most jets that `valid` can give; None where they never run out."""
        ...

    def train(self, start: int, stop: int) -> Jets:
        """Training jets start to stop. Raises ValueError past the end."""
        ...

    def valid(self, count: int) -> Jets:
        """`count` validation jets, as many of each class."""
        ...
