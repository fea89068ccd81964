"""Types and protocols that all packages share: jets, batches, sources, models, tasks.

Named axes in every annotation: b jets, n particles of all jets, p particles of a padded
jet, f features, d width, k classes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Shaped

if TYPE_CHECKING:
    from flax import nnx

    from jetlab.data.features import Inputs

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

CONFIDENCE_LEVEL = 0.68
"""Coverage of all intervals, as in arXiv:2602.15781."""

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
    y: Any  # int32 labels, or what a task predicts of each jet


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


class Posterior(NamedTuple):
    """The probability of each class given a jet, of a sample of jets.

    `exact` is whether it is given just what the network reads, so that its entropy is
    the lowest loss; else it is given more of the jet, and the lowest loss is higher.
    """

    probability: Float[np.ndarray, "b k"]  # float64
    exact: bool


@runtime_checkable
class KnowsPosterior(Protocol):
    """A source that can say how probable each class of a validation jet is."""

    def posterior(self, count: int, inputs: "Inputs") -> Posterior | None:
        """The posterior of the jets of `valid(count)`; None where it is not known."""
        ...


Groups = tuple[tuple[int, int], ...]
"""(jets, particles) of each group: a number of jets, and the most particles of one."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Batch:
    """A batch or micro-batch on the device, the particles of its jets one jet after
    the other, without padding between them.

    Rows of `x` past the sum of `counts` are zero. `ids` number the jets within the
    whole batch, however it is divided: they seed dropout. `weight` is 1 / (jets of the
    whole batch) for a jet and 0 for an empty place, so that sums of weighted losses add
    up over micro-batches and devices. `groups` are the jets of similar length over
    which attention runs; empty where it needs none.
    """

    x: Float[Array, "n f"]
    counts: Int[Array, "b"]
    ids: Int[Array, "b"]
    targets: Any  # arrays with a leading axis of jets
    weight: Float[Array, "b"]
    groups: Groups = field(metadata={"static": True})

    @property
    def segment_ids(self) -> Int[Array, "n"]:
        """The jet of each row of `x`, counted from 0; `len(counts)` for rows past the
        last particle, which `jax.ops.segment_sum` with `len(counts)` segments drops."""
        jets, rows = len(self.counts), len(self.x)
        ids = jnp.repeat(jnp.arange(jets), self.counts, total_repeat_length=rows)
        return jnp.where(jnp.arange(rows) < self.counts.sum(), ids, jets)


@runtime_checkable
class ModelConfig(Protocol):
    """A frozen dataclass of numbers that builds a Flax module.

    A model whose attention runs over groups of jets of similar length has
    `length_groups` True; a model without that attribute needs none.
    """

    @property
    def width(self) -> int: ...

    def build(self, rngs: "nnx.Rngs") -> "nnx.Module": ...


@runtime_checkable
class Task(Protocol):
    """What a network learns: everything that training must ask and cannot know.

    A task is a frozen dataclass, so that it is part of a run's identity and of the key
    of its compiled programs. `jetlab.tasks.tagging.Tagging` is one in 80 lines. A task
    whose loss depends on the class of a jet may also be a `JudgesPosteriors`.
    """

    @property
    def name(self) -> str:
        """What records and tables call it."""
        ...

    def model(self, width: int, inputs: "Inputs", source: Source) -> ModelConfig:
        """The model of this width that the task trains where none is given."""
        ...

    def targets(self, jets: Jets) -> Shaped[np.ndarray, "b *t"]:
        """What is to be predicted of each jet.

        The jets have the leading particles that the inputs show and no others; a target
        that needs all particles is taken from `jets.jet` or `jets.label`.
        """
        ...

    def loss(
        self, model: Any, batch: Batch, rngs: "nnx.Rngs | None" = None
    ) -> Float[Array, ""]:
        """The sum over the jets of `batch.weight` times their losses, in float32.
        Dropout acts only with `rngs`."""
        ...

    def predict(self, model: Any, batch: Batch) -> Shaped[Array, "b *o"]:
        """The network's outputs for each jet, in float32, without dropout."""
        ...

    def losses(
        self, outputs: Shaped[Array, "b *o"], targets: Shaped[Array, "b *t"]
    ) -> Float[Array, "b"]:
        """The loss of each jet, in the unit of `loss`."""
        ...

    def metrics(
        self,
        outputs: Shaped[np.ndarray, "b *o"],
        targets: Shaped[np.ndarray, "b *t"],
        classes: tuple[str, ...],
    ) -> Mapping[str, Any]:
        """Further numbers of a finished run, by name, as JSON can hold them."""
        ...

    def chance_loss(
        self, targets: Shaped[np.ndarray, "b *t"], classes: tuple[str, ...]
    ) -> float:
        """The mean loss of the best constant prediction."""
        ...

    def floor(self, source: str, inputs: "Inputs") -> tuple[float, float] | None:
        """The loss that no network can beat and its error, where it is known."""
        ...


@runtime_checkable
class JudgesPosteriors(Protocol):
    """A task whose loss can be averaged over the classes of a jet."""

    def excess_losses(
        self, outputs: Shaped[np.ndarray, "b *o"], posterior: Float[np.ndarray, "b k"]
    ) -> tuple[Float[np.ndarray, "b"], Float[np.ndarray, "b"]]:
        """The expected loss of each jet under the posterior, as what it exceeds the
        lowest possible expected loss by, and that lowest loss."""
        ...

    def expected_metrics(
        self,
        outputs: Shaped[np.ndarray, "b *o"],
        posterior: Float[np.ndarray, "b k"],
        classes: tuple[str, ...],
    ) -> Mapping[str, Any]:
        """`Task.metrics`, averaged over the classes of the jets."""
        ...

    def ideal_outputs(
        self, posterior: Float[np.ndarray, "b k"]
    ) -> Shaped[np.ndarray, "b *o"]:
        """The outputs of the lowest expected loss."""
        ...
