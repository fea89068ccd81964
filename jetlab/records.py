"""A finished run as a row, and tables of such rows."""

import dataclasses
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Int, Shaped

from jetlab import onset

TableLike = Mapping[str, np.ndarray]
"""Columns of equal length by name: a `Table` or any dictionary of arrays."""


class Rejection(NamedTuple):
    """Background rejection, 1 / (background efficiency), at this efficiency of the
    signal class `signal`, with its 68 % interval. Where no background jet passed,
    `value` is the lower limit and `high` None."""

    signal: str
    efficiency: float
    value: float
    low: float
    high: float | None


@dataclass(frozen=True, kw_only=True)
class Record:
    """One finished run. Losses are in nats a jet for tagging, in the task's own unit
    for others; None where the run diverged."""

    id: str  # identity of the run's spec
    status: str  # "done", "diverged" or "failed"
    study: str
    task: str = "tagging"
    arm: str = ""  # of the study: what the run is compared under
    source: str  # identity of the jets
    inputs: str  # label of the input configuration
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
    chance_loss: float = math.log(10)  # of a model that ignores its inputs
    loss: float | None = None  # validation loss after the last step, or the best
    loss_error: float | None = None  # its sampling error
    metrics: Mapping[str, Any] = field(default_factory=dict)  # as the task names them
    num_valid: int  # validation jets
    curve: Sequence[tuple[int, float]] = ()  # (step, mean training loss since the last)
    valid_curve: Sequence[tuple[int, float]] = ()  # (step, validation loss)
    steps: int = 0  # after which the loss was reached
    trajectory: str = ""  # id of the longer run of which this one is a prefix
    cut: int = 0  # batches that took several micro-batches
    precision: str = "float32"
    patience: int = 0
    averaging: float = 0.0  # relative width of the average of the weights
    annealing: float = 0.0  # share of the steps over which the rate fell
    weights: Mapping[str, str] = field(default_factory=dict)  # file by "final", "best"
    seconds: float
    device: str
    version: str  # of jetlab
    message: str = ""  # why it failed

    @property
    def rejections(self) -> Sequence[Rejection]:
        """Background rejections by signal class and efficiency; empty without any."""
        return self.metrics.get("rejections", ())

    @property
    def ideal_rejections(self) -> Sequence[Rejection]:
        """Those of the best possible tagger; empty where it is not known."""
        ideal = self.metrics.get("ideal")
        return ideal.get("rejections", ()) if isinstance(ideal, Mapping) else ()

    def to_json(self) -> str:
        """One line; `from_json` reads it back, with None for metrics that are not
        finite.

        Raises:
          ValueError: for another field that is not finite.
        """
        fields = dataclasses.asdict(self)
        fields["metrics"] = _finite(fields["metrics"])
        return json.dumps(fields, allow_nan=False)

    @classmethod
    def from_json(cls, line: str) -> "Record":
        """A record as `to_json` wrote it, or as versions before `metrics` did.

        Raises:
          ValueError, TypeError, KeyError: for a line that is no record.
        """
        fields = _with_metrics(json.loads(line))
        for name in ("curve", "valid_curve"):
            fields[name] = tuple((step, loss) for step, loss in fields.get(name, ()))
        for one in (fields["metrics"], fields["metrics"].get("ideal")):
            if isinstance(one, dict) and one.get("rejections"):
                one["rejections"] = tuple(Rejection(*r) for r in one["rejections"])
        return cls(**fields)


