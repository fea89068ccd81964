"""Single passes and repeated data sets side by side: what several studies train."""

from collections.abc import Sequence
from dataclasses import dataclass

from jetlab.runs.sampling import repeatedly, runs_on, within
from jetlab.runs.study import grid
from jetlab.training.run_config import RunConfig
from jetlab.types import Source


@dataclass(frozen=True, kw_only=True)
class Passes:
    """Single passes of all `widths` over `single` jets, and data sets of `repeated`
    jets that `repeated_widths` (all, where none are given) see until `seen` at most.
    """

    widths: Sequence[int]
    single: Sequence[int]
    repeated: Sequence[int]
    seen: int
    num_valid: int
    repeated_widths: Sequence[int] = ()
    seeds: int = 1
    learning_rate: float | None = None  # None: by width, as recipe has it

    def runs(self, source: Source, inputs: str, batch: int) -> tuple[RunConfig, ...]:
        """The repeated runs, then the single passes.

        Raises:
          ValueError: where the source has too few jets for any grid.
        """
        single = within(self.single, source.size, batch)
        once = runs_on(
            source,
            inputs,
            batch=batch,
            pool=max(single),
            num_valid=self.num_valid,
            learning_rate=self.learning_rate,
        )
        several = [num_train for num_train in self.repeated if num_train <= max(single)]
        seeds, widths = range(self.seeds), self.repeated_widths or self.widths
        often = repeatedly(once, self.seen)
        return (
            *grid(often, width=widths, num_train=several, seed=seeds),
            *grid(once, width=self.widths, num_train=single, seed=seeds),
        )
