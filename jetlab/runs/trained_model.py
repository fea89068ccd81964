"""Trained networks of a study: loaded from its folder, applied to any jets."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int, Shaped

from jetlab.data import ragged
from jetlab.data.atomic import atomic_file, refuse_existing
from jetlab.data.features import featurize
from jetlab.data.store import Store
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
from jetlab.training.run_config import PRECISIONS, RunConfig, length_groups
from jetlab.training.step import Engine, make_engine
from jetlab.training.weights import load_weights, params_of
from jetlab.types import Jets, Source

CHUNK = 8192  # jets on the device at a time
UNSEEN = 10_000  # jets of a simulator that a network is applied to
BLOCK = 512  # jets of a micro-batch: bounds the memory of attention


class TrainedModel:
    """A trained network: call it with jets for its outputs, one row a jet.

        tagger = load_model("runs/mine", table.best())
        logits = tagger(jets.valid(1000))        # (1000, classes)

    For a tagger the outputs are logits in the order of `classes`.
    """

    def __init__(
        self, run: RunConfig, classes: tuple[str, ...], params: Any, record: Record
    ):
        self.run, self.classes, self.record = run, classes, record
        self.params = params
        self._fixed_packing: Packing | None = None

    def __repr__(self) -> str:
        return (
            f"TrainedModel({self.run.task.name}, width {self.run.model.width},"
            f" {self.run.input_config.label}, loss {self.record.loss:.4g})"
        )

    def __call__(self, jets: Jets) -> Shaped[np.ndarray, "b ..."]:
        """The outputs for each jet, in the order of the jets."""
        return np.asarray(self.evaluate(jets).outputs)

    def evaluate(self, jets: Jets) -> Predictions:
        """The loss of each jet and the outputs for it; the labels of the jets must
        count `classes`.

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
        """Up to `size` jets, in arrays of fixed shapes: one program serves all."""
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
        """The packing of random blocks of the first jets, for all that follow."""
        if self._fixed_packing is None:
            most = self.run.input_config.particles
            shown = np.minimum(counts, most)
            grouped = length_groups(self.run.model)
            self._fixed_packing = choose_packing(shown, BLOCK, most, grouped=grouped)
        return self._fixed_packing

    @cached_property
    def _engine(self) -> Engine:
        precision = PRECISIONS[self.run.precision]
        return make_engine(self.run.model, self.run.task.loss, precision)


def _blocks(
    counts: Int[np.ndarray, "b"], size: int, packing: Packing
) -> Iterator[tuple[Int[np.ndarray, "m"], Any]]:
    """The numbers of jets, and the schedule of blocks that holds them.

    Jets are dealt round-robin by length; a block that overflows the packing takes
    several micro-batches, so that a second schedule may be needed.
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

    `run` is the id of a run or a table of one row, such as `table.best()`. Where a run
    stopped early its best weights are taken.

    Raises:
      ValueError: for a run that is not in the folder, or whose weights were not kept.
    """
    ledger, name = Ledger(folder), _run_id(run)
    record = ledger.records().get(name)
    if record is None:
        raise ValueError(f"{folder} has no run {name}")
    file = record.weights.get("best") or record.weights.get("final")
    if file is None:
        raise ValueError(
            f"run {name} in {folder} left no weights: it is {record.status}, or was"
            " trained before weights were kept; train it again"
        )
    path = ledger.weights / file
    if not path.exists():
        kept = sorted(
            r.id for r in ledger.records().values() if _has_weights(ledger, r)
        )
        raise ValueError(
            f"the weights of run {name} were not kept; those of {', '.join(kept)} were"
            ' (a study with keep="all" keeps all)'
        )
    weights = load_weights(path)
    params = params_of(weights, weights.run.model)
    return TrainedModel(weights.run, weights.classes, params, record)


def best_run(folder: str | Path) -> str:
    """The id of the run of the lowest loss whose weights were kept.

    Raises:
      ValueError: where there is none.
    """
    ledger = Ledger(folder)
    kept = [r for r in ledger.records().values() if _has_weights(ledger, r)]
    if not kept:
        raise ValueError(f"{folder} has no weights of a finished run")
    return min(kept, key=lambda record: record.loss or np.inf).id


def write_scores(
    model: TrainedModel, source: Source, out: Path, jets: int | None = None
) -> int:
    """Apply a network to jets and write its outputs as a Parquet file; their number.

    Columns: `event`, the number of the jet in its source; `label`, its class;
    `held_out`, whether no run of the study could train on it; and `score_CLASS` (or
    `score_0`, ...) for each output, logits for a tagger. Of a store all jets are taken
    in order, or the first `jets`; of a simulator `jets` (10,000) that no run has seen.

    Raises:
      ValueError: if `out` exists, or the source has other classes than the network.
    """
    import pyarrow as pa
    import pyarrow.parquet as parquet

    refuse_existing(out)
    if source.classes != model.classes:
        raise ValueError(
            f"the network has the classes {', '.join(model.classes)}; the source has"
            f" {', '.join(source.classes)}"
        )
    written = 0
    with atomic_file(out) as partial, ExitStack() as stack:
        writer = None
        for columns in _scores(model, source, jets):
            table = pa.table(columns)
            if writer is None:
                writer = parquet.ParquetWriter(partial, table.schema)
                stack.enter_context(writer)
            writer.write_table(table)
            written += table.num_rows
    return written


def _scores(
    model: TrainedModel, source: Source, jets: int | None
) -> Iterator[dict[str, np.ndarray]]:
    """The columns of a chunk of jets after the other."""
    first, stop = model.run.pool, model.run.pool + (jets or UNSEEN)
    if isinstance(source, Store):
        first, stop = 0, min(jets or source.manifest.jets, source.manifest.jets)
    for start in range(first, stop, CHUNK):
        event = np.arange(start, min(start + CHUNK, stop))
        if isinstance(source, Store):
            part, held_out = source.take(event), event >= source.size
        else:
            part = source.train(start, int(event[-1]) + 1)
            held_out = event >= model.run.pool
        outputs = model(part).reshape(len(event), -1)
        names = [str(number) for number in range(outputs.shape[1])]
        if len(names) == len(model.classes):
            names = list(model.classes)
        yield {
            "event": event,
            "label": part.label,
            "held_out": held_out,
            **{f"score_{n}": c for n, c in zip(names, outputs.T, strict=True)},
        }


def _run_id(run: str | Mapping[str, Any]) -> str:
    if isinstance(run, str):
        return run
    ids = np.asarray(run["id"])
    if len(ids) != 1:
        raise ValueError(f"a table of {len(ids)} runs: take one row, as best() does")
    return str(ids[0])


def _has_weights(ledger: Ledger, record: Record) -> bool:
    return any((ledger.weights / name).exists() for name in record.weights.values())


def _pad(column: np.ndarray, rows: int) -> np.ndarray:
    """Zeros after the last row."""
    return np.pad(column, [(0, rows - len(column))] + [(0, 0)] * (column.ndim - 1))
