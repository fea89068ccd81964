"""Single passes and repeated data sets side by side: what several studies train."""

from collections.abc import Sequence
from dataclasses import dataclass

from jetlab.studies.sampling import repeatedly, runs_on, within
from jetlab.studies.study import grid
from jetlab.training.run import Run
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
    valid: int
    repeated_widths: Sequence[int] = ()
    seeds: int = 1
    learning_rate: float | None = None  # None: by width, as recipe has it

    def runs(self, source: Source, inputs: str, batch: int) -> tuple[Run, ...]:
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
            valid=self.valid,
            learning_rate=self.learning_rate,
        )
        several = [examples for examples in self.repeated if examples <= max(single)]
        seeds, widths = range(self.seeds), self.repeated_widths or self.widths
        often = repeatedly(once, self.seen)
        return (
            *grid(often, width=widths, examples=several, seed=seeds),
            *grid(once, width=self.widths, examples=single, seed=seeds),
        )
