"""Runs of one shape to records: lanes, evaluation, checkpoints, and what goes wrong."""

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jetlab.records import Record
from jetlab.training.checkpoint import Checkpoints, Saved
from jetlab.training.dataset import Chunked, Feed
from jetlab.training.evaluate import mean
from jetlab.training.job import Job, jobs_of
from jetlab.training.optimizer import Rates
from jetlab.training.outcome import done, lost, record
from jetlab.training.places import Places
from jetlab.training.replicas import Lanes
from jetlab.training.run_config import RunConfig
from jetlab.training.scan import STEPS, nothing

SAVE_EVERY = 20.0
"""Seconds between checkpoints: what a killed run may have to do again."""


class Group:
    """Runs of one shape, trained in lanes: iterate for a record as each run ends.

    Runs that are points on one way are trained as one unless `one_trajectory` is off.
    `folder` keeps checkpoints; None keeps none. Runs whose ids are `known` give no
    record. `on_steps` hears of each run's steps as they are taken.

    Raises:
      ValueError: for runs of different shapes.
    """

    def __init__(
        self,
        runs: Sequence[RunConfig],
        feed: Feed,
        study: str,
        *,
        one_trajectory: bool = True,
        known: Collection[str] = (),
        folder: Path | None = None,
        on_steps: Callable[[RunConfig, int], None] = lambda run, steps: None,
    ):
        if len({run.compile_key for run in runs}) > 1:
            raise ValueError(
                "these runs differ in shape: group them by RunConfig.compile_key"
            )
        first = runs[0]
        self._feed, self._study, self._on_steps = feed, study, on_steps
        self._folder, self._known = folder, set(known)
        self._stops = first.patience > 0
        self._places = Places(first, feed)
        self._idle = nothing(STEPS, first.batch)
        self._jobs = jobs_of(runs, one_trajectory=one_trajectory)
        self._at: dict[int, Job] = {}  # the job of each busy lane
        self._round_number = 0
        self.busy = self.occupied = 0  # steps of lanes, with and without the idle ones

    def __iter__(self) -> Iterator[Record]:
        with ExitStack() as stack:
            saved = None
            if self._folder:
                saved = stack.enter_context(Checkpoints(self._folder))
            found = saved.latest(self._places.form) if saved else None
            if saved and found and not self._ours(found):
                saved.clear()  # of another grid in the same folder
                found = None
            self._begin(found)
            last = time.monotonic()
            while self._queue or self._at:
                self._fill()
                try:
                    yield from self._round()
                except jax.errors.JaxRuntimeError as error:  # memory, a lost device
                    yield from self._fail(str(error))
                self._shrink()
                if saved and self._at and time.monotonic() - last > SAVE_EVERY:
                    saved.save(self._round_number, self._lanes.state, self._notes())
                    last = time.monotonic()
            if saved:
                saved.clear()

    @property
    def _lanes(self) -> Lanes:
        return self._places.lanes

    def _begin(self, found: Saved | None) -> None:
        """Lanes and queue as a checkpoint left them, or new ones."""
        missing = [
            job for job in self._jobs if any(r.id not in self._known for r in job.runs)
        ]
        self._queue = missing
        if found is None:
            self._places.open(len(missing))
            return
        by_id = {job.id: job for job in self._jobs}
        self._lanes.state, self._round_number = found.state, found.step
        for lane, (name, progress) in found.notes["at"].items():
            job = self._at[int(lane)] = by_id[name]
            job.restore(progress)
            job.open(self._feed, self._places.packing)
            self._on_steps(job.run, job.progress.batches)
        # with what was recorded after the checkpoint: every lane then does what it
        # did, and gives the bits that it gave
        self._queue = [by_id[name] for name in found.notes["queue"]]

    def _ours(self, found: Saved) -> bool:
        """Whether a checkpoint is of these jobs."""
        names = [name for name, _ in found.notes["at"].values()]
        return {*names, *found.notes["queue"]} <= {job.id for job in self._jobs}

    def _notes(self) -> dict[str, Any]:
        return {
            **self._places.notes(),
            "at": {str(lane): (job.id, job.notes()) for lane, job in self._at.items()},
            "queue": [job.id for job in self._queue],
        }

    def _fill(self) -> None:
        """A queued job into every free lane."""
        free = [lane for lane in range(self._lanes.count) if lane not in self._at]
        for lane in free[: len(self._queue)]:
            job = self._at[lane] = self._queue.pop(0)
            job.open(self._feed, self._places.packing)
            rates = Rates(job.run.learning_rate, job.run.weight_decay)
            self._lanes.start(lane, jax.random.key(job.run.seed), rates)

    def _round(self) -> Iterator[Record]:
        """A chunk of every lane, and what ends with it."""
        begin = time.perf_counter()
        stops = {lane: job.stop for lane, job in self._at.items()}
        chunks = {lane: job.chunk() for lane, job in self._at.items()}
        losses = self._advance(chunks)
        seconds = (time.perf_counter() - begin) / len(chunks)
        for lane, job in list(self._at.items()):
            job.progress.seconds += seconds
            finite = job.note(chunks[lane], losses[lane])
            self._on_steps(job.run, chunks[lane].batches)
            if not finite:
                yield from self._diverge(lane)
            elif job.progress.batches == stops[lane]:
                yield from self._reach(lane)

    def _advance(self, chunks: dict[int, Chunked]) -> np.ndarray:
        count = self._lanes.count
        steps = [chunks[n].steps if n in chunks else self._idle for n in range(count)]
        losses = self._lanes.advance(next(iter(chunks.values())).jets, steps)
        for lane, job in self._at.items():  # while the device is busy
            job.plan_ahead(chunks[lane])
        self._round_number += 1
        self.busy += sum(chunk.batches for chunk in chunks.values())
        self.occupied += count * max(chunk.batches for chunk in chunks.values())
        return np.asarray(losses)

    def _reach(self, lane: int) -> Iterator[Record]:
        """Evaluate a job where it stands."""
        job, begin = self._at[lane], time.perf_counter()
        reached = self._places.evaluate(self._lanes.params(lane))
        loss, _ = mean(reached.loss, self._feed.valid.labels)
        here = job.progress.batches
        job.progress.seconds += time.perf_counter() - begin
        if not np.isfinite(loss):
            yield from self._diverge(lane)
            return
        job.progress.valid_curve.append((here, loss))
        if self._stops:
            step, waited = self._lanes.consider(lane, loss)
            ended = job.ended or waited >= job.run.patience
            if ended:
                best = self._places.evaluate(self._lanes.best_params(lane))
                yield from self._record([job.run], job, done(best, self._feed, step))
        else:
            yield from self._record(job.due(), job, done(reached, self._feed, here))
            ended = job.ended
        if ended:
            del self._at[lane]

    def _diverge(self, lane: int) -> Iterator[Record]:
        """Record the rest of a job as lost; its lane is free for another."""
        job, here = self._at[lane], self._at[lane].progress.batches
        message = f"the loss is not finite at step {here}"
        yield from self._record(job.open_runs(), job, lost("diverged", message, here))
        del self._at[lane]

    def _fail(self, message: str) -> Iterator[Record]:
        """Record what was at work as failed; go on with half the lanes."""
        jobs, self._at = list(self._at.values()), {}
        self._places.renew()
        for job in jobs:
            here = job.progress.batches
            yield from self._record(job.open_runs(), job, lost("failed", message, here))

    def _shrink(self) -> None:
        """Half the lanes, as often as the jobs that are left fit in them."""
        while not self._queue and self._at and self._places.shrink(sorted(self._at)):
            jobs = [job for _, job in sorted(self._at.items())]
            self._at = dict(enumerate(jobs))

    def _record(
        self, runs: Sequence[RunConfig], job: Job, outcome: dict[str, Any]
    ) -> Iterator[Record]:
        """Records of these runs, but of those that have one already."""
        for run in runs:
            if run.id not in self._known:
                self._known.add(run.id)
                yield record(run, job, self._feed, self._study, **outcome)
