"""The row that every finished run leaves behind, and tables made of such rows."""

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

Table = dict[str, np.ndarray]
"""Columns of equal length by name: what the laws eat."""


class Rejected(NamedTuple):
    """One background jet in `value` passes where a share `efficiency` of a signal class
    does, with its 68 % interval. Where none passed, `value` is the lower limit and
    `high` None."""

    signal: str
    efficiency: float
    value: float
    low: float
    high: float | None


@dataclass(frozen=True, kw_only=True)
class Record:
    """One finished run, flat. Losses are in nats a jet; None where it diverged."""

    id: str  # identity of the run's spec
    status: str  # "done", "diverged" or "failed"
    study: str
    source: str  # identity of the jets
    inputs: str  # name of the input configuration
    width: int
    N: int  # parameters, all of them
    D: int  # unique training jets
    epochs: int
    C: float  # 6 n_p N D epochs, FLOPs
    n_p: float  # mean number of particles a jet shows the model
    seed: int
    batch: int
    learning_rate: float
    weight_decay: float
    classes: int = 10  # a tagger that guesses has a loss of ln(classes)
    loss: float | None = None  # validation cross-entropy after the last step
    loss_error: float | None = None  # its sampling error
    accuracy: float | None = None
    auc: float | None = None  # macro, one class against one
    rejections: Sequence[Rejected] = ()  # of QCD jets
    valid: int  # validation jets
    curve: Sequence[tuple[int, float]] = ()  # (step, mean training loss since the last)
    valid_curve: Sequence[tuple[int, float]] = ()  # (step, validation loss)
    steps: int = 0  # after which the loss was reached
    trajectory: str = ""  # id of the longer run on whose way this one was read off
    cut: int = 0  # batches that took several passes, being too large for one
    precision: str = "float32"
    patience: int = 0
    seconds: float
    device: str
    version: str  # of jetlab
    message: str = ""  # why it failed


def table(records: Iterable[Record]) -> Table:
    """Columns N, D, L and the other numbers of the finished runs, for a fit."""
    rows = [record for record in records if record.status == "done"]
    columns = {
        name: np.array([getattr(row, name) for row in rows])
        for name in ("N", "D", "C", "width", "seed", "epochs", "loss_error")
    }
    return columns | {"L": np.array([row.loss for row in rows], dtype=float)}


def identity(spec: Any) -> str:
    """Twelve hex digits that name a frozen dataclass by its content.

    Equal across processes and machines. Fields at their default stay out, so that a
    new field with a default leaves old identities as they are.

    Raises:
      TypeError: for a value that has no canonical form (an array, a function).
    """
    text = json.dumps(_canonical(spec), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _canonical(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        given = {
            field: _canonical(getattr(value, field.name))
            for field in dataclasses.fields(value)
        }
        chosen = {f.name: v for f, v in given.items() if v != _default(f)}
        return {"class": type(value).__name__, **chosen}
    if isinstance(value, tuple | list):
        return [_canonical(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(
        f"a run's spec holds a {type(value).__name__}: use numbers, strings, tuples "
        "and frozen dataclasses, which mean the same on every machine"
    )


def _default(field: dataclasses.Field) -> Any:
    """The canonical default of a field; something unequal to all where it has none."""
    if field.default is dataclasses.MISSING:
        return dataclasses.MISSING
    return _canonical(field.default)
