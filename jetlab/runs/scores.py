"""The outputs of a trained network for every jet of a source, as a Parquet file."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
from jaxtyping import Bool, Int

from jetlab.atomic import atomic_file, refuse_existing
from jetlab.data.store import Store
from jetlab.runs.trained_model import CHUNK, TrainedModel
from jetlab.types import Jets, Source

SIMULATED = 10_000
"""Jets taken from a simulator where no number is given."""


def write_scores(
    model: TrainedModel, source: Source, out: Path, jets: int | None = None
) -> int:
    """Apply a network to jets and write its outputs as a Parquet file.

    Columns: `event`, the number of the jet in its source; `label`, its class;
    `held_out`, true for jets that no run of the study trained on; and `score_CLASS` (or
    `score_0`, `score_1`, ...) for each output, a logit for a tagger. All jets of a
    store are taken in order, or the first `jets`; of a simulator, `jets` (10,000) after
    the training jets of the study.

    Returns:
      The number of jets written.

    Raises:
      ValueError: if `out` exists, or the source has other classes than the network.
    """
    refuse_existing(out)
    if source.classes != model.classes:
        raise ValueError(
            f"the network has {_listed(model.classes)}; the source has"
            f" {_listed(source.classes)}: take jets with the labels of its training"
        )
    written = 0
    with atomic_file(out) as temporary, ExitStack() as stack:
        writer = None
        for columns in _chunks(model, source, jets):
            table = pa.table(columns)
            if writer is None:
                writer = parquet.ParquetWriter(temporary, table.schema)
                stack.enter_context(writer)
            writer.write_table(table)
            written += table.num_rows
    return written


def _listed(classes: tuple[str, ...]) -> str:
    """The number of classes, and the first ones."""
    more = ", ..." if len(classes) > 10 else ""
    return f"{len(classes)} classes, {', '.join(classes[:10])}{more}"


def _chunks(
    model: TrainedModel, source: Source, jets: int | None
) -> Iterator[dict[str, np.ndarray]]:
    """The columns of up to `CHUNK` jets at a time."""
    first, stop = model.run.pool, model.run.pool + (jets or SIMULATED)
    if isinstance(source, Store):
        first, stop = 0, min(jets or source.manifest.jets, source.manifest.jets)
    for start in range(first, stop, CHUNK):
        events = np.arange(start, min(start + CHUNK, stop))
        read, held_out = _read(model, source, events)
        outputs = model(read).reshape(len(events), -1)
        names = [str(number) for number in range(outputs.shape[1])]
        if len(names) == len(model.classes):
            names = list(model.classes)
        yield {
            "event": events,
            "label": read.label,
            "held_out": held_out,
            **{f"score_{n}": c for n, c in zip(names, outputs.T, strict=True)},
        }


def _read(
    model: TrainedModel, source: Source, events: Int[np.ndarray, "b"]
) -> tuple[Jets, Bool[np.ndarray, "b"]]:
    """Consecutive jets of a source, and which of them no run trained on."""
    if isinstance(source, Store):
        return source.take(events), events >= source.size
    jets = source.train(int(events[0]), int(events[-1]) + 1)
    return jets, events >= model.run.pool
