"""Jets relabelled by a frozen network: a floor that is known exactly, on any jets.

A teacher reads a jet, and the softmax of its outputs is the posterior from which the
jet's label is drawn. The mean entropy of that posterior is then the lowest loss, for
every network that reads at least what the teacher reads; for others it is higher and
not known. How hard it is to learn is decided by the teacher: its width, its training,
and a factor on its outputs.

Labels drawn so are not balanced by class, and no jets are chosen by them: the
validation jets keep the class shares of the source before it was relabelled.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float
from scipy.special import softmax

from jetlab.data import ragged
from jetlab.data.features import Inputs
from jetlab.types import Jets, Posterior, Source

BLOCK = 4000  # training jets that the teacher reads together
TRAIN, VALID = range(2)


@runtime_checkable
class Teacher(Protocol):
    """A frozen network with an output for each class. Equal calls, of equal jets, give
    equal outputs to the bit."""

    @property
    def digest(self) -> str:
        """Equal strings mean equal outputs."""
        ...

    @property
    def classes(self) -> tuple[str, ...]: ...

    @property
    def inputs(self) -> Inputs:
        """What it reads of a jet."""
        ...

    def __call__(self, jets: Jets) -> Float[np.ndarray, "b k"]:
        """The outputs for each jet, before the softmax."""
        ...


@dataclass(frozen=True, kw_only=True)
class Taught:
    """The jets of a source with labels drawn from a teacher's posterior, softmax of
    `scale` times its outputs.

        Taught(source=Store("jets/mine"), teacher=load_model("runs/mine", run))

    Raises:
      ValueError: for a teacher with other classes than the source, or a scale that is
        not positive.
    """

    source: Source
    teacher: Teacher
    scale: float = 1.0
    seed: int = 0

    def __post_init__(self):
        if self.teacher.classes != self.source.classes:
            raise ValueError(
                f"the teacher has {len(self.teacher.classes)} classes"
                f" ({', '.join(self.teacher.classes[:3])}, ...) and the source"
                f" {len(self.source.classes)} ({', '.join(self.source.classes[:3])},"
                " ...): take a teacher that was trained on jets with these labels"
            )
        if not 0 < self.scale < np.inf:
            raise ValueError(f"scale is {self.scale:g}: choose a positive number")

    @property
    def identity(self) -> str:
        scale = "" if self.scale == 1 else f"*{self.scale:g}"
        seed = f":labels={self.seed}" if self.seed else ""
        return f"taught-{self.teacher.digest}{scale}{seed}@{self.source.identity}"

    @property
    def classes(self) -> tuple[str, ...]:
        return self.source.classes

    @property
    def size(self) -> int | None:
        return self.source.size

    @property
    def held_out(self) -> int | None:
        return self.source.held_out

    def train(self, start: int, stop: int) -> Jets:
        """Training jets `start` to `stop` - 1.

        Raises:
          ValueError: as the source does.
        """
        if not 0 <= start < stop or (self.size is not None and stop > self.size):
            return self.source.train(start, stop)
        blocks = range(start // BLOCK, -(-stop // BLOCK))
        jets = ragged.concatenate([self._block(number) for number in blocks])
        first = blocks[0] * BLOCK
        rows = ragged.first_rows(jets)
        return ragged.slice_jets(jets, rows, start - first, stop - first)

    def valid(self, count: int) -> Jets:
        """`count` validation jets: equally many of each class of the source before it
        was relabelled."""
        return self._relabelled(self.source.valid(count), (VALID, 0))

    def posterior(self, count: int, inputs: Inputs) -> Posterior:
        """The teacher's posterior of the jets of `valid(count)`; exact for inputs with
        all that the teacher reads."""
        own = self.teacher.inputs
        exact = inputs.particles >= own.particles and (
            set(inputs.features) >= set(own.features)
        )
        return Posterior(self.probability(self.source.valid(count)), exact)

    def probability(self, jets: Jets) -> Float[np.ndarray, "b k"]:
        """The posterior of these jets."""
        return softmax(self.scale * np.asarray(self.teacher(jets), np.float64), axis=1)

    def _block(self, number: int) -> Jets:
        """A block of training jets. The teacher always reads whole blocks, so that a
        jet has the same outputs to the bit however it is read."""
        first, end = number * BLOCK, (number + 1) * BLOCK
        stop = end if self.size is None else min(end, self.size)
        return self._relabelled(self.source.train(first, stop), (TRAIN, number))

    def _relabelled(self, jets: Jets, place: tuple[int, int]) -> Jets:
        """These jets with drawn labels; `place` is their stream and block."""
        reached = np.cumsum(self.probability(jets), axis=1)
        uniform = np.random.default_rng((self.seed, *place)).random(len(jets.label))
        drawn = (uniform[:, None] * reached[:, -1:] >= reached).sum(1)
        return jets._replace(label=drawn.astype(jets.label.dtype))
