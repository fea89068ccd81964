"""Stores of jets on disk: a manifest and memory-mapped columns.

A store is a folder with `manifest.json` and one folder per shard, which holds one .npy
file per field of `Jets`, and `starts`, the row of each jet's first particle.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int

from jetlab.data import ragged
from jetlab.data.features import FEATURES
from jetlab.types import JET, MEASURED, SPECIES, Jets

VALIDATION_DIVISOR = 5
"""The last 1/5 of the jets is held out for validation,"""

MAX_VALIDATION = 2_000_000
"""but at most this number of jets."""

SCHEMA = 1
MANIFEST = "manifest.json"

COLUMN_DTYPES = {**ragged.DTYPES, "starts": np.int64}
COLUMN_WIDTHS = {"jet": (4,), "measured": (8,)}
_PER_PARTICLE = ("measured", "charge", "species")


@dataclass(frozen=True, kw_only=True)
class Shard:
    """One folder of columns."""

    name: str
    jets: int
    particles: int


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Counts, contents and origin of a store."""

    schema: int = SCHEMA
    hash: str  # sha256 over the columns in order, independent of the sharding
    jets: int
    particles: int
    classes: dict[str, int]  # number of jets by class, in the order of the labels
    mean_particles: dict[str, float]  # by class, of the classes that have jets
    measured: tuple[str, ...] = MEASURED
    jet: tuple[str, ...] = JET
    species: tuple[str, ...] = SPECIES
    features: tuple[str, ...] = FEATURES  # computed when jets are read
    seed: int  # of the shuffle
    origin: Mapping[str, Any]  # input files and skipped jets, or the simulator
    shards: tuple[Shard, ...]

    def write(self, directory: Path) -> None:
        content = vars(self) | {"shards": [asdict(shard) for shard in self.shards]}
        (directory / MANIFEST).write_text(json.dumps(content, indent=1) + "\n")

    @classmethod
    def read(cls, directory: Path) -> "Manifest":
        """The manifest of a store.

        Raises:
          ValueError: if there is no manifest, or it has another schema.
        """
        path = directory / MANIFEST
        if not path.is_file():
            raise ValueError(
                f"{directory} is not a store, {MANIFEST} is missing: make one with "
                "'jetlab convert' or 'jetlab simulate'"
            )
        content = json.loads(path.read_text())
        if content.get("schema") != SCHEMA:
            raise ValueError(
                f"{path} has schema {content.get('schema')}, this version reads "
                f"{SCHEMA}: convert the files again"
            )
        content["shards"] = [Shard(**shard) for shard in content["shards"]]
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in content.items()
        }
        return cls(**values)


class _MappedShard(NamedTuple):
    jets: Jets
    starts: Int[np.ndarray, "b"]  # row of each jet's first particle


