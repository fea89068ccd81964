"""A campaign of simulation as blocks of jets that depend on nothing but their name."""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from jetlab.data.pythia.processes import PROCESSES

VERSION = "v1"
"""Of processes, detector and selection: changes whenever the jets do."""

BLOCK = 1000
"""Jets of a block at most: 10 to 40 s of work, of which Pythia's start is half a
second."""

COST = {
    "QCD": 18.0,
    "Hbb": 17.0,
    "Hcc": 17.0,
    "Hgg": 17.0,
    "H4q": 17.0,
    "Hqql": 30.0,
    "Zqq": 13.0,
    "Wqq": 14.0,
    "Tbqq": 22.0,
    "Tbl": 36.0,
}
"""Milliseconds a jet on one core of an AMD EPYC."""

_SEEDS = 900_000_000  # that Pythia knows
_PLACES = 10_000_000  # blocks of a class before another class's begin


@dataclass(frozen=True, kw_only=True)
class Block:
    """Block number `number` of a class, of `jets` jets."""

    name: str
    number: int
    jets: int
    seed: int

    @property
    def file(self) -> str:
        return f"{self.name}_{self.number:05d}_{self.jets}.parquet"

    @property
    def cost(self) -> float:
        """Core-seconds, about."""
        return self.jets * COST[self.name] / 1000

    def pythia_seed(self, source: int) -> int:
        """That of a source of the class: no two blocks of one seed share one, and
        those of two seeds begin far apart."""
        (start,) = np.random.SeedSequence(self.seed).generate_state(1, np.uint64)
        place = list(PROCESSES).index(self.name) * 2 + source
        return 1 + (int(start) + place * _PLACES + self.number) % _SEEDS

    def generator(self) -> np.random.Generator:
        """Of everything that is not Pythia's."""
        return np.random.default_rng([self.seed, *self.name.encode(), self.number])


@dataclass(frozen=True, kw_only=True)
class Campaign:
    """`jets` jets, as many of each of the classes, to within one.

    Raises:
      ValueError: for a negative seed, a class that is not known or is named twice, or
        fewer jets than classes.
    """

    jets: int
    classes: tuple[str, ...]
    seed: int = 0

    def __post_init__(self):
        if self.seed < 0:
            raise ValueError(f"seed {self.seed}: ask for 0 or more")
        for name, times in Counter(self.classes).items():
            if name not in PROCESSES:
                known = ", ".join(PROCESSES)
                raise ValueError(f"no class {name!r}: choose from {known}")
            if times > 1:
                raise ValueError(f"class {name} is named {times} times")
        if self.jets < len(self.classes):
            few = f"{self.jets} jets of {len(self.classes)} classes"
            raise ValueError(f"{few}: ask for one of each at least")

    @property
    def blocks(self) -> list[Block]:
        """The costliest first: they should not be the last to end."""
        each, more = divmod(self.jets, len(self.classes))
        found = [
            Block(
                name=name,
                number=begin // BLOCK,
                jets=min(BLOCK, each + (rank < more) - begin),
                seed=self.seed,
            )
            for rank, name in enumerate(self.classes)
            for begin in range(0, each + (rank < more), BLOCK)
        ]
        return sorted(found, key=lambda block: -block.cost)
