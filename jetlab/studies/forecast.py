"""A forecast: the loss of a run outside the grid, from the law of the grid alone.

It is written before the run is trained, and compared with the run after.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from jetlab.laws import forms
from jetlab.laws.formatting import scientific
from jetlab.laws.plans.predictions import predictions
from jetlab.laws.result import FitResult
from jetlab.records import Record, Table
from jetlab.runs.grid import FORECAST
from jetlab.studies.joint_law import (
    begun,
    fit_free_and_fixed,
    known_floor,
    preferred,
)
from jetlab.training.run_config import RunConfig
from jetlab.training.step import num_params

Interval = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """A loss that was foretold, and the loss that was reached where the run is trained.

    Attributes:
      beyond: compute of the run over the largest of the grid.
      mean: 68 % interval of the law at this N and D; None without draws.
      run: 68 % interval of one run, which scatters about the law.
      undecided: why the rows do not decide the loss; empty if they do.
      reached: loss of the run; None before it is trained.
    """

    N: int
    D: int
    beyond: float
    loss: float
    mean: Interval | None
    run: Interval | None
    undecided: str
    reached: float | None = None

    @property
    def miss(self) -> float:
        """Distance of the reached loss from the foretold, in half-widths of the
        interval of a run."""
        low, high = self.run or (np.nan, np.nan)
        return abs((self.reached or np.nan) - self.loss) / ((high - low) / 2)

    @property
    def sentence(self) -> str:
        """The forecast, and how it ended."""
        what = f"N = {scientific(self.N)}, D = {scientific(self.D)}"
        text = f"Forecast for {what} ({self.beyond:.2g} times the largest compute): "
        low, high = self.run or (np.nan, np.nan)
        text += f"loss {self.loss:.4f}, a run {low:.4f} to {high:.4f} (68 %)"
        if self.undecided:
            text += f" [undecided: {self.undecided}]"
        if self.reached is None:
            return f"{text}."
        off = 100 * (self.reached / self.loss - 1)
        held = "inside" if low <= self.reached <= high else "outside"
        return (
            f"{text}; the run reached {self.reached:.4f}, {off:+.2f} % and {held} the"
            f" interval ({self.miss:.2g} half-widths away)."
        )


def foretell(records: Sequence[Record], run: RunConfig) -> Forecast:
    """The loss of a run from the records of a grid; those of `FORECAST` are not used.

    Raises:
      ValueError: where the records determine no law.
    """
    grid = [r for r in records if r.arm != FORECAST and r.inputs == _label(run)]
    rows, _ = begun(forms.additive, Table.of_records(grid))
    law = preferred(fit_free_and_fixed(forms.additive, rows, known_floor(grid[0])))
    return forecast_of(law, num_params(run.model), run.num_train)


def forecast_of(law: FitResult, N: int, D: int) -> Forecast:
    """The forecast of a law at N and D."""
    found = predictions(law, {"N": N, "D": D})
    (verdict,) = found.verdicts
    return Forecast(
        N=N,
        D=D,
        beyond=N * D / law.span["ND"][1],
        loss=float(found.loss[0]),
        mean=_pair(found.mean),
        run=_pair(found.run),
        undecided="" if verdict.known else verdict.why,
    )


def checked(law: FitResult, records: Sequence[Record]) -> list[Forecast]:
    """The forecasts of a law for the runs of the arm `FORECAST` that are trained."""
    done = [r for r in records if r.arm == FORECAST and r.status == "done"]
    return [replace(forecast_of(law, r.N, r.D), reached=r.loss) for r in done]


def _label(run: RunConfig) -> str:
    return run.input_config.label


def _pair(ends: np.ndarray) -> Interval | None:
    low, high = map(float, ends[:, 0])
    return (low, high) if np.isfinite([low, high]).all() else None
