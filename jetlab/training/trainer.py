"""The trainer: runs of one compiled program to records, with everything in between.

Replicas, evaluation, early stopping, checkpoints, weights, and what goes wrong.
"""

import logging
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jetlab.records import Record
from jetlab.training.checkpoint import CHECKPOINT_INTERVAL, Checkpoints, Saved
from jetlab.training.dataset import Dataset, ScanInputs
from jetlab.training.evaluate import Loss, Predictions, validation_loss
from jetlab.training.optimizer import Hyperparams
from jetlab.training.outcome import failed, finished, record_of
from jetlab.training.placement import Placement
from jetlab.training.replicas import Replicas
from jetlab.training.run_config import RunConfig
from jetlab.training.scan import SCAN_LENGTH, empty_schedule
from jetlab.training.trajectory import Trajectory, trajectories_of
from jetlab.training.weights import save_weights

logger = logging.getLogger(__name__)


class Trainer:
    """Runs of one compiled program; iterate for a record as each run ends.

    Runs that are prefixes of one another are trained as one trajectory unless
    `one_trajectory` is off. `folder` keeps checkpoints and `weights` the weights of
    finished runs; None keeps none. Runs whose ids are `known` give no record.
    `on_steps(run, steps)` is called as steps are taken. `initial_params(run)` gives the
    parameters of a run with `init_from`.

    Raises:
      ValueError: for runs of different compile keys.
    """

    def __init__(
        self,
        runs: Sequence[RunConfig],
        dataset: Dataset,
        study: str,
        *,
        one_trajectory: bool = True,
        known: Collection[str] = (),
        folder: Path | None = None,
        weights: Path | None = None,
        on_steps: Callable[[RunConfig, int], None] = lambda run, steps: None,
        initial_params: Callable[[RunConfig], Any] = lambda run: None,
    ):
        if len({run.compile_key for run in runs}) > 1:
            raise ValueError("these runs differ in RunConfig.compile_key: group by it")
        first = runs[0]
        self._dataset, self._study, self._on_steps = dataset, study, on_steps
        self._folder, self._weights, self._known = folder, weights, set(known)
        self._initial_params = initial_params
        self._stops = first.patience > 0
        self._placement = Placement(first, dataset)
        self._idle = empty_schedule(SCAN_LENGTH, first.batch)
        self._trajectories = trajectories_of(runs, one_trajectory=one_trajectory)
        self._at: dict[int, Trajectory] = {}  # the trajectory of each busy replica
        self._scans = 0
        self.busy = self.occupied = 0  # steps of replicas, without and with idle ones

    def __iter__(self) -> Iterator[Record]:
        with ExitStack() as stack:
            saved = None
            if self._folder:
                saved = stack.enter_context(Checkpoints(self._folder))
            self._begin(self._restored(saved) if saved else None)
            last = time.monotonic()
            while self._queue or self._at:
                self._fill()
                try:
                    yield from self._train_scan()
                except jax.errors.JaxRuntimeError as error:  # memory, a lost device
                    yield from self._recover(str(error))
                self._shrink()
                if saved and self._at and time.monotonic() - last > CHECKPOINT_INTERVAL:
                    saved.save(
                        self._scans, self._replicas.state, self._checkpoint_notes()
                    )
                    last = time.monotonic()
            if saved:
                saved.clear()

    @property
    def _replicas(self) -> Replicas:
        return self._placement.replicas

    def _restored(self, saved: Checkpoints) -> Saved | None:
        """The checkpoint of these runs; one of another grid is cleared away."""
        found = saved.latest(self._placement.restore_template)
        if found and not self._matches(found):
            saved.clear()
            return None
        return found

    def _matches(self, found: Saved) -> bool:
        """Whether a checkpoint is of these trajectories."""
        names = [name for name, _ in found.notes["at"].values()]
        ours = {one.id for one in self._trajectories}
        return {*names, *found.notes["queue"]} <= ours

    def _begin(self, found: Saved | None) -> None:
        """Replicas and queue as a checkpoint left them, or new ones."""
        missing = [
            one
            for one in self._trajectories
            if any(run.id not in self._known for run in one.runs)
        ]
        self._queue = missing
        if found is None:
            self._placement.open(len(missing))
            return
        by_id = {one.id: one for one in self._trajectories}
        self._replicas.state, self._scans = found.state, found.step
        for replica, (name, progress) in found.notes["at"].items():
            trajectory = self._at[int(replica)] = by_id[name]
            trajectory.load_state_dict(progress)
            trajectory.open(self._dataset, self._placement.packing)
            self._on_steps(trajectory.run, trajectory.progress.batches)
        # Runs recorded after this checkpoint are trained again, so that the results of
        # a resumed group are equal to the bit.
        self._queue = [by_id[name] for name in found.notes["queue"]]

    def _checkpoint_notes(self) -> dict[str, Any]:
        """What a checkpoint says beside the state of the replicas."""
        at = {str(n): (one.id, one.state_dict()) for n, one in self._at.items()}
        queue = [one.id for one in self._queue]
        return {**self._placement.notes(), "at": at, "queue": queue}

    def _fill(self) -> None:
        """A queued trajectory into every free replica."""
        free = [n for n in range(self._replicas.count) if n not in self._at]
        for replica in free[: len(self._queue)]:
            trajectory = self._at[replica] = self._queue.pop(0)
            trajectory.open(self._dataset, self._placement.packing)
            run = trajectory.run
            rates = run.learning_rate, run.weight_decay
            hyperparams = Hyperparams(*rates, run.steps, run.annealing)
            params = self._initial_params(run)
            self._replicas.start(replica, jax.random.key(run.seed), hyperparams, params)

    def _train_scan(self) -> Iterator[Record]:
        """A scan of every replica, and the records of what ends with it."""
        begin = time.perf_counter()
        evaluations = {n: one.next_eval_step for n, one in self._at.items()}
        scans = {n: one.scan_inputs() for n, one in self._at.items()}
        losses = self._advance(scans)
        seconds = (time.perf_counter() - begin) / len(scans)
        for replica, trajectory in list(self._at.items()):
            trajectory.progress.seconds += seconds
            finite = trajectory.update(scans[replica], losses[replica])
            self._on_steps(trajectory.run, scans[replica].batches)
            if not finite:
                yield from self._diverge(replica)
            elif trajectory.progress.batches == evaluations[replica]:
                yield from self._evaluate(replica)

    def _advance(self, scans: dict[int, ScanInputs]) -> np.ndarray:
        count = self._replicas.count
        schedules = [scans[n].steps if n in scans else self._idle for n in range(count)]
        losses = self._replicas.advance(next(iter(scans.values())).jets, schedules)
        for replica, trajectory in self._at.items():  # while the device is busy
            trajectory.prefetch(scans[replica])
        self._scans += 1
        self.busy += sum(scan.batches for scan in scans.values())
        self.occupied += count * max(scan.batches for scan in scans.values())
        return np.asarray(losses)

    def _evaluate(self, replica: int) -> Iterator[Record]:
        """Evaluate a trajectory where it stands."""
        trajectory, begin = self._at[replica], time.perf_counter()
        params = self._replicas.average(replica)
        reached = self._placement.evaluate(params)
        loss = self._loss(reached).mean
        step = trajectory.progress.batches
        trajectory.progress.seconds += time.perf_counter() - begin
        if not np.isfinite(loss):
            yield from self._diverge(replica)
            return
        trajectory.progress.valid_curve.append((step, loss))
        if self._stops:
            best_step, waited = self._replicas.update_best(replica, loss)
            ended = trajectory.ended or waited >= trajectory.run.patience
            if ended:
                best = self._replicas.best_params(replica)
                reached = self._placement.evaluate(best)
                kept = {"final": self._replicas.params(replica), "best": best}
                runs = [trajectory.run]
                yield from self._finish(runs, trajectory, reached, best_step, kept)
        else:
            runs = trajectory.runs_ending_here()
            kept, details = {"final": params}, {}
            if trajectory.run.averaging:
                last = self._replicas.params(replica)
                kept = {"final": last, "averaged": params}
                details = self._last_losses(self._placement.evaluate(last))
            yield from self._finish(runs, trajectory, reached, step, kept, **details)
            ended = trajectory.ended
        if ended:
            del self._at[replica]

    def _last_losses(self, reached: Predictions) -> dict[str, float]:
        """Of the last weights, where the loss is that of averaged ones."""
        last = self._loss(reached)
        known = {k: v for k, v in last.details.items() if k == "label_loss"}
        return {f"last_{name}": v for name, v in {"loss": last.mean, **known}.items()}

    def _loss(self, reached: Predictions) -> Loss:
        valid = self._dataset.valid
        task = self._dataset.task
        return validation_loss(task, reached, valid.labels, valid.posterior)

    def _finish(
        self,
        runs: Sequence[RunConfig],
        trajectory: Trajectory,
        reached: Predictions,
        step: int,
        params: dict[str, Any],
        **details: float,
    ) -> Iterator[Record]:
        """Records of finished runs; their weights are on the disk before."""
        for run in self._unknown(runs):
            weights = {}
            if self._weights:
                classes = self._dataset.classes
                weights = {
                    name: save_weights(self._weights, run, classes, values)
                    for name, values in params.items()
                }
            outcome = finished(reached, self._dataset, step, weights, **details)
            yield from self._record([run], trajectory, outcome)

    def _diverge(self, replica: int) -> Iterator[Record]:
        """Record the rest of a trajectory as diverged; its replica is free."""
        trajectory = self._at[replica]
        step = trajectory.progress.batches
        outcome = failed("diverged", f"the loss is not finite at step {step}", step)
        yield from self._record(trajectory.unfinished_runs(), trajectory, outcome)
        del self._at[replica]

    def _recover(self, message: str) -> Iterator[Record]:
        """Record the runs in training as failed; go on with half the replicas."""
        logger.warning("%d runs failed: %s", len(self._at), message)
        trajectories, self._at = list(self._at.values()), {}
        self._placement.renew()
        for one in trajectories:
            outcome = failed("failed", message, one.progress.batches)
            yield from self._record(one.unfinished_runs(), one, outcome)

    def _shrink(self) -> None:
        """Halve the replicas as often as the remaining trajectories fit in them."""
        while not self._queue and self._at and self._placement.shrink(sorted(self._at)):
            trajectories = [one for _, one in sorted(self._at.items())]
            self._at = dict(enumerate(trajectories))

    def _unknown(self, runs: Sequence[RunConfig]) -> list[RunConfig]:
        return [run for run in runs if run.id not in self._known]

    def _record(
        self, runs: Sequence[RunConfig], trajectory: Trajectory, outcome: dict[str, Any]
    ) -> Iterator[Record]:
        """Records of these runs, except those that have one already."""
        for run in self._unknown(runs):
            self._known.add(run.id)
            yield record_of(run, trajectory, self._dataset, self._study, **outcome)
