"""Grids of runs: the axes of a study, and the runs that they span."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar, overload

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

T = TypeVar("T")

BATCH = 128
PAPER_RATE = 1e-4
"""The constant rate of arXiv:2602.15781, Section 2."""

PATIENCE = 12
"""Evaluations without a better loss that end a run: enough to see a rise."""

SHORTEST = 32
"""Batches of the smallest single pass of a grid: shorter runs do not begin to learn."""

VALIDATION = 20_000
"""Validation jets of a grid where none are asked for."""


@dataclass(frozen=True)
class Grid(Sequence[RunConfig]):
    """Runs on the jets of one source: what `train` takes.

    Single-pass runs that differ in `num_train` alone are prefixes of one trajectory and
    trained as one, to the same numbers: that is cheaper by the sum of a row of D over
    its largest. Points of one trajectory are correlated; `one_trajectory` off trains
    each run anew.
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
        """The runs of two grids on the same jets, two arms say."""
        if other.source.identity != self.source.identity:
            raise ValueError(
                f"grids on {self.source.identity} and {other.source.identity} cannot be"
                " joined: they have different jets"
            )
        return replace(self, runs=(*self.runs, *other.runs))

    def __repr__(self) -> str:
        return f"Grid({self.cost()}, on {self.source.identity})"

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
    """A run for every combination of inputs, widths, sizes, seeds and rates.

        grid(jets, inputs="full-40", width=(8, 16), num_train=log_spaced(1e4, 1e6, 6))

    A learning rate of None is that of the width (`jetlab.models.scaling`). All runs are
    judged by the same `num_valid` jets, as many of each class, and draw from the same
    first `pool` training jets. `fields` are further fields of `RunConfig`.

    Raises:
      ValueError: for more jets than the source has, sizes that are no whole batches,
        or two input configurations of one label.
    """
    task, sizes = task or Tagging(), _several(num_train)
    require_distinct_labels(_several(inputs))
    first = max(sizes) if pool is None else pool
    if source.size is not None and first > source.size:
        raise ValueError(
            f"num_train is {first:,} and the source has {source.size:,} training jets:"
            " take fewer, or convert more files"
        )
    held_out = balanced(num_valid or VALIDATION, source)
    axes = (_several(inputs), _several(width), sizes, _several(seed))
    runs = [
        RunConfig(
            source=source.identity,
            task=task,
            inputs=read,
            model=task.model(d, resolve_inputs(read), source),
            pool=first,
            num_train=size,
            num_valid=held_out,
            epochs=epochs,
            learning_rate=rate or scaling.learning_rate(d),
            seed=number,
            patience=patience,
            arm=arm,
            **fields,
        )
        for read, d, size, number, rate in itertools.product(
            *axes, _several(learning_rate)
        )
    ]
    return Grid(source, tuple(runs), one_trajectory)


def _several(values: Any) -> tuple[Any, ...]:
    """A value as an axis of one point."""
    if isinstance(values, str | Inputs) or not isinstance(values, Sequence):
        return (values,)
    return tuple(values)


def product(make: Callable[..., T], **axes: Sequence[Any]) -> tuple[T, ...]:
    """`make` of every combination of the axes; the last axis is the fastest."""
    points = itertools.product(*axes.values())
    return tuple(make(**dict(zip(axes, point, strict=True))) for point in points)


def log_spaced(
    low: float, high: float, count: int, *, multiple: int = BATCH
) -> list[int]:
    """`count` sizes at equal ratios from low to high, rounded to whole batches."""
    sizes = np.geomspace(low, high, count)
    return [multiple * max(1, round(size / multiple)) for size in sizes]


def balanced(num_valid: int, source: Source) -> int:
    """Validation jets, as many of each class, and no more than the source holds out.

    Raises:
      ValueError: for fewer than ten of a class, which give no error of the loss.
    """
    classes, held_out = len(source.classes), source.held_out
    count = num_valid if held_out is None else min(num_valid, held_out)
    if count < 10 * classes:
        raise ValueError(
            f"the source holds out {count // classes} validation jets of its rarest"
            f" class; ten of each of its {classes} classes are needed"
        )
    return count // classes * classes


def clip_sizes(
    num_train: Sequence[int], size: int | None, batch: int = BATCH
) -> list[int]:
    """Training sizes scaled down to the jets of a source, the smallest to no fewer than
    `SHORTEST` batches.

    Raises:
      ValueError: for a source with too few jets for any grid.
    """
    if size is None or size >= max(num_train):
        return list(num_train)
    if size < 2 * SHORTEST * batch:
        raise ValueError(
            f"the source has {size} training jets; a grid needs {2 * SHORTEST * batch}"
        )
    share = size // batch * batch / max(num_train)
    low = min(share * max(num_train), max(share * min(num_train), SHORTEST * batch))
    return log_spaced(low, share * max(num_train), len(num_train), multiple=batch)


@dataclass(frozen=True, kw_only=True)
class Size:
    """How large a study is: the axes of its runs, and the jets that judge them.

    For each of the `inputs`: single passes of all `widths` over `num_train` jets (arm
    "single"), and data sets of `repeated` jets that `repeated_widths` (all, where none
    are given) see until their validation loss no longer falls or they have seen `seen`
    jets (arm "repeated").
    """

    inputs: Sequence[str | Inputs]
    widths: Sequence[int]
    num_train: Sequence[int] = ()
    repeated: Sequence[int] = ()
    repeated_widths: Sequence[int] = ()
    seen: int = 0
    num_valid: int
    seeds: int = 1
    learning_rates: Sequence[float | None] = (None,)  # None: by width

    def runs(self, source: Source) -> tuple[RunConfig, ...]:
        """The repeated runs, then the single passes.

        Raises:
          ValueError: where the source has too few jets for any grid.
        """
        single = clip_sizes(self.num_train, source.size) if self.num_train else []
        repeated = [size for size in self.repeated if size <= max(single, default=0)]
        if not single:
            repeated = clip_sizes(self.repeated, source.size)
        spanned = partial(
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
                runs += spanned(
                    inputs=inputs,
                    width=self.repeated_widths or self.widths,
                    num_train=size,
                    epochs=max(2, self.seen // size),
                    patience=PATIENCE,
                    arm="repeated",
                )
            if single:
                runs += spanned(
                    inputs=inputs, width=self.widths, num_train=single, arm="single"
                )
        return tuple(runs)
