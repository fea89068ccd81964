"""An external shuffle: of more jets than memory holds, through files."""

import pickle
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from jetlab.data import ragged
from jetlab.types import Jets

BUCKET = 65_536
"""Jets held in memory: about 50 MB, or 150 MB if all have 128 particles."""


class ExternalShuffle:
    """Sorts jets by random keys, one key drawn per jet in order of arrival.

    First pass: jets are scattered to files (buckets) by the leading digits of their
    keys. Second pass: each file is read and sorted by key. The result depends on the
    seed and the order of arrival, not on the division into blocks.

    Args:
      directory: a directory to create for the files.
      expected: expected number of jets, which sets the number of files.
      seed: seed of the keys.
    """

    def __init__(self, directory: Path, *, expected: int, seed: int):
        directory.mkdir()
        buckets = max(1, -(-expected // BUCKET))
        self._paths = [directory / f"{number}" for number in range(buckets)]
        self._generator = np.random.default_rng(seed)
        self._buffer: list[Jets] = []
        self.jets = 0

    def add(self, jets: Jets) -> None:
        self._buffer.append(jets)
        self.jets += len(jets.counts)
        if sum(len(block.counts) for block in self._buffer) >= BUCKET:
            self._scatter()

    def drain(self) -> Iterator[Jets]:
        """All jets, shuffled, in blocks of about `BUCKET` jets. Call it once, after the
        last `add`: it removes the files and the directory."""
        self._scatter()
        for path in self._paths:
            if path.exists():
                yield _sorted_bucket(path)
                path.unlink()
        self._paths[0].parent.rmdir()

    def _scatter(self) -> None:
        if not self._buffer:
            return
        jets = ragged.concatenate(self._buffer)
        self._buffer = []
        keys = self._generator.random(len(jets.counts))
        order = np.argsort(keys, kind="stable")
        jets, keys = ragged.take(jets, order), keys[order]
        starts = ragged.first_rows(jets)
        edges = np.arange(1, len(self._paths)) / len(self._paths)
        cuts = [0, *np.searchsorted(keys, edges).tolist(), len(keys)]
        for path, start, stop in zip(self._paths, cuts[:-1], cuts[1:], strict=True):
            if start < stop:
                part = (keys[start:stop], ragged.slice_jets(jets, starts, start, stop))
                with path.open("ab") as file:
                    pickle.dump(part, file, protocol=5)


def _sorted_bucket(path: Path) -> Jets:
    keys, blocks = zip(*_parts(path), strict=True)
    order = np.argsort(np.concatenate(keys), kind="stable")
    return ragged.take(ragged.concatenate(blocks), order)


def _parts(path: Path) -> Iterator[tuple[np.ndarray, Jets]]:
    size = path.stat().st_size
    with path.open("rb") as file:
        while file.tell() < size:
            yield pickle.load(file)
