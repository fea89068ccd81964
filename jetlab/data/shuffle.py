"""A shuffle of more jets than memory holds: by random key, through files."""

import pickle
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from jetlab.data import ragged
from jetlab.types import Jets

BUCKET = 65_536
"""Jets held in memory at a time: about 50 MB, 150 MB where all have 128 particles."""


class Shuffle:
    """Jets in the order of random keys, one drawn for each jet as it comes in.

    First pass: jets are scattered to files by the leading digits of their keys. Second
    pass: each file is read back and sorted by key. The outcome depends on the seed and
    on the order in which jets come in, not on how they are grouped into blocks.
    """

    def __init__(self, directory: Path, *, expected: int, seed: int):
        directory.mkdir()
        buckets = max(1, -(-expected // BUCKET))
        self._paths = [directory / f"{number}" for number in range(buckets)]
        self._generator = np.random.default_rng(seed)
        self._waiting: list[Jets] = []
        self.jets = 0

    def add(self, jets: Jets) -> None:
        self._waiting.append(jets)
        self.jets += len(jets.counts)
        if sum(len(block.counts) for block in self._waiting) >= BUCKET:
            self._scatter()

    def drain(self) -> Iterator[Jets]:
        """All jets, shuffled, in blocks of about `BUCKET`; to be called once, last."""
        self._scatter()
        for path in self._paths:
            if path.exists():
                yield _sorted(path)
                path.unlink()
        self._paths[0].parent.rmdir()

    def _scatter(self) -> None:
        if not self._waiting:
            return
        jets = ragged.concatenate(self._waiting)
        self._waiting = []
        keys = self._generator.random(len(jets.counts))
        order = np.argsort(keys, kind="stable")
        jets, keys = ragged.take(jets, order), keys[order]
        starts = ragged.first_rows(jets)
        edges = np.arange(1, len(self._paths)) / len(self._paths)
        cuts = [0, *np.searchsorted(keys, edges).tolist(), len(keys)]
        for path, start, stop in zip(self._paths, cuts[:-1], cuts[1:], strict=True):
            if start < stop:
                part = (keys[start:stop], ragged.between(jets, starts, start, stop))
                with path.open("ab") as file:
                    pickle.dump(part, file, protocol=5)


def _sorted(path: Path) -> Jets:
    keys, blocks = zip(*_parts(path), strict=True)
    order = np.argsort(np.concatenate(keys), kind="stable")
    return ragged.take(ragged.concatenate(blocks), order)


def _parts(path: Path) -> Iterator[tuple[np.ndarray, Jets]]:
    size = path.stat().st_size
    with path.open("rb") as file:
        while file.tell() < size:
            yield pickle.load(file)
