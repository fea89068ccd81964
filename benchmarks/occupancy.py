"""Replica occupancy of an early-stopped grid: the trainer's queue without training."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jetlab.models.tagger import Tagger
from jetlab.tasks.tagging import Tagging
from jetlab.training.batching import with_offsets
from jetlab.training.dataset import Dataset, ScanInputs
from jetlab.training.evaluate import Predictions, validation_set
from jetlab.training.placement import Placement
from jetlab.training.replicas import Replicas
from jetlab.training.run_config import RunConfig
from jetlab.training.scan import SCAN_LENGTH, MicroBatches
from jetlab.training.trainer import Trainer
from jetlab.training.trajectory import Trajectory
from jetlab.types import CLASSES

BATCH, RUNS, LANES = 128, 96, 16
SHORTEST, LONGEST = 20, 2000  # chunks until a run stops
ONES = np.ones(SCAN_LENGTH, int)
NOTHING = MicroBatches(np.zeros((SCAN_LENGTH, BATCH), int), ONES, ONES)


def occupancy(seed: int) -> float:
    """Useful share of the steps of 96 runs in 16 replicas. Each stops after a random
    time, log-uniform from 20 to 2000 chunks, that the scheduler does not know.

    The queue, the refilling and the shrinking are those of `Trainer`; scans do nothing.
    A run is evaluated on 100,000 jets as often as `Trajectory` has it, which is when it
    can stop.
    """
    runs = [_run(number) for number in range(RUNS)]
    stops = dict(
        zip([run.id for run in runs], SCAN_LENGTH * _chunks(seed), strict=True)
    )
    grid = _Grid(runs, stops)
    assert [record.status for record in grid] == ["done"] * RUNS
    return grid.busy / grid.occupied


def naive(seed: int) -> float:
    """The same where 16 runs start together and wait for the last of them."""
    together = _chunks(seed).reshape(-1, LANES)
    return together.sum() / (LANES * together.max(axis=1).sum())


def _chunks(seed: int) -> Float[np.ndarray, "runs"]:
    rng = np.random.default_rng(seed)
    return np.exp(rng.uniform(np.log(SHORTEST), np.log(LONGEST), RUNS))


def _run(number: int) -> RunConfig:
    """A run that may be longer than any becomes."""
    return RunConfig(
        source="none",
        task=Tagging(),
        inputs="full-10",
        model=Tagger(width=4),
        pool=BATCH * SCAN_LENGTH,
        num_train=BATCH * SCAN_LENGTH,
        num_valid=100_000,
        epochs=2 * LONGEST,
        seed=number,
        patience=1,
    )


class _Grid(Trainer):
    """A trainer whose replicas do nothing, and whose loss is the number of steps a run
    has left: it stops at none."""

    def __init__(self, runs: Sequence[RunConfig], stops: Mapping[str, float]):
        ones = np.ones(20, np.int32)
        labels = np.arange(20, dtype=np.int32) % len(CLASSES)
        jets = with_offsets(np.zeros((20, 21), np.float16), ones, labels)
        valid = validation_set(jets, labels, grouped=False)
        inputs = runs[0].input_config
        super().__init__(
            runs, Dataset(jets, valid, ones, runs[0].task, inputs, CLASSES), ""
        )
        self._trajectories = [_Idle(one.runs) for one in self._trajectories]
        self._placement = _Placement(self._left)
        self._ends = stops

    def _left(self, replica: int) -> float:
        trajectory = self._at[replica]
        return self._ends[trajectory.id] - trajectory.progress.batches


class _Idle(Trajectory):
    """A trajectory whose scans are empty."""

    def open(self, dataset: Any, packing: Any) -> None:
        """There are no jets."""

    def scan_inputs(self) -> ScanInputs:
        batches = min(SCAN_LENGTH, self.next_eval_step - self.progress.batches)
        nowhere: Any = None
        return ScanInputs(nowhere, NOTHING, batches, 0)

    def prefetch(self, scan: ScanInputs) -> None:
        """There is nothing to prepare."""


class _Placement(Placement):
    """Replicas without devices; the parameters of a replica are its number."""

    packing: Any = None

    def __init__(self, left: Callable[[int], float]):
        self._left = left

    def evaluate(self, params: int) -> Predictions:
        outputs = jnp.zeros((20, len(CLASSES)))
        return Predictions(jnp.full(20, self._left(params)), outputs)

    def open(self, trajectories: int) -> None:
        self.replicas = _Replicas(LANES)

    def shrink(self, busy: Sequence[int]) -> bool:
        fits = 2 * len(busy) <= self.replicas.count
        count = self.replicas.count
        self.replicas = _Replicas(count // 2) if fits else self.replicas
        return fits


class _Replicas(Replicas):
    """Replicas without states."""

    def __init__(self, count: int):
        self.count = count

    def start(
        self, replica: int, key: Any, hyperparams: Any, params: Any = None
    ) -> None:
        """Every replica is ready."""

    def advance(self, jets: Any, schedules: Sequence[MicroBatches]) -> np.ndarray:
        return np.zeros((self.count, SCAN_LENGTH))

    def params(self, replica: int) -> int:
        return replica

    def average(self, replica: int) -> int:
        return replica

    def update_best(self, replica: int, loss: float) -> tuple[int, int]:
        return 0, int(loss <= 0)

    def best_params(self, replica: int) -> int:
        return replica