class Store:
    """A store as a source of jets: training jets first, validation jets last.

    `classes` are those that have jets: a store may hold two of JetClass-II's 188, and
    labels count these two. Only `blocks` returns the labels as they are on disk.

    Raises:
      ValueError: if `path` is not a store of this schema, or is damaged.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.manifest = Manifest.read(self.path)
        shards = self.manifest.shards
        self._shards = [_open_shard(self.path, shard) for shard in shards]
        self._first = np.cumsum([0, *(shard.jets for shard in shards)])

    @property
    def identity(self) -> str:
        """The simulator's name, or "store", and a hash of the jets."""
        simulator = self.manifest.origin.get("simulator", "store")
        return f"{simulator}:{self.manifest.hash[:12]}"

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes that have jets, in the order of the labels."""
        return tuple(name for name, jets in self.manifest.classes.items() if jets)

    @property
    def size(self) -> int:
        """Number of training jets."""
        held_out = min(self.manifest.jets // VALIDATION_DIVISOR, MAX_VALIDATION)
        return self.manifest.jets - held_out

    @property
    def held_out(self) -> int:
        """Largest number of validation jets that is balanced by class."""
        return len(self.classes) * min(map(len, self._validation_jets.values()))

    def train(self, start: int, stop: int) -> Jets:
        """Training jets `start` to `stop` - 1.

        Raises:
          ValueError: past the last training jet.
        """
        if not 0 <= start <= stop <= self.size:
            raise ValueError(
                f"training jets {start} to {stop} of {self.path}, which has "
                f"{self.size}: ask for fewer, or convert more files"
            )
        return self._relabelled(self._slice(start, stop))

    def valid(self, count: int) -> Jets:
        """The first `count` / classes validation jets of each class, in stored order.

        Raises:
          ValueError: if `count` is not a multiple of the number of classes, or a class
            has fewer validation jets.
        """
        each, rest = divmod(count, len(self.classes))
        if rest:
            raise ValueError(
                f"{count} is not a multiple of {len(self.classes)} classes"
            )
        available = {name: len(jets) for name, jets in self._validation_jets.items()}
        if each > min(available.values()):
            raise ValueError(
                f"{each} validation jets per class requested, {self.path} holds out "
                f"{available}: ask for fewer, or convert more files"
            )
        first = [jets[:each] for jets in self._validation_jets.values()]
        return self.take(np.sort(np.concatenate(first)))

    def blocks(self, size: int) -> Iterator[Jets]:
        """All jets, training and validation, `size` at a time, with labels that count
        all classes of the manifest."""
        for start in range(0, self.manifest.jets, size):
            yield self._slice(start, min(start + size, self.manifest.jets))

    def take(self, indices: Int[np.ndarray, "b"]) -> Jets:
        """Jets number `indices` of the whole store, in that order.

        Raises:
          ValueError: for an index outside the store.
        """
        indices = np.asarray(indices, np.int64)
        if indices.size and not 0 <= indices.min() <= indices.max() < self._first[-1]:
            raise ValueError(
                f"jets {indices.min()} to {indices.max()} of {self.path}, which has "
                f"{self._first[-1]}"
            )
        owner = np.searchsorted(self._first, indices, side="right") - 1
        parts = [
            ragged.gather(*shard, (indices - first)[owner == number])
            for number, (shard, first) in enumerate(self._numbered)
        ]
        jets = self._relabelled(ragged.concatenate(parts))
        if len(parts) == 1:
            return jets
        return ragged.take(jets, np.argsort(np.argsort(owner, kind="stable")))

    def _relabelled(self, jets: Jets) -> Jets:
        """The jets with labels that count `classes`."""
        present = np.array(list(self.manifest.classes.values())) > 0
        if present.all():
            return jets
        numbers = np.cumsum(present) - 1
        return jets._replace(label=numbers[jets.label].astype(np.int16))

    @property
    def _numbered(self) -> Iterator[tuple[_MappedShard, int]]:
        """Shards with the number of their first jet."""
        return zip(self._shards, self._first[:-1].tolist(), strict=True)

    def _slice(self, start: int, stop: int) -> Jets:
        return ragged.concatenate(
            [
                ragged.slice_jets(
                    *shard,
                    min(max(start - first, 0), len(shard.starts)),
                    min(max(stop - first, 0), len(shard.starts)),
                )
                for shard, first in self._numbered
            ]
        )

    @cached_property
    def _validation_jets(self) -> dict[str, Int[np.ndarray, "n"]]:
        """Numbers of the validation jets by class."""
        label = self._relabelled(self._slice(self.size, self.manifest.jets)).label
        return {
            name: self.size + np.flatnonzero(label == number)
            for number, name in enumerate(self.classes)
        }


def _open_shard(directory: Path, shard: Shard) -> _MappedShard:
    columns = {name: _map(directory, shard, name) for name in COLUMN_DTYPES}
    starts = columns.pop("starts")
    return _MappedShard(Jets(**columns), starts)


def _map(directory: Path, shard: Shard, name: str) -> np.ndarray:
    """Memory-map a column. Raises ValueError unless it is as the manifest says."""
    path = directory / shard.name / f"{name}.npy"
    rows = shard.particles if name in _PER_PARTICLE else shard.jets
    expected = (rows, *COLUMN_WIDTHS.get(name, ())), COLUMN_DTYPES[name]
    advice = "the store is damaged, delete it and make it again"
    try:
        column = np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise ValueError(f"{path}: {error}: {advice}") from error
    if (column.shape, column.dtype) != expected:
        raise ValueError(
            f"{path}: {column.dtype} {column.shape} instead of "
            f"{np.dtype(expected[1])} {expected[0]}: {advice}"
        )
    return np.asarray(column)  # a plain array: indexing a np.memmap is slow


def describe(path: str | Path) -> dict[str, Any]:
    """Manifest, identity and number of training jets of a store.

    Keys include `jets`, `classes` (number of jets by class), `mean_particles` (by
    class), `features`, `identity`, and `origin` with input files and skipped jets.
    """
    store = Store(path)
    return {"identity": store.identity, "train": store.size, **asdict(store.manifest)}
