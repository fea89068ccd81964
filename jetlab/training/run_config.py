"""The spec of a run: everything that decides its numbers."""

from dataclasses import dataclass, field, replace
from typing import ClassVar

import jax.numpy as jnp

from jetlab.data.features import INPUTS
from jetlab.models import flops
from jetlab.models.tagger import Tagger
from jetlab.records import identity

PRECISIONS = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}
"""What a loss is computed in; parameters are kept in float32."""


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """One point of a grid: everything that decides its numbers.

    `source` is the identity of the jets, `pool` how many of its training jets the
    study may draw from: the run's `num_train` are a random part of them. With
    `patience` a run ends after so many evaluations without a better validation loss,
    and the best one counts. `arm` is the study's name for what the run is compared
    under ("fixed", "tuned", "repeated"); it decides no number and is no part of the
    identity. The defaults are those of arXiv:2602.15781, Section 2.

    Raises:
      ValueError: for inputs, a precision or a number of jets that cannot be.
    """

    identity_name: ClassVar[str] = "Run"

    source: str
    inputs: str
    model: Tagger
    pool: int
    num_train: int = field(metadata={"identity": "examples"})
    num_valid: int = field(metadata={"identity": "valid"})
    epochs: int = 1
    batch: int = 128
    learning_rate: float = 1e-4
    weight_decay: float = 1e-2
    seed: int = 0
    precision: str = "float32"
    patience: int = 0
    arm: str = field(default="", metadata={"identity": None})

    def __post_init__(self):
        if self.inputs not in INPUTS:
            raise ValueError(f"inputs {self.inputs!r}: choose from {', '.join(INPUTS)}")
        if self.precision not in PRECISIONS:
            known = ", ".join(PRECISIONS)
            raise ValueError(f"precision {self.precision!r}: choose from {known}")
        if self.num_train % self.batch or not 0 < self.num_train <= self.pool:
            raise ValueError(
                f"num_train is {self.num_train}: take a multiple of the batch "
                f"({self.batch}) up to the pool ({self.pool})"
            )

    @property
    def id(self) -> str:
        return identity(self)

    @property
    def compile_key(self) -> tuple[Tagger, str, int, str, bool]:
        """Runs of equal keys share one compiled program."""
        stops = self.patience > 0
        return self.model, self.inputs, self.batch, self.precision, stops

    @property
    def trajectory(self) -> "RunConfig | None":
        """What the runs of one trajectory share: all but `num_train` and `arm`.

        None where the trajectory depends on them: a run of several epochs repeats its
        own jets, and one that stops early has no fixed end.
        """
        alone = self.epochs > 1 or self.patience
        return None if alone else replace(self, num_train=self.batch, arm="")

    @property
    def steps(self) -> int:
        return self.num_train * self.epochs // self.batch


def cost(run: RunConfig, n_p: float) -> float:
    """6 n_p N D epochs: the paper's FLOPs of a run (arXiv:2602.15781, Section 2)."""
    return flops.estimate(run.model, n_p) * run.num_train * run.epochs