def _finite(value: Any) -> Any:
    """A value as JSON can hold it: NumPy's as Python's, None for what is not finite."""
    if isinstance(value, Mapping):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    if isinstance(value, np.generic | np.ndarray):
        return _finite(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _with_metrics(fields: dict[str, Any]) -> dict[str, Any]:
    """Old records had a field for each metric, the number of classes and `valid`."""
    if "metrics" in fields:
        return fields
    old = {name: fields.pop(name, None) for name in ("accuracy", "auc", "rejections")}
    fields["metrics"] = {name: value for name, value in old.items() if value}
    fields["num_valid"] = fields.pop("valid")
    fields["chance_loss"] = math.log(fields.pop("classes", 10))
    return fields


class Table(dict[str, np.ndarray]):
    """Columns of equal length by name, one row a run.

    It is a dictionary of arrays, so any function of one takes it.

        table.where(arm="tuned", width=(8, 16)).learned().best(by="D")

    Raises:
      ValueError: for columns of different lengths.
    """

    def __init__(self, columns: Mapping[str, Any] = {}, **more: Any):
        super().__init__(
            {name: np.asarray(c) for name, c in {**columns, **more}.items()}
        )
        lengths = {name: len(column) for name, column in self.items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"the columns differ in length: {lengths}")

    @classmethod
    def of_records(cls, records: Iterable[Record]) -> "Table":
        """The finished runs, one row each.

        Columns: id, arm, task, inputs, N, D (unique training jets), C, L, loss_error,
        chance_loss, width, seed, epochs, learning_rate, batch, steps and jets `seen`
        until the loss was reached, n_p, trajectory, and every metric that is a number.
        """
        rows = [record for record in records if record.status == "done"]
        columns = {
            name: np.array([getattr(row, name) for row in rows])
            for name in (
                "id", "arm", "task", "inputs", "N", "D", "C", "width", "seed", "epochs",
                "learning_rate", "batch", "steps", "n_p", "trajectory", "chance_loss",
            )
        }  # fmt: skip
        columns["L"] = np.array([row.loss for row in rows], dtype=float)
        errors = [row.loss_error for row in rows]
        columns["loss_error"] = np.array(errors, dtype=float)
        columns["seen"] = columns["steps"] * columns["batch"]
        numbers = dict.fromkeys(
            name
            for row in rows
            for name, value in row.metrics.items()
            if isinstance(value, int | float | np.number)
        )
        for name in numbers.keys() - columns.keys():
            values = [row.metrics.get(name, math.nan) for row in rows]
            columns[name] = np.array(values, dtype=float)
        return cls(columns)

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(next(iter(self.values()), ()))

    def take(self, rows: Int[Any, "m"] | Bool[Any, "n"] | Sequence[int]) -> "Table":
        """Some rows, by number or by a mask."""
        chosen = np.asarray(rows)
        chosen = chosen if chosen.size else chosen.astype(int)
        return Table({name: column[chosen] for name, column in self.items()})

    def where(self, **conditions: Any) -> "Table":
        """The rows that meet every condition: a value, several values, or a function
        from the column to a mask.

        Raises:
          ValueError: for a column that the table lacks.
        """
        chosen = np.ones(self.rows, bool)
        for name, condition in conditions.items():
            chosen &= _meets(self._column(name), condition)
        return self.take(chosen)

    def cells(self, by: Sequence[str] = ("N", "D")) -> Int[np.ndarray, "n"]:
        """The number of each row's cell: rows that agree in the columns `by`."""
        points = np.stack([codes(self._column(name)) for name in by], axis=1)
        return np.unique(points, axis=0, return_inverse=True)[1].reshape(-1)

    def best(self, by: str | Sequence[str] = ()) -> "Table":
        """The row of the lowest loss L, in each group of equal columns `by` if given.

        Raises:
          ValueError: for a table without rows or columns that it lacks.
        """
        if not self.rows:
            raise ValueError("the table has no rows: there is no best one")
        names = [by] if isinstance(by, str) else list(by)
        groups = self.cells(names) if names else np.zeros(self.rows, int)
        order = np.lexsort((self._column("L"), groups))
        return self.take(np.sort(order[np.unique(groups[order], return_index=True)[1]]))

    def learned(self) -> "Table":
        """The rows that have begun to follow a law: that beat the loss of a model that
        ignores its inputs by 5 % and come after the change point of their trajectory
        (`jetlab.onset`)."""
        return self.take(self._learned)

    def unlearned(self) -> "Table":
        """The other rows."""
        return self.take(~self._learned)

    @property
    def _learned(self) -> Bool[np.ndarray, "n"]:
        for name in ("L", "chance_loss"):
            self._column(name)  # raises where the table has none
        return onset.has_learned(self)

    def _column(self, name: str) -> Shaped[np.ndarray, "n"]:
        if name not in self:
            raise ValueError(f"the table has no column {name}; it has {list(self)}")
        return self[name]

    def __or__(self, other: Mapping[str, Any]) -> "Table":  # pyright: ignore
        """The table with further columns, or others in place of its own."""
        return Table({**self, **other})


def _meets(column: Shaped[np.ndarray, "n"], condition: Any) -> Bool[np.ndarray, "n"]:
    if isinstance(condition, Callable):
        return np.asarray(condition(column), bool)
    if isinstance(condition, str) or np.ndim(condition) == 0:
        return column == condition
    return np.isin(column, list(condition))


def codes(column: Shaped[np.ndarray, "n"]) -> Shaped[np.ndarray, "n"]:
    """A column as numbers: numbers as they are, text by its rank."""
    if np.issubdtype(column.dtype, np.number):
        return np.asarray(column, float)
    return np.unique(column, return_inverse=True)[1].astype(float)
