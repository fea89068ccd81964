"""A trajectory: one run, or all runs that are prefixes of a longer one."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float

from jetlab.training.batching import Packing
from jetlab.training.dataset import Dataset, ScanInputs, batches_of
from jetlab.training.run_config import RunConfig

EVALUATION = 0.2
"""Share of a run's arithmetic that early stopping may spend on evaluations."""


@dataclass(kw_only=True)
class Progress:
    """How far a trajectory has come: what a checkpoint keeps beside the state."""

    batches: int = 0
    cut: int = 0
    seconds: float = 0.0
    curve: list[tuple[int, float]] = field(default_factory=list)
    valid_curve: list[tuple[int, float]] = field(default_factory=list)


class Trajectory:
    """Runs that one replica trains in one go, the longest last.

    `interval` is the number of steps between evaluations of a run that may stop early:
    an evaluation costs a third of a training step for each jet, so `EVALUATION` decides
    it.
    """

    def __init__(self, runs: Sequence[RunConfig]):
        self.runs = sorted(runs, key=lambda run: run.steps)
        self.run = self.runs[-1]
        self.progress = Progress()
        share = EVALUATION / (1 - EVALUATION)
        self.interval = math.ceil(self.run.num_valid / (3 * self.run.batch * share))
        self._planned: tuple[int, ScanInputs] | None = None

    def open(self, dataset: Dataset, packing: Packing) -> None:
        """Prepare the batches."""
        self._batches = batches_of(dataset, packing, self.run)

    @property
    def id(self) -> str:
        """The identity of the longest run."""
        return self.run.id

    @property
    def next_eval_step(self) -> int:
        """The step of the next evaluation."""
        done = self.progress.batches
        if self.run.patience:
            return min(self.run.steps, (done // self.interval + 1) * self.interval)
        return next(run.steps for run in self.runs if run.steps > done)

    @property
    def ended(self) -> bool:
        """Whether the longest run has taken all its steps."""
        return self.progress.batches == self.run.steps

    def scan_inputs(self) -> ScanInputs:
        """The next scan, up to `next_eval_step`."""
        begin = self.progress.batches
        if self._planned is None or self._planned[0] != begin:
            self._planned = begin, self._batches.scan(begin, self.next_eval_step)
        return self._planned[1]

    def prefetch(self, scan: ScanInputs) -> None:
        """Prepare what follows a scan while the device is busy with it."""
        begin = self.progress.batches + scan.batches
        if begin < self.next_eval_step:
            self._planned = begin, self._batches.scan(begin, self.next_eval_step)

    def update(self, scan: ScanInputs, losses: Float[np.ndarray, "s"]) -> bool:
        """Add a finished scan to the progress; whether its mean loss is finite."""
        progress = self.progress
        progress.batches += scan.batches
        progress.cut += scan.cut
        mean = float(np.sum(losses, dtype=np.float64)) / scan.batches
        if np.isfinite(mean):
            progress.curve.append((progress.batches, mean))
        return bool(np.isfinite(mean))

    def runs_ending_here(self) -> list[RunConfig]:
        """The runs whose last step this is."""
        return [run for run in self.runs if run.steps == self.progress.batches]

    def unfinished_runs(self) -> list[RunConfig]:
        """The runs that end here or later."""
        return [run for run in self.runs if run.steps >= self.progress.batches]

    def state_dict(self) -> dict[str, Any]:
        """The progress as JSON can hold it."""
        return asdict(self.progress)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the progress of a checkpoint."""
        self.progress = Progress(
            batches=state["batches"],
            cut=state["cut"],
            seconds=state["seconds"],
            curve=[(int(step), float(loss)) for step, loss in state["curve"]],
            valid_curve=[
                (int(step), float(loss)) for step, loss in state["valid_curve"]
            ],
        )


def trajectories_of(
    runs: Sequence[RunConfig], *, one_trajectory: bool
) -> list[Trajectory]:
    """The trajectories of these runs, the longest first, so that none is left running
    alone at the end.

    Runs that differ in `num_train` alone become one trajectory, as their orders of jets
    are prefixes of one another.
    """
    groups: dict[str, list[RunConfig]] = {}
    for run in runs:
        shared = run.trajectory if one_trajectory else None
        groups.setdefault(shared.id if shared else run.id, []).append(run)
    return sorted(map(Trajectory, groups.values()), key=lambda one: -one.run.steps)
