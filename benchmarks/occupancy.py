"""Lane occupancy of an early-stopped grid: the engine's scheduler without training."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jetlab.models.tagger import Tagger
from jetlab.training.batching import flatten
from jetlab.training.dataset import Chunked, Feed
from jetlab.training.evaluate import PerJet, hold_out
from jetlab.training.job import Job
from jetlab.training.places import Places
from jetlab.training.replicas import Lanes
from jetlab.training.run_config import RunConfig
from jetlab.training.scan import STEPS, Steps
from jetlab.training.trainer import Group
from jetlab.types import CLASSES, FlatJets

BATCH, RUNS, LANES = 128, 96, 16
SHORTEST, LONGEST = 20, 2000  # chunks until a run stops
NOTHING = Steps(np.zeros((STEPS, BATCH), int), np.ones(STEPS, int), np.ones(STEPS, int))


def occupancy(seed: int) -> float:
    """Useful share of the lane-steps of 96 runs in 16 lanes. Each stops after a random
    time, log-uniform from 20 to 2000 chunks, that the scheduler does not know.

    The queue, the refilling and the shrinking are `Group`'s; chunks do nothing. A run
    is evaluated on 100,000 jets as often as `Job` says, which is when it can stop.
    """
    runs = [_run(number) for number in range(RUNS)]
    stops = dict(zip([run.id for run in runs], STEPS * _chunks(seed), strict=True))
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
        inputs="full-10",
        model=Tagger(width=4),
        pool=BATCH * STEPS,
        num_train=BATCH * STEPS,
        num_valid=100_000,
        epochs=2 * LONGEST,
        seed=number,
        patience=1,
    )


class _Grid(Group):
    """Group whose lanes and jobs do nothing, and whose loss is the time a run has yet
    to go: it stops where that is none."""

    def __init__(self, runs: Sequence[RunConfig], stops: Mapping[str, float]):
        ones = np.ones(20, np.int32)
        labels = np.arange(20, dtype=np.int32) % len(CLASSES)
        jets = FlatJets(np.zeros((20, 21), np.float16), ones, labels)
        super().__init__(
            runs, Feed(flatten(*jets), hold_out(jets), ones, "full-10", CLASSES), ""
        )
        self._jobs = [_Idle(job.runs) for job in self._jobs]
        self._places = _Places(self._left)
        self._ends = stops

    def _left(self, lane: int) -> float:
        job = self._at[lane]
        return self._ends[job.id] - job.progress.batches


class _Idle(Job):
    """A job whose chunks are empty."""

    def open(self, feed: Any, packing: Any) -> None:
        """There are no jets."""

    def chunk(self) -> Chunked:
        batches = min(STEPS, self.stop - self.progress.batches)
        nowhere: Any = None
        return Chunked(nowhere, NOTHING, batches, 0)

    def plan_ahead(self, chunk: Chunked) -> None:
        """There is nothing to plan."""


class _Places(Places):
    """Lanes without devices; a lane's parameters are its number."""

    packing: Any = None

    def __init__(self, left: Callable[[int], float]):
        self._left = left

    def evaluate(self, params: int) -> PerJet:
        return PerJet(jnp.full(20, self._left(params)), jnp.zeros((20, len(CLASSES))))

    def open(self, jobs: int) -> None:
        self.lanes = _Lanes(LANES)

    def shrink(self, busy: Sequence[int]) -> bool:
        fits = 2 * len(busy) <= self.lanes.count
        self.lanes = _Lanes(self.lanes.count // 2) if fits else self.lanes
        return fits


class _Lanes(Lanes):
    """Lanes without states."""

    def __init__(self, count: int):
        self.count = count

    def start(self, lane: int, key: Any, rates: Any) -> None:
        """Every lane is ready."""

    def advance(self, store: Any, steps: Sequence[Steps]) -> np.ndarray:
        return np.zeros((self.count, STEPS))

    def params(self, lane: int) -> int:
        return lane

    def consider(self, lane: int, loss: float) -> tuple[int, int]:
        return 0, int(loss <= 0)

    def best_params(self, lane: int) -> int:
        return lane
