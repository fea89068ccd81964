"""A run's spec: everything that decides its numbers."""

from dataclasses import dataclass, replace

import jax.numpy as jnp

from jetlab.data.features import INPUTS
from jetlab.models import flops
from jetlab.models.tagger import Tagger
from jetlab.records import identity

PRECISIONS = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}
"""What a loss is computed in; parameters are kept in float32."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One point of a grid: everything that decides its numbers.

    `source` is the identity of the jets, `pool` how many of its training jets the
    study may draw from: the run's `examples` are a random part of them. With
    `patience` a run ends after so many evaluations without a better validation loss,
    and the best one counts. The defaults are those of arXiv:2602.15781, Section 2.
    """

    source: str
    inputs: str
    model: Tagger
    pool: int
    examples: int
    valid: int
    epochs: int = 1
    batch: int = 128
    learning_rate: float = 1e-4
    weight_decay: float = 1e-2
    seed: int = 0
    precision: str = "float32"
    patience: int = 0

    def __post_init__(self):
        if self.inputs not in INPUTS:
            raise ValueError(f"inputs {self.inputs!r}: choose from {', '.join(INPUTS)}")
        if self.precision not in PRECISIONS:
            known = ", ".join(PRECISIONS)
            raise ValueError(f"precision {self.precision!r}: choose from {known}")
        if self.examples % self.batch or not 0 < self.examples <= self.pool:
            raise ValueError(
                f"examples is {self.examples}: take a multiple of the batch "
                f"({self.batch}) up to the pool ({self.pool})"
            )

    @property
    def id(self) -> str:
        return identity(self)

    @property
    def shape(self) -> tuple[Tagger, str, int, str, bool]:
        """Runs of equal shape share one compiled program."""
        stops = self.patience > 0
        return self.model, self.inputs, self.batch, self.precision, stops

    @property
    def trajectory(self) -> "Run | None":
        """What runs have in common that are points on one way: all but `examples`.

        None where the way depends on them: a run of several epochs repeats its own
        examples, and one that stops early has no fixed end.
        """
        alone = self.epochs > 1 or self.patience
        return None if alone else replace(self, examples=self.batch)

    @property
    def steps(self) -> int:
        return self.examples * self.epochs // self.batch


def cost(run: Run, n_p: float) -> float:
    """6 n_p N D epochs: the paper's FLOPs of a run (arXiv:2602.15781, Section 2)."""
    return flops.estimate(run.model, n_p) * run.examples * run.epochs
