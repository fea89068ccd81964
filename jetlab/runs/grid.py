"""Grids of runs: the axes of a study, and the runs that they span."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, overload

import numpy as np

from jetlab.data.features import (
    Inputs,
    require_distinct_labels,
    resolve_inputs,
)
from jetlab.models import scaling
from jetlab.runs.cost import Cost, cost_of
from jetlab.tasks.tagging import Tagging
from jetlab.training.run_config import RunConfig
from jetlab.types import Source, Task

BATCH = 128
PAPER_RATE = 1e-4
"""The constant rate of arXiv:2602.15781, Section 2."""

PATIENCE = 12
"""Early stopping of repeated runs: evaluations without a lower validation loss."""

SHORTEST = 32
"""Batches of the smallest training set of a `Size`: shorter runs learn nothing."""

NUM_VALID = 20_000
"""Default number of validation jets."""

MIN_VALID = 10
"""Validation jets of each class: fewer give no error of the loss."""


@dataclass(frozen=True)
class Grid(Sequence[RunConfig]):
    """Runs on the jets of one source: the argument of `train`.

    Single-pass runs that differ in `num_train` alone are prefixes of one trajectory and
    are trained as one: a row of D costs as much as its largest D. Their losses are
    correlated; `one_trajectory=False` trains each run with its own order of jets.
    """

    source: Source
    runs: tuple[RunConfig, ...]
    one_trajectory: bool = True

    @overload
    def __getitem__(self, index: int) -> RunConfig: ...

    @overload
    def __getitem__(self, index: slice) -> "Grid": ...

    def __getitem__(self, index: int | slice) -> "RunConfig | Grid":
        if isinstance(index, slice):
            return replace(self, runs=self.runs[index])
        return self.runs[index]

    def __len__(self) -> int:
        return len(self.runs)

    def __iter__(self) -> Iterator[RunConfig]:
        return iter(self.runs)

    def __add__(self, other: "Grid") -> "Grid":
        """The runs of both grids, for example two arms.

        Raises:
          ValueError: for grids on different sources, or if two input configurations
            have the same label.
        """
        if other.source.identity != self.source.identity:
            raise ValueError(
                f"grids on {self.source.identity} and {other.source.identity} cannot be"
                " joined: they have different jets"
            )
        require_distinct_labels(run.inputs for run in (*self.runs, *other.runs))
        return replace(self, runs=(*self.runs, *other.runs))

    def __repr__(self) -> str:
        return f"Grid({len(self)} runs on {self.source.identity})"

    def cost(self) -> Cost:
        """Runs, FLOPs and time on this machine, before anything is trained."""
        return cost_of(self.runs, one_trajectory=self.one_trajectory)


def grid(
    source: Source,
    *,
    inputs: str | Inputs | Sequence[str | Inputs],
    width: int | Sequence[int],
    num_train: int | Sequence[int],
    seed: int | Sequence[int] = 0,
    learning_rate: float | Sequence[float | None] | None = None,
    epochs: int = 1,
    patience: int = 0,
    num_valid: int | None = None,
    pool: int | None = None,
    arm: str = "",
    task: Task | None = None,
    one_trajectory: bool = True,
    **fields: Any,
) -> Grid:
    """One run for every combination of inputs, width, D, seed and learning rate.

        grid(jets, inputs="full-40", width=(8, 16), num_train=log_spaced(1e4, 1e6, 6))

    Args:
      source: the jets.
      inputs: names of input configurations, or configurations of your own.
      width: model width d.
      num_train: training jets D, multiples of the batch.
      seed: of initialisation, dropout and the order of jets.
      learning_rate: None takes that of the width (`jetlab.models.scaling`).
      epochs: passes over the training jets.
      patience: early stopping after this many evaluations; 0 for none.
      num_valid: validation jets, 20,000 by default, equally many of each class.
      pool: training jets are drawn from the first `pool` of the source; by default the
        largest `num_train`.
      arm: label of these runs in a study.
      task: what the model learns; tagging by default.
      one_trajectory: see `Grid`.
      fields: further fields of `RunConfig`.

    Raises:
      ValueError: for more jets than the source has, a `num_train` that is no multiple
        of the batch, or two input configurations with the same label.
    """
    task, sizes = task or Tagging(), _axis(num_train)
    require_distinct_labels(_axis(inputs))
    drawn_from = max(sizes) if pool is None else pool
    _require_jets(drawn_from, source)
    num_valid = balanced(NUM_VALID if num_valid is None else num_valid, source)
    axes = (_axis(inputs), _axis(width), sizes, _axis(seed), _axis(learning_rate))
    runs = tuple(
        RunConfig(
            source=source.identity,
            task=task,
            inputs=config,
            model=task.model(d, resolve_inputs(config), source),
            pool=drawn_from,
            num_train=D,
            num_valid=num_valid,
            epochs=epochs,
            learning_rate=scaling.learning_rate(d) if rate is None else rate,
            seed=s,
            patience=patience,
            arm=arm,
            **fields,
        )
        for config, d, D, s, rate in itertools.product(*axes)
    )
    return Grid(source, runs, one_trajectory)


def _require_jets(pool: int, source: Source) -> None:
    if source.size is not None and pool > source.size:
        raise ValueError(
            f"num_train is {pool:,} and the source has {source.size:,} training jets:"
            " choose a smaller num_train, or convert more files"
        )


def _axis(values: Any) -> tuple[Any, ...]:
    """The points of an axis; a single value is an axis of one point."""
    if isinstance(values, str | Inputs) or not isinstance(values, Sequence):
        return (values,)
    return tuple(values)


def log_spaced(
    low: float, high: float, count: int, *, multiple: int = BATCH
) -> list[int]:
    """`count` sizes at equal ratios from low to high, rounded to whole batches."""
    sizes = np.geomspace(low, high, count)
    return [multiple * max(1, round(size / multiple)) for size in sizes]


def balanced(num_valid: int, source: Source) -> int:
    """`num_valid`, or all that the source holds out, rounded down to equal classes.

    Raises:
      ValueError: for fewer than `MIN_VALID` jets of each class.
    """
    classes, held_out = len(source.classes), source.held_out
    count = num_valid if held_out is None else min(num_valid, held_out)
    if count < MIN_VALID * classes:
        has = "" if held_out is None else f" and the source holds out {held_out:,}"
        raise ValueError(
            f"num_valid is {num_valid:,}{has}: at least {MIN_VALID} validation jets of"
            f" each of the {classes} classes are needed, {MIN_VALID * classes} in all"
        )
    return count // classes * classes


def clip_sizes(
    num_train: Sequence[int], size: int | None, batch: int = BATCH
) -> list[int]:
    """Training sizes scaled down to the `size` jets of a source, at equal ratios from
    no fewer than `SHORTEST` batches.

    Raises:
      ValueError: for a source with fewer than 2 `SHORTEST` batches.
    """
    if size is None or size >= max(num_train):
        return list(num_train)
    if size < 2 * SHORTEST * batch:
        raise ValueError(
            f"the source has {size:,} training jets: a grid needs at least"
            f" {2 * SHORTEST * batch:,}"
        )
    share = size // batch * batch / max(num_train)
    low = min(share * max(num_train), max(share * min(num_train), SHORTEST * batch))
    return log_spaced(low, share * max(num_train), len(num_train), multiple=batch)


@dataclass(frozen=True, kw_only=True)
class Size:
    """The axes of a study at one size, for each of the `inputs`.

    Attributes:
      num_train: training sets of the runs of one epoch, of all `widths` (arm "single").
      repeated: training sets that are repeated (arm "repeated"), by models of
        `repeated_widths` (by default `widths`), until early stopping.
      seen: most jets that a repeated run sees: it has max(2, seen / D) epochs.
      num_valid: validation jets.
      seeds: number of seeds.
      learning_rates: None is that of the width.
    """

    inputs: Sequence[str | Inputs]
    widths: Sequence[int]
    num_train: Sequence[int] = ()
    repeated: Sequence[int] = ()
    repeated_widths: Sequence[int] = ()
    seen: int = 0
    num_valid: int
    seeds: int = 1
    learning_rates: Sequence[float | None] = (None,)

    def runs(self, source: Source) -> tuple[RunConfig, ...]:
        """All runs, with sizes clipped to the jets of the source.

        Raises:
          ValueError: for a source with too few jets (see `clip_sizes`, `balanced`), or
            if two input configurations have the same label.
        """
        require_distinct_labels(self.inputs)
        single = clip_sizes(self.num_train, source.size) if self.num_train else []
        repeated = [size for size in self.repeated if size <= max(single, default=0)]
        if not single:
            repeated = clip_sizes(self.repeated, source.size)
        spanned_by = partial(
            grid,
            source,
            seed=range(self.seeds),
            learning_rate=self.learning_rates,
            num_valid=self.num_valid,
            pool=max(single or repeated),
        )
        runs: list[RunConfig] = []
        for inputs in self.inputs:
            for size in repeated:
                runs += spanned_by(
                    inputs=inputs,
                    width=self.repeated_widths or self.widths,
                    num_train=size,
                    epochs=max(2, self.seen // size),
                    patience=PATIENCE,
                    arm="repeated",
                )
            if single:
                runs += spanned_by(
                    inputs=inputs, width=self.widths, num_train=single, arm="single"
                )
        return tuple(runs)
