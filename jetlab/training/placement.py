"""Placement of runs of one compiled program: mesh, number of replicas, packing."""

import math
from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Any

import jax

from jetlab.data.store import Store
from jetlab.training.batching import Packing, gather_batch
from jetlab.training.dataset import Dataset
from jetlab.training.evaluate import Predictions, make_evaluate
from jetlab.training.mesh import DATA, REPLICA, make_mesh, mesh_for
from jetlab.training.replicas import Replicas
from jetlab.training.run_config import PRECISIONS, RunConfig
from jetlab.training.scan import GatherFn
from jetlab.training.step import Engine, make_engine
from jetlab.training.tune_replicas import feed_forward_probe, tune_replicas
from jetlab.types import ModelConfig, Task


@lru_cache(64)
def _engine(
    task: Task, model: ModelConfig, precision: str, averaging: float, annealing: bool
) -> Engine:
    """The same engine for the same model and task: its programs are traced once."""
    compute = PRECISIONS[precision]
    return make_engine(model, task.loss, compute, averaging, annealing)


@lru_cache(64)
def _gather(packing: Packing) -> GatherFn:
    return partial(gather_batch, packing)


class Placement:
    """The replicas on the devices, made by `open` or to restore a checkpoint."""

    replicas: Replicas
    packing: Packing

    def __init__(self, run: RunConfig, dataset: Dataset):
        self._run, self._dataset = run, dataset
        self._engine = _engine(
            run.task, run.model, run.precision, run.averaging, run.annealing > 0
        )
        self._evaluate = make_evaluate(run.task, self._engine, dataset.valid)

    def open(self, trajectories: int) -> None:
        """Empty replicas for a number of trajectories."""
        # Jets that are streamed from a store come for one run at a time.
        count = 1 if isinstance(self._dataset.train, Store) else trajectories
        self._choose_mesh(mesh_for(count, self._run.batch).shape[REPLICA])
        self._rebuild(self._num_replicas(count))

    def restore_template(self, notes: dict[str, Any]) -> Any:
        """The shapes of the state that was saved with these notes.

        On as many devices as it was written on, every replica is where it was.
        """
        self._choose_mesh(math.gcd(notes["spread"], jax.device_count()))
        self._rebuild(notes["lanes"])
        return self.replicas.state

    def notes(self) -> dict[str, Any]:
        """What `restore_template` needs, as JSON can hold it."""
        return {"spread": self._mesh.shape[REPLICA], "lanes": self.replicas.count}

    def evaluate(self, params: Any) -> Predictions:
        """The outputs and losses of all validation jets."""
        return self._evaluate(params)

    def renew(self) -> None:
        """Empty replicas, half as many where possible: the device ran out of memory."""
        self._rebuild(self._half() or self.replicas.count)

    def shrink(self, busy: Sequence[int]) -> bool:
        """Half the replicas, the busy ones in front, if these fit and the devices can
        share them equally."""
        half = self._half()
        if len(busy) > half:
            return False
        idle = [n for n in range(self.replicas.count) if n not in busy]
        state = self.replicas.gather([*busy, *idle][:half])
        self._rebuild(half)
        self.replicas.state = state
        return True

    def _choose_mesh(self, devices: int) -> None:
        """Replicas on a number of devices, each batch sharded over the others."""
        self._mesh = make_mesh(devices)
        self.packing = self._dataset.packing(self._run, self._mesh.shape[DATA])

    def _num_replicas(self, trajectories: int) -> int:
        """The number of replicas for these trajectories: equally many on each device.

        On a CPU more than one never pays (benchmarks/lanes.py): a step fills the cores,
        and a number that a busy machine decides would round sums differently each time.
        """
        devices = self._mesh.shape[REPLICA]
        each = -(-trajectories // devices)
        if jax.default_backend() == "cpu" or each == 1:
            return devices
        probe = partial(feed_forward_probe, self._run.model.width, self.packing.rows)
        return devices * tune_replicas(probe, each)

    def _half(self) -> int:
        half = self.replicas.count // 2
        return half if half % self._mesh.shape[REPLICA] == 0 else 0

    def _rebuild(self, count: int) -> None:
        gather, stops = _gather(self.packing), self._run.patience > 0
        self.replicas = Replicas(self._engine, gather, self._mesh, count, stops=stops)
