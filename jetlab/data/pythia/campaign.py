"""A campaign of simulation as blocks of jets that depend on nothing but their name."""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from jetlab.data.jetclass.labels import JETCLASS2
from jetlab.data.pythia.final_states import PRONGS, RESONANT
from jetlab.data.pythia.flavours import FLAVOURS
from jetlab.data.pythia.processes import PROCESSES

VERSION = "v1"
"""Of processes, detector and selection: changes whenever the jets do."""

BLOCK = 1000
"""Jets of a block at most: 10 to 40 s of work, of which Pythia's start is half a
second."""

COST = {
    "QCD": 19.0,
    "Hbb": 18.0,
    "Hcc": 18.0,
    "Hgg": 20.0,
    "H4q": 19.0,
    "Hqql": 51.0,
    "Zqq": 16.0,
    "Wqq": 15.0,
    "Tbqq": 30.0,
    "Tbl": 66.0,
}
"""Milliseconds a jet on one core of an AMD EPYC."""

COST_BY_PRONGS = {1: 30.0, 2: 22.0, 3: 100.0, 4: 33.0}
"""The same for classes of JetClass-II: QCD by flavour, and resonances;"""

COST_BY_TAUS = (1.0, 3.0, 15.0)
"""times this for tau leptons, which must decay as named. From one or two classes
each."""

FINE = (*RESONANT, *FLAVOURS)
"""Classes of JetClass-II that can be made."""

_SEEDS = 900_000_000  # that Pythia knows
_PLACES = 10_000_000  # blocks of a class before another class's begin
_FINE_PLACES = 2_000_000  # of JetClass-II's


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
        if self.name in COST:
            return self.jets * COST[self.name] / 1000
        content = RESONANT.get(self.name, (0,))
        taus = sum("tau" in PRONGS[number] for number in content)
        each = COST_BY_PRONGS[len(content)] * COST_BY_TAUS[taus]
        return self.jets * each / 1000

    def pythia_seed(self, source: int) -> int:
        """That of a source of the class: no two blocks of one seed share one, and
        those of two seeds begin far apart."""
        (start,) = np.random.SeedSequence(self.seed).generate_state(1, np.uint64)
        ten = self.name in PROCESSES
        names, places = (
            (tuple(PROCESSES), _PLACES) if ten else (JETCLASS2, _FINE_PLACES)
        )
        place = names.index(self.name) * 2 + source
        return 1 + (int(start) + place * places + self.number) % _SEEDS

    def generator(self) -> np.random.Generator:
        """Of everything that is not Pythia's."""
        return np.random.default_rng([self.seed, *self.name.encode(), self.number])


@dataclass(frozen=True, kw_only=True)
class Campaign:
    """`jets` jets, as many of each of the classes, to within one.

    Raises:
      ValueError: for a negative seed, a class that is not known or is named twice,
        classes of JetClass and JetClass-II together, or fewer jets than classes.
    """

    jets: int
    classes: tuple[str, ...]
    seed: int = 0

    def __post_init__(self):
        if self.seed < 0:
            raise ValueError(f"seed {self.seed}: ask for 0 or more")
        for name, times in Counter(self.classes).items():
            if name not in PROCESSES and name not in FINE:
                raise ValueError(f"no class {name!r}: choose from {_known()}")
            if times > 1:
                raise ValueError(f"class {name} is named {times} times")
        fine = [name for name in self.classes if name in FINE]
        if 0 < len(fine) < len(self.classes):
            ten = next(name for name in self.classes if name not in FINE)
            raise ValueError(
                f"{ten} is a class of JetClass and {fine[0]} one of JetClass-II: make "
                "them apart, as a jet has one label"
            )
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


def _known() -> str:
    some = f"{FINE[0]}, ..., {FINE[len(RESONANT) - 1]}, {', '.join(FLAVOURS)}"
    return f"{', '.join(PROCESSES)}; or, of JetClass-II, from {some}"
