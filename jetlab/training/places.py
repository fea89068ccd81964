"""Where runs of one shape train: on which devices, in how many lanes, how packed."""

import math
from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Any

import jax

from jetlab.data.store import Store
from jetlab.models.tagger import Tagger
from jetlab.training.batching import Packing, take
from jetlab.training.dataset import Feed
from jetlab.training.evaluate import PerJet, make_evaluate
from jetlab.training.losses import cross_entropy
from jetlab.training.mesh import DATA, LANE, make_mesh, spread
from jetlab.training.probe import feed_forward
from jetlab.training.replicas import Lanes, choose
from jetlab.training.run_config import PRECISIONS, RunConfig
from jetlab.training.scan import Take
from jetlab.training.step import Engine, make_engine


@lru_cache(64)
def _engine(model: Tagger, precision: str) -> Engine:
    """The same engine for the same model: its programs are then traced once."""
    return make_engine(model, cross_entropy, PRECISIONS[precision])


@lru_cache(64)
def _gather(packing: Packing) -> Take:
    return partial(take, packing)


class Places:
    """Lanes on the devices there are, made by `open` or as a checkpoint's `form`."""

    lanes: Lanes
    packing: Packing

    def __init__(self, run: RunConfig, feed: Feed):
        self._run, self._feed = run, feed
        self._engine = _engine(run.model, run.precision)
        self._evaluate = make_evaluate(self._engine, feed.valid)

    def open(self, jobs: int) -> None:
        """Blank lanes for so many jobs."""
        # jets that come from a store come for one run at a time
        jobs = 1 if isinstance(self._feed.train, Store) else jobs
        self._settle(spread(jobs, self._run.batch).shape[LANE])
        self._make(self._count(jobs))

    def form(self, notes: dict[str, Any]) -> Any:
        """What the state is like that belongs to these notes.

        On as many devices as it was written on, every lane is where it was.
        """
        self._settle(math.gcd(notes["spread"], jax.device_count()))
        self._make(notes["lanes"])
        return self.lanes.state

    def notes(self) -> dict[str, Any]:
        return {"spread": self._mesh.shape[LANE], "lanes": self.lanes.count}

    def evaluate(self, params: Any) -> PerJet:
        """What parameters reach on each validation jet."""
        return self._evaluate(params)

    def renew(self) -> None:
        """Blank lanes, half as many where that can be: the device ran out of memory."""
        self._make(self._half() or self.lanes.count)

    def shrink(self, busy: Sequence[int]) -> bool:
        """Half the lanes, the busy ones in front, if these fit and the devices can
        share them equally."""
        half = self._half()
        if len(busy) > half:
            return False
        idle = [lane for lane in range(self.lanes.count) if lane not in busy]
        state = self.lanes.keep([*busy, *idle][:half])
        self._make(half)
        self.lanes.state = state
        return True

    def _settle(self, devices: int) -> None:
        """Lanes on so many devices, which the others help with their batches."""
        self._mesh = make_mesh(devices)
        self.packing = self._feed.packing(self._run.batch, self._mesh.shape[DATA])

    def _count(self, jobs: int) -> int:
        """How many lanes for so many jobs: equally many on each device.

        On a CPU lanes never pay (benchmarks/lanes.py): a step fills the cores, and a
        number that a busy machine decides would round sums differently each time.
        """
        devices = self._mesh.shape[LANE]
        each = -(-jobs // devices)
        if jax.default_backend() == "cpu" or each == 1:
            return devices
        width = self._run.model.width
        return devices * choose(partial(feed_forward, width, self.packing.rows), each)

    def _half(self) -> int:
        half = self.lanes.count // 2
        return half if half % self._mesh.shape[LANE] == 0 else 0

    def _make(self, count: int) -> None:
        gather, stops = _gather(self.packing), self._run.patience > 0
        self.lanes = Lanes(self._engine, gather, self._mesh, count, stops=stops)
