"""The jets of a block: from events of Pythia to a file of JetClass's branches."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np

from jetlab.data.atomic import atomic_file
from jetlab.data.pythia import branches
from jetlab.data.pythia.campaign import Block
from jetlab.data.pythia.detector import Objects, respond
from jetlab.data.pythia.events import BATCH, Entries, Generator, stable
from jetlab.data.pythia.jet_finding import Clustered, cluster, pick, substructure
from jetlab.data.pythia.labels import Family, family

Seconds = dict[str, float]  # of CPU time, by stage


def make(block: Block, path: Path) -> Seconds:
    """Write the jets of a block as JetClass's branches into a Parquet file, whole or
    not at all; CPU seconds by stage.

    The file has one row a jet, float32 throughout but for the flags and labels, and
    the jets in random order.
    """
    spent: Seconds = {}
    rng = block.generator()
    jets: Any = ak.concatenate(list(_parts(block, rng, spent)))
    with _stage(spent, "writing"), atomic_file(path) as partial:
        ak.to_parquet(jets[rng.permutation(len(jets))], partial)
    return spent


def _parts(block: Block, rng: np.random.Generator, spent: Seconds) -> Iterator[Any]:
    """The block's jets of each of the class's sources."""
    kind = family(block.name)
    edges = np.round(np.cumsum([0, *(s for s, _ in kind.sources)]) * block.jets)
    for number, (_, settings) in enumerate(kind.sources):
        with _stage(spent, "Pythia"):
            events = Generator(kind.veto(), settings, block.pythia_seed(number))
        missing = int(edges[number + 1] - edges[number])
        while missing:
            with _stage(spent, "Pythia"):
                entries = events.batch()
            jets = _jets(entries, kind, rng, spent)[:missing]
            missing -= len(jets)
            if len(jets):
                yield jets


def _jets(
    entries: Entries, kind: Family, rng: np.random.Generator, spent: Seconds
) -> Any:
    """The jets of the class in a batch of events, as an awkward array."""
    with _stage(spent, "detector"):
        objects = respond(stable(entries), rng)
    with _stage(spent, "clustering"):
        jets = cluster(objects, BATCH)
    with _stage(spent, "matching"):
        told = kind.tell(entries, jets)
    with _stage(spent, "clustering"):
        jets = _by_pt(pick(jets, told.jets), objects)
        parts = Objects(*(column[jets.members] for column in objects))
        inside = substructure(parts, jets.counts)
    with _stage(spent, "writing"):
        columns = {**branches.measured(parts, jets, inside), **told.branches}
        return ak.zip(columns, depth_limit=1)


def _by_pt(jets: Clustered, objects: Objects) -> Clustered:
    """The same jets with their objects in order of falling pT."""
    owner = np.repeat(np.arange(len(jets.counts)), jets.counts)
    order = np.lexsort((-objects.pt[jets.members], owner))
    return jets._replace(members=jets.members[order])


@contextmanager
def _stage(spent: Seconds, name: str) -> Iterator[None]:
    begin = time.thread_time()
    yield
    spent[name] = spent.get(name, 0) + time.thread_time() - begin
