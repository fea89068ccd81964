"""Grids of runs: the axes of a study, and the runs that they span."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, overload

from jetlab.data.features import (
    Inputs,
    require_distinct_labels,
    resolve_inputs,
)
from jetlab.models import scaling
from jetlab.runs.cost import Cost, cost_of
from jetlab.runs.sizes import BATCH, balanced, clip_sizes
from jetlab.runs.sizes import log_spaced as log_spaced  # as experiments import it
from jetlab.tasks.tagging import Tagging
from jetlab.training.run_config import RunConfig
from jetlab.types import KnowsPosterior, ModelConfig, Source, Task

PAPER_RATE = 1e-4
"""The constant rate of arXiv:2602.15781, Section 2."""

AVERAGING = 0.1
"""Relative width of the average of the weights (experiments/LOG.md, 2026-11-28)."""

PATIENCE = 12
"""Early stopping of repeated runs: evaluations without a lower validation loss."""

FORECAST = "forecast"
"""The arm of a run whose loss is foretold by the law of the others."""

NUM_VALID = 20_000
"""Default number of validation jets."""


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
    averaging: float = AVERAGING,
    layers: int | None = None,
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
      seed: of initialisation, dropout and the order of jets. Widths of one seed read
        the same jets in the same order, so their losses fluctuate together.
      learning_rate: None takes that of the width and the steps of the longest run
        (`jetlab.models.scaling`).
      epochs: passes over the training jets.
      patience: early stopping after this many evaluations; 0 for none.
      num_valid: validation jets, 20,000 by default, equally many of each class.
      pool: training jets are drawn from the first `pool` of the source; by default the
        largest `num_train`.
      averaging: relative width of the average of the weights; 0 for the last weights.
      layers: of the model, where the task's default has another number.
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
    steps = max(sizes) * epochs // fields.get("batch", BATCH)
    axes = (_axis(inputs), _axis(width), sizes, _axis(seed), _axis(learning_rate))
    runs = tuple(
        RunConfig(
            source=source.identity,
            task=task,
            inputs=config,
            model=_model(task, d, resolve_inputs(config), source, layers),
            pool=drawn_from,
            num_train=D,
            num_valid=num_valid,
            epochs=epochs,
            learning_rate=scaling.learning_rate(d, steps) if rate is None else rate,
            seed=s,
            patience=patience,
            averaging=averaging,
            arm=arm,
            **fields,
        )
        for config, d, D, s, rate in itertools.product(*axes)
    )
    return Grid(source, runs, one_trajectory)


def _model(
    task: Task, width: int, inputs: Inputs, source: Source, layers: int | None
) -> ModelConfig:
    model: Any = task.model(width, inputs, source)
    return model if layers is None else replace(model, layers=layers)


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


@dataclass(frozen=True, kw_only=True)
class Size:
    """The axes of a study at one size, for each of the `inputs`.

    Attributes:
      num_train: training sets of the runs of one epoch, of all `widths` (arm "single").
      repeated: training sets that are repeated (arm "repeated"), by models of
        `repeated_widths` (by default `widths`), until early stopping.
      seen: most jets that a repeated run sees: it has max(2, seen / D) epochs.
      num_valid: validation jets.
      num_valid_known: the same where their posterior is known, so that fewer give a
        more precise loss.
      seeds: number of seeds of each width.
      learning_rates: None is that of the width and the steps.
      averaging, layers: see `grid`.
      forecast: width and training jets of a run outside the grid (arm "forecast"),
        trained after the others, whose loss the law of the others foretells.
    """

    inputs: Sequence[str | Inputs]
    widths: Sequence[int]
    num_train: Sequence[int] = ()
    repeated: Sequence[int] = ()
    repeated_widths: Sequence[int] = ()
    seen: int = 0
    num_valid: int
    num_valid_known: int | None = None
    seeds: int = 1
    learning_rates: Sequence[float | None] = (None,)
    averaging: float = AVERAGING
    layers: int | None = None
    forecast: tuple[int, int] | None = None

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
        foretold = self._forecast(single, source)
        spanned_by = partial(
            grid,
            source,
            num_valid=self._num_valid(source),
            pool=max([*single, *(size for _, size in foretold)] or repeated),
            averaging=self.averaging,
            layers=self.layers,
        )
        of_size = partial(self._seeded, spanned_by)
        runs: list[RunConfig] = []
        for inputs in self.inputs:
            for size in repeated:
                runs += of_size(
                    self.repeated_widths or self.widths,
                    inputs=inputs,
                    num_train=size,
                    epochs=max(2, self.seen // size),
                    patience=PATIENCE,
                    arm="repeated",
                )
            if single:
                runs += of_size(
                    self.widths, inputs=inputs, num_train=single, arm="single"
                )
            for width, size in foretold:
                runs += spanned_by(
                    inputs=inputs, width=width, num_train=size, arm=FORECAST
                )
        return tuple(runs)

    def _seeded(
        self, spanned_by: Callable[..., Grid], widths: Sequence[int], **fields: Any
    ) -> list[RunConfig]:
        """The runs of all widths, each with seeds of its own: two widths with one order
        of jets would have common fluctuations, which no fit expects."""
        every = sorted({*self.widths, *self.repeated_widths})
        runs: list[RunConfig] = []
        for width in widths:
            first = every.index(width) * self.seeds
            runs += spanned_by(
                width=width,
                seed=range(first, first + self.seeds),
                learning_rate=self.learning_rates,
                **fields,
            )
        return runs

    def _num_valid(self, source: Source) -> int:
        if self.num_valid_known and isinstance(source, KnowsPosterior):
            return self.num_valid_known
        return self.num_valid

    def _forecast(self, single: Sequence[int], source: Source) -> list[tuple[int, int]]:
        """Width and training jets of the forecast's run, scaled down as those of the
        grid are; none without a forecast."""
        if self.forecast is None or not single:
            return []
        width, asked = self.forecast
        asked = asked * max(single) / max(self.num_train)
        most = asked if source.size is None else min(asked, source.size)
        return [(width, int(most) // BATCH * BATCH)]
