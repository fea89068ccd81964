"""Jets on disk: written once, memory-mapped by many."""

from collections.abc import Iterator
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from jetlab.data import manifest, ragged
from jetlab.data.shards import MappedShard, open_shard
from jetlab.types import Jets

VALIDATION = 5
"""One jet in so many is held out for validation,"""

MAX_VALIDATION = 2_000_000
"""but not more than these."""


class Store:
    """A store as a source of jets: training jets first, validation jets at the end.

    Its classes are those that have jets: of JetClass-II's 188 a store may hold two.
    Only `blocks` has the labels as they lie on disk.

    Raises ValueError where `path` is no store of this version or is damaged.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.manifest = manifest.read(self.path)
        table = self.manifest.shards
        self._shards = [open_shard(self.path, shard) for shard in table]
        self._first = np.cumsum([0, *(shard.jets for shard in table)])

    @property
    def identity(self) -> str:
        """What the jets are: a simulator's name or "store", and a hash of them."""
        simulator = self.manifest.origin.get("simulator", "store")
        return f"{simulator}:{self.manifest.hash[:12]}"

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes that have jets, in the order of the labels."""
        return tuple(name for name, jets in self.manifest.classes.items() if jets)

    @property
    def size(self) -> int:
        held_out = min(self.manifest.jets // VALIDATION, MAX_VALIDATION)
        return self.manifest.jets - held_out

    @property
    def held_out(self) -> int:
        """The most validation jets of which every class has as many."""
        return len(self.classes) * min(map(len, self._held_out.values()))

    def train(self, start: int, stop: int) -> Jets:
        """Training jets start to stop. Raises ValueError past the end."""
        if not 0 <= start <= stop <= self.size:
            raise ValueError(
                f"training jets {start} to {stop} of {self.path}, which has "
                f"{self.size}: ask for fewer, or convert more files"
            )
        return self._renumbered(self._between(start, stop))

    def valid(self, count: int) -> Jets:
        """The first `count` / classes validation jets of every class, in store order.

        Raises ValueError where a class has fewer.
        """
        each, rest = divmod(count, len(self.classes))
        if rest:
            raise ValueError(
                f"{count} is not a multiple of {len(self.classes)} classes"
            )
        by_class = self._held_out
        have = {name: len(jets) for name, jets in by_class.items()}
        if each > min(have.values()):
            raise ValueError(
                f"{each} validation jets of every class asked for; {self.path} holds "
                f"out {have}: ask for fewer, or convert more files"
            )
        return self.take(
            np.sort(np.concatenate([jets[:each] for jets in by_class.values()]))
        )

    def blocks(self, size: int) -> Iterator[Jets]:
        """All jets, training and validation, `size` at a time; labels count all the
        classes of the manifest."""
        for start in range(0, self.manifest.jets, size):
            yield self._between(start, min(start + size, self.manifest.jets))

    def take(self, indices: Int[np.ndarray, "b"]) -> Jets:
        """The jets numbered `indices` among all of the store, in that order."""
        indices = np.asarray(indices, np.int64)
        if indices.size and not 0 <= indices.min() <= indices.max() < self._first[-1]:
            raise ValueError(f"no such jets: {self.path} has {self._first[-1]}")
        owner = np.searchsorted(self._first, indices, side="right") - 1
        parts = [
            ragged.gather(*shard, (indices - first)[owner == number])
            for number, (shard, first) in enumerate(self._numbered)
        ]
        jets = self._renumbered(ragged.concatenate(parts))
        if len(parts) == 1:
            return jets
        return ragged.take(jets, np.argsort(np.argsort(owner, kind="stable")))

    def _renumbered(self, jets: Jets) -> Jets:
        """The same with labels that count `classes`."""
        present = np.array(list(self.manifest.classes.values())) > 0
        if present.all():
            return jets
        numbers = np.cumsum(present) - 1
        return jets._replace(label=numbers[jets.label].astype(np.int16))

    @property
    def _numbered(self) -> Iterator[tuple[MappedShard, int]]:
        return zip(self._shards, self._first[:-1].tolist(), strict=True)

    def _between(self, start: int, stop: int) -> Jets:
        return ragged.concatenate(
            [
                ragged.between(
                    *shard,
                    min(max(start - first, 0), len(shard.starts)),
                    min(max(stop - first, 0), len(shard.starts)),
                )
                for shard, first in self._numbered
            ]
        )

    @cached_property
    def _held_out(self) -> dict[str, Int[np.ndarray, "n"]]:
        label = self._renumbered(self._between(self.size, self.manifest.jets)).label
        return {
            name: self.size + np.flatnonzero(label == number)
            for number, name in enumerate(self.classes)
        }


def describe(path: str | Path) -> dict[str, Any]:
    """What a store says of itself.

    Among the keys: `jets`, `classes` (counts by name), `mean_particles` (by name of the
    classes that have jets), `features`, `identity`, and `origin` with input files and
    what was left out.
    """
    store = Store(path)
    return {"identity": store.identity, "train": store.size, **asdict(store.manifest)}
