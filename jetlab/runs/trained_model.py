"""Trained networks: loaded from the folder of their runs, applied to any jets."""

import math
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int, Shaped

from jetlab.data import ragged
from jetlab.data.features import Inputs, featurize
from jetlab.records import Record
from jetlab.runs.ledger import Ledger
from jetlab.training.batching import (
    Packing,
    choose_packing,
    schedule,
    with_offsets,
)
from jetlab.training.evaluate import Predictions, evaluate_program
from jetlab.training.mesh import by_replica, make_mesh, put_global, replicated
from jetlab.training.run_config import PRECISIONS, length_groups
from jetlab.training.step import Engine, make_engine
from jetlab.training.weights import Weights, load_weights, params_of
from jetlab.types import Jets

CHUNK = 8192
"""Jets on the device at a time."""

BLOCK = 512
"""Jets of a micro-batch: bounds the memory of attention."""

SHAPES = 8
"""Numbers of rows of a block, at equal distances up to that of the longest jets."""


class TrainedModel:
    """A trained network: call it with jets for its outputs, one row a jet.

        tagger = load_model("runs/mine", table.best())
        logits = tagger(jets.valid(1000))        # (1000, classes)

    For a tagger the outputs are logits in the order of `classes`. `digest` is a hash of
    the weights and the spec of their run, `record` the run's where it is known.
    """

    def __init__(self, weights: Weights, digest: str, record: Record | None = None):
        self.run, self.classes, self.record = weights.run, weights.classes, record
        self.params = params_of(weights, weights.run.model)
        self.digest = digest
        self._fixed_packing: Packing | None = None

    @property
    def inputs(self) -> Inputs:
        """The features and particles that it reads."""
        return self.run.input_config

    def __repr__(self) -> str:
        loss = f", loss {self.record.loss:.4g}" if self.record else ""
        return (
            f"TrainedModel({self.run.task.name}, width {self.run.model.width},"
            f" {self.inputs.label}{loss})"
        )

    def __call__(self, jets: Jets) -> Shaped[np.ndarray, "b ..."]:
        """The outputs for each jet, in the order of the jets."""
        return np.asarray(self.evaluate(jets).outputs)

    def evaluate(self, jets: Jets) -> Predictions:
        """The loss and the outputs of each jet; labels are indices into `classes`.

        Raises:
          ValueError: without jets.
        """
        first, count = ragged.first_rows(jets), len(jets.counts)
        if not count:
            raise ValueError("there are no jets to apply the network to")
        size = min(CHUNK, max(BLOCK, 1 << (count - 1).bit_length()))
        chunks = [
            ragged.slice_jets(jets, first, start, min(start + size, count))
            for start in range(0, count, size)
        ]
        packing = self._packing(np.asarray(jets.counts))
        parts = [self._chunk(chunk, size, packing) for chunk in chunks]
        columns = zip(*parts, strict=True)
        return Predictions(*(jnp.asarray(np.concatenate(c)) for c in columns))

    def _chunk(self, jets: Jets, size: int, packing: Packing) -> tuple[np.ndarray, ...]:
        """Loss and outputs of up to `size` jets, padded to one static shape."""
        inputs, count = self.run.input_config, len(jets.counts)
        jets = ragged.truncate(jets, inputs.particles)  # as in training
        features = featurize(jets, inputs)
        targets = self.run.task.targets(jets)
        padded = with_offsets(
            _pad(features.x, size * inputs.particles),
            _pad(features.counts, size),
            _pad(targets, size),
        )
        loaded = put_global(padded, replicated(make_mesh()))
        evaluate = evaluate_program(self.run.task, self._engine, packing)
        columns: list[np.ndarray] = []
        for rows, blocks in _blocks(features.counts, size, packing):
            found = evaluate(self.params, loaded, blocks)
            values = [np.asarray(column)[:count] for column in found]
            columns = columns or [np.zeros_like(column) for column in values]
            for column, new in zip(columns, values, strict=True):
                column[rows] = new[rows]
        return tuple(columns)

    def _packing(self, counts: Int[np.ndarray, "b"]) -> Packing:
        """The static shape of a block: one of `SHAPES`, by the mean number of particles
        of these jets; where attention needs groups, from the first jets evaluated, as
        each program takes long to compile."""
        most = self.inputs.particles
        shown = np.minimum(counts, most)
        if not length_groups(self.run.model):
            share = 1.02 * float(shown.mean()) / most  # blocks differ by less
            rows = BLOCK * most * min(SHAPES, math.ceil(SHAPES * share)) // SHAPES
            rows = max(most, rows)
            return Packing(batch=BLOCK, rows=rows, longest=(most,) * BLOCK, groups=())
        if self._fixed_packing is None:
            self._fixed_packing = choose_packing(shown, BLOCK, most, grouped=True)
        return self._fixed_packing

    @cached_property
    def _engine(self) -> Engine:
        precision = PRECISIONS[self.run.precision]
        return make_engine(self.run.model, self.run.task.loss, precision)


