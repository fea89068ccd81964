"""The spec of a run: everything that decides its numbers."""

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import jax.numpy as jnp

from jetlab.data.features import INPUTS, Inputs, resolve_inputs
from jetlab.identity import identity
from jetlab.training.optimizer import WIDEST_AVERAGE
from jetlab.training.step import num_params
from jetlab.types import ModelConfig, Task

PRECISIONS = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}
"""What a loss is computed in; parameters are kept in float32."""


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """One point of a grid: everything that decides its numbers.

    `source` is the identity of the jets, `pool` how many of its training jets the
    study may draw from: the run's `num_train` are a random part of them. With
    `patience` a run ends after that number of evaluations without a better validation
    loss, and the best one counts. With `averaging`, the weights that count are a
    power-law average over the run of that relative width
    (`jetlab.training.optimizer.averaged`). With `annealing` the learning rate falls
    linearly to zero over that share of the steps, the last ones; such a run is no
    prefix of a longer one. A run with `init_from` begins with its weights.
    `arm` is the study's name for what the run is compared under ("fixed", "repeated");
    it decides no number and is no part of the identity. The defaults are those of
    arXiv:2602.15781, Section 2.

    Raises:
      ValueError: for inputs, a precision, an averaging, an annealing or a number of
        jets that cannot be.
    """

    identity_name: ClassVar[str] = "Run"

    source: str
    task: Task = field(metadata={"was": {"class": "Tagging"}})
    inputs: str | Inputs
    model: ModelConfig
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
    averaging: float = 0.0
    annealing: float = 0.0
    init_from: "RunConfig | None" = None
    arm: str = field(default="", metadata={"identity": None})

    def __post_init__(self):
        if self.input_config.label in INPUTS:  # one identity, however it is given
            object.__setattr__(self, "inputs", self.input_config.label)
        if self.precision not in PRECISIONS:
            known = ", ".join(PRECISIONS)
            raise ValueError(f"precision {self.precision!r}: choose from {known}")
        if not (self.averaging == 0 or 0.01 <= self.averaging <= WIDEST_AVERAGE):
            raise ValueError(
                f"averaging {self.averaging:g}: choose a relative width from 0.01 to"
                f" {WIDEST_AVERAGE:.3f}, the mean of all steps, or 0 for none"
            )
        if not 0 <= self.annealing <= 1 or (self.annealing and self.patience):
            raise ValueError(
                f"annealing {self.annealing:g}: choose the share of the steps, 0 to 1,"
                " over which the rate falls, and 0 with early stopping (patience),"
                " whose end is not known"
            )
        if self.num_train % self.batch or not 0 < self.num_train <= self.pool:
            raise ValueError(
                f"num_train is {self.num_train}: take a multiple of the batch "
                f"({self.batch}) up to the pool ({self.pool})"
            )
        if self.init_from and self.init_from.model.width != self.model.width:
            raise ValueError(
                f"width {self.model.width} cannot begin with the weights of width"
                f" {self.init_from.model.width}"
            )

    @property
    def id(self) -> str:
        """The identity of the spec."""
        return identity(self)

    @property
    def input_config(self) -> Inputs:
        """The features and particles that the model reads."""
        return resolve_inputs(self.inputs)

    @property
    def compile_key(self) -> tuple[Any, ...]:
        """Runs of equal keys share one compiled program."""
        stops = self.patience > 0
        key = self.task, self.model, self.inputs, self.batch, self.precision, stops
        key = (*key, self.averaging) if self.averaging else key
        return (*key, "annealed") if self.annealing else key

    @property
    def data_key(self) -> tuple[Any, ...]:
        """Runs of equal keys read the same jets."""
        return self.inputs, self.pool, self.num_valid

    @property
    def group(self) -> str:
        """The name of the runs that are trained together."""
        task, *key = self.compile_key
        shared = self.data_key, tuple(key)
        # Folders of checkpoints were named before tasks were.
        return identity(shared if self.task.name == "tagging" else (*shared, task))

    @property
    def trajectory(self) -> "RunConfig | None":
        """What the runs of one trajectory share: all but `num_train` and `arm`.

        None where the trajectory depends on them: a run of several epochs repeats its
        own jets, one that stops early has no fixed end, and an annealed one its own.
        """
        alone = self.epochs > 1 or self.patience or self.annealing
        return None if alone else replace(self, num_train=self.batch, arm="")

    @property
    def steps(self) -> int:
        """Optimizer steps of the whole run."""
        return self.num_train * self.epochs // self.batch


def cost(run: RunConfig, n_p: float) -> float:
    """6 n_p N D epochs: the paper's FLOPs of a run (arXiv:2602.15781, Section 2)."""
    return 6 * num_params(run.model) * n_p * run.num_train * run.epochs


def length_groups(model: ModelConfig) -> bool:
    """Whether a model's attention needs jets in groups of similar length."""
    return getattr(model, "length_groups", False)
