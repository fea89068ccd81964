"""Production campaigns: jets of several classes, in jobs that are independent and
reproducible from their name alone. Importable without Pythia."""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from jetlab.data.jetclass.labels import JETCLASS2
from jetlab.data.pythia.final_states import FINAL_STATES, PRONGS
from jetlab.data.pythia.processes import FLAVOURS, PROCESSES

VERSION = "v1"
"""Version of processes, detector and selection; changes whenever the jets do."""

MAX_JETS_PER_JOB = 1000
"""10 to 40 s of work, of which half a second is Pythia's initialisation."""

MS_PER_JET = {
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
"""Milliseconds per jet on one core of an AMD EPYC."""

MS_PER_JET_BY_PRONGS = {1: 30.0, 2: 22.0, 3: 100.0, 4: 33.0}
"""The same for JetClass-II classes by number of prongs; 1 stands for QCD by flavour.
Measured on one or two classes each."""

TAU_FACTOR = (1.0, 3.0, 15.0)
"""Factor for 0, 1 or 2 tau leptons, of which only the named decays are kept."""

JETCLASS2_CLASSES = (*FINAL_STATES, *FLAVOURS)
"""Classes of JetClass-II that can be simulated."""

_PYTHIA_SEEDS = 900_000_000  # seeds run from 1 to this
_JETCLASS_STRIDE = 10_000_000  # job numbers between the seeds of two subprocesses
_JETCLASS2_STRIDE = 2_000_000


@dataclass(frozen=True, kw_only=True)
class ProductionJob:
    """Jets of one class made by one worker.

    Attributes:
      name: the class.
      number: number of the job within its class.
      jets: number of jets, at most MAX_JETS_PER_JOB in a campaign.
      seed: of the campaign.
    """

    name: str
    number: int
    jets: int
    seed: int

    @property
    def file(self) -> str:
        return f"{self.name}_{self.number:05d}_{self.jets}.parquet"

    @property
    def cost(self) -> float:
        """Estimated core-seconds."""
        return self.jets * _ms_per_jet(self.name) / 1000

    def pythia_seed(self, subprocess: int) -> int:
        """Seed of Pythia's random numbers for one subprocess of the class.

        All jobs of a campaign have different seeds; the seeds of another campaign start
        at an unrelated point.
        """
        (start,) = np.random.SeedSequence(self.seed).generate_state(1, np.uint64)
        if self.name in PROCESSES:
            names, stride = tuple(PROCESSES), _JETCLASS_STRIDE
        else:
            names, stride = JETCLASS2, _JETCLASS2_STRIDE
        offset = (names.index(self.name) * 2 + subprocess) * stride + self.number
        return 1 + (int(start) + offset) % _PYTHIA_SEEDS

    def rng(self) -> np.random.Generator:
        """Random numbers of the detector and of the order of the jets."""
        return np.random.default_rng([self.seed, *self.name.encode(), self.number])


def _ms_per_jet(name: str) -> float:
    if name in MS_PER_JET:
        return MS_PER_JET[name]
    prongs = FINAL_STATES.get(name, (0,))
    taus = sum("tau" in PRONGS[number] for number in prongs)
    return MS_PER_JET_BY_PRONGS[len(prongs)] * TAU_FACTOR[taus]


@dataclass(frozen=True, kw_only=True)
class Campaign:
    """`jets` jets in total, equally many of each class to within one.

    Raises:
      ValueError: for a negative seed, an unknown or repeated class, classes of both
        JetClass and JetClass-II, or fewer jets than classes.
    """

    jets: int
    classes: tuple[str, ...]
    seed: int = 0

    def __post_init__(self):
        if self.seed < 0:
            raise ValueError(f"seed {self.seed}: choose 0 or more")
        for name, times in Counter(self.classes).items():
            if name not in PROCESSES and name not in JETCLASS2_CLASSES:
                raise ValueError(f"no class {name!r}: choose from {_class_names()}")
            if times > 1:
                raise ValueError(f"class {name} is named {times} times")
        jetclass2 = [name for name in self.classes if name in JETCLASS2_CLASSES]
        if 0 < len(jetclass2) < len(self.classes):
            other = next(name for name in self.classes if name not in jetclass2)
            raise ValueError(
                f"{other} is a class of JetClass and {jetclass2[0]} one of "
                "JetClass-II: simulate them separately, as a jet has one label"
            )
        if self.jets < len(self.classes):
            few = f"{self.jets} jets of {len(self.classes)} classes"
            raise ValueError(f"{few}: ask for at least one jet of each class")

    @property
    def jobs(self) -> list[ProductionJob]:
        """The most expensive first, so that none of them finishes last."""
        each, remainder = divmod(self.jets, len(self.classes))
        jobs = [
            ProductionJob(
                name=name,
                number=first // MAX_JETS_PER_JOB,
                jets=min(MAX_JETS_PER_JOB, each + (rank < remainder) - first),
                seed=self.seed,
            )
            for rank, name in enumerate(self.classes)
            for first in range(0, each + (rank < remainder), MAX_JETS_PER_JOB)
        ]
        return sorted(jobs, key=lambda job: -job.cost)


def _class_names() -> str:
    first, *_, last = FINAL_STATES
    jetclass2 = f"{first}, ..., {last}, {', '.join(FLAVOURS)}"
    return f"{', '.join(PROCESSES)}; or, of JetClass-II, from {jetclass2}"