def _blocks(
    counts: Int[np.ndarray, "b"], size: int, packing: Packing
) -> Iterator[tuple[Int[np.ndarray, "m"], Any]]:
    """Schedules that cover all jets, each with the row numbers of its jets.

    Jets are sorted by length and dealt round-robin to the blocks, so blocks have
    similar lengths. A block that overflows the packing takes several micro-batches, and
    one schedule may not hold them all.
    """
    order = np.argsort(-counts, kind="stable").astype(np.int32)
    blocks = size // BLOCK
    short = blocks * BLOCK - len(order)
    dealt = np.concatenate([order, np.repeat(order[-1:], short)])
    waiting = dealt.reshape(BLOCK, blocks).T
    devices = jax.device_count()
    length = -(-(blocks + blocks // 8 + 1) // devices) * devices
    while len(waiting):
        planned = schedule(waiting, counts, packing, length)
        if not planned.batches:  # a block of jets much longer than the first ones
            length *= 2
            continue
        rows = np.unique(waiting[: planned.batches])
        yield rows, put_global(planned.steps, by_replica(make_mesh(devices)))
        waiting = waiting[planned.batches :]


def load_model(folder: str | Path, run: str | Mapping[str, Any]) -> TrainedModel:
    """A trained network of a folder of runs.

    Args:
      folder: the `out` of `train` or of `jetlab run`.
      run: the id of a run, or a table of one row such as `table.best()`.

    Returns:
      The network with its final weights, or, where it stopped early, those of the
      lowest validation loss.

    Raises:
      ValueError: for a run that is not in the folder, or whose weights were not kept.
    """
    ledger, name = Ledger(folder), _run_id(run)
    record = ledger.records().get(name)
    if record is None:
        raise ValueError(f"{folder} has no run {name}")
    path = ledger.weights_file(record)
    if path is None:
        raise ValueError(
            f"run {name} in {folder} left no weights: its status is {record.status}, or"
            " an earlier version without weights trained it"
        )
    if not path.exists():
        kept = ", ".join(sorted(r.id for r in _with_weights(ledger))) or "no run"
        raise ValueError(
            f"the weights of run {name} were not kept, only those of {kept}: train with"
            ' keep="all" to keep all'
        )
    return model_of(path, record)


def model_of(path: Path, record: Record | None = None) -> TrainedModel:
    """The network of a file of weights.

    Raises:
      ValueError: for a file that is missing, damaged, or of a class that cannot be
        imported here.
    """
    return TrainedModel(load_weights(path), path.stem[:12], record)


def best_run(folder: str | Path) -> str:
    """The id of the run of the lowest loss whose weights were kept.

    Raises:
      ValueError: where no weights were kept.
    """
    kept = _with_weights(Ledger(folder))
    if not kept:
        raise ValueError(f"{folder} has no weights of a finished run")
    return min(kept, key=lambda record: record.loss or np.inf).id


def _run_id(run: str | Mapping[str, Any]) -> str:
    if isinstance(run, str):
        return run
    ids = np.asarray(run["id"])
    if len(ids) != 1:
        raise ValueError(f"a table of {len(ids)} runs: take one row, as best() does")
    return str(ids[0])


def _with_weights(ledger: Ledger) -> list[Record]:
    """The runs whose weights are on the disk."""
    files = [(r, ledger.weights_file(r)) for r in ledger.records().values()]
    return [record for record, path in files if path and path.exists()]


def _pad(column: np.ndarray, rows: int) -> np.ndarray:
    """Zeros after the last row."""
    return np.pad(column, [(0, rows - len(column))] + [(0, 0)] * (column.ndim - 1))
