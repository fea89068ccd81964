"""What a lane works on: a run, or all runs that are points on one way."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float

from jetlab.training.batching import Packing
from jetlab.training.dataset import Chunked, Feed, batches_of
from jetlab.training.run_config import RunConfig

EVALUATION = 0.2
"""Share of a run's arithmetic that early stopping may spend on evaluations."""


@dataclass(kw_only=True)
class Progress:
    """How far a job has come: what a checkpoint keeps beside the lane's state."""

    batches: int = 0
    cut: int = 0
    seconds: float = 0.0
    curve: list[tuple[int, float]] = field(default_factory=list)
    valid_curve: list[tuple[int, float]] = field(default_factory=list)


class Job:
    """Some runs that one lane does in one go, the longest last.

    `interval` is every how many steps a run that may stop early is evaluated: an
    evaluation costs a third of a training step for each jet, so `EVALUATION` decides.
    """

    def __init__(self, runs: Sequence[RunConfig]):
        self.runs = sorted(runs, key=lambda run: run.steps)
        self.run = self.runs[-1]
        self.progress = Progress()
        share = EVALUATION / (1 - EVALUATION)
        self.interval = math.ceil(self.run.num_valid / (3 * self.run.batch * share))
        self._planned: tuple[int, Chunked] | None = None

    def open(self, feed: Feed, packing: Packing) -> None:
        """Have the jets ready."""
        run = self.run
        self._batches = batches_of(
            feed,
            packing,
            pool=run.pool,
            num_train=run.num_train,
            epochs=run.epochs,
            seed=run.seed,
        )

    @property
    def id(self) -> str:
        return self.run.id

    @property
    def stop(self) -> int:
        """The step at which the job is evaluated next."""
        done = self.progress.batches
        if self.run.patience:
            return min(self.run.steps, (done // self.interval + 1) * self.interval)
        return next(run.steps for run in self.runs if run.steps > done)

    @property
    def ended(self) -> bool:
        return self.progress.batches == self.run.steps

    def chunk(self) -> Chunked:
        """The work that comes next, up to `stop`."""
        begin = self.progress.batches
        if self._planned is None or self._planned[0] != begin:
            self._planned = begin, self._batches.chunk(begin, self.stop)
        return self._planned[1]

    def plan_ahead(self, chunk: Chunked) -> None:
        """Plan what follows a chunk while the device is busy with it."""
        begin = self.progress.batches + chunk.batches
        if begin < self.stop:
            self._planned = begin, self._batches.chunk(begin, self.stop)

    def note(self, chunk: Chunked, losses: Float[np.ndarray, "s"]) -> bool:
        """Take down what a chunk did; whether its loss is finite."""
        progress = self.progress
        progress.batches += chunk.batches
        progress.cut += chunk.cut
        mean = float(np.sum(losses, dtype=np.float64)) / chunk.batches
        if np.isfinite(mean):
            progress.curve.append((progress.batches, mean))
        return bool(np.isfinite(mean))

    def due(self) -> list[RunConfig]:
        """The runs that end here."""
        return [run for run in self.runs if run.steps == self.progress.batches]

    def open_runs(self) -> list[RunConfig]:
        """The runs that end here or later."""
        return [run for run in self.runs if run.steps >= self.progress.batches]

    def notes(self) -> dict[str, Any]:
        return asdict(self.progress)

    def restore(self, notes: dict[str, Any]) -> None:
        """Take up what `notes` kept."""
        self.progress = Progress(
            batches=notes["batches"],
            cut=notes["cut"],
            seconds=notes["seconds"],
            curve=[(int(step), float(loss)) for step, loss in notes["curve"]],
            valid_curve=[
                (int(step), float(loss)) for step, loss in notes["valid_curve"]
            ],
        )


def jobs_of(runs: Sequence[RunConfig], *, one_trajectory: bool) -> list[Job]:
    """The jobs that do these runs, the longest first: it should not be the last.

    Runs that differ in `examples` alone become one job, as their orders of jets are
    prefixes of one another.
    """
    groups: dict[str, list[RunConfig]] = {}
    for run in runs:
        shared = run.trajectory if one_trajectory else None
        groups.setdefault(shared.id if shared else run.id, []).append(run)
    return sorted(map(Job, groups.values()), key=lambda job: -job.run.steps)
