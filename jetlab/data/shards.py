"""Shards of a store: directories of memory-mapped columns, one .npy file each."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int, Shaped
from numpy.lib import format as npy

from jetlab.data import ragged
from jetlab.data.manifest import Shard
from jetlab.types import Jets

SHARD = 4_194_304
"""Jets after which a new shard begins, about 3 GB. Few large shards keep a random block
fast, which touches most of them, and the number of open files small."""

_DTYPES = {**ragged.DTYPES, "starts": np.int64}
_WIDTHS = {"jet": (4,), "measured": (8,)}
_PER_PARTICLE = ("measured", "charge", "species")


class MappedShard(NamedTuple):
    """A shard on disk; `starts` is the row of each jet's first particle."""

    jets: Jets
    starts: Int[np.ndarray, "b"]


def open_shard(directory: Path, shard: Shard) -> MappedShard:
    """Map a shard. Raises ValueError where it is not what the manifest says."""
    columns = {name: _map(directory, shard, name) for name in _DTYPES}
    starts = columns.pop("starts")
    return MappedShard(Jets(**columns), starts)


def _map(directory: Path, shard: Shard, name: str) -> np.ndarray:
    path = directory / shard.name / f"{name}.npy"
    rows = shard.particles if name in _PER_PARTICLE else shard.jets
    expected = (rows, *_WIDTHS.get(name, ())), _DTYPES[name]
    advice = "the store is damaged; delete it and make it again"
    try:
        column = np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise ValueError(f"{path}: {error}; {advice}") from error
    if (column.shape, column.dtype) != expected:
        raise ValueError(f"{path}: {column.shape} is not {expected[0]}; {advice}")
    return np.asarray(column)  # a plain array: np.memmap's own indexing is slow


class ShardWriter:
    """Appends jets to one shard after another."""

    def __init__(self, directory: Path):
        self._directory = directory
        self._columns: dict[str, _Column] = {}
        self._done: list[Shard] = []

    def append(self, jets: Jets) -> None:
        if not self._columns:
            self._begin()
        starts = self._columns["measured"].rows + ragged.first_rows(jets)
        for name, values in (*jets._asdict().items(), ("starts", starts)):
            self._columns[name].append(values)
        if self._columns["label"].rows >= SHARD:
            self._end()

    def close(self) -> tuple[Shard, ...]:
        if self._columns:
            self._end()
        return tuple(self._done)

    def _begin(self) -> None:
        directory = self._directory / f"{len(self._done):05d}"
        directory.mkdir()
        self._columns = {
            name: _Column(directory / f"{name}.npy", dtype, _WIDTHS.get(name, ()))
            for name, dtype in _DTYPES.items()
        }

    def _end(self) -> None:
        self._done.append(
            Shard(
                name=f"{len(self._done):05d}",
                jets=self._columns["label"].rows,
                particles=self._columns["measured"].rows,
            )
        )
        for column in self._columns.values():
            column.close()
        self._columns = {}


class _Column:
    """A .npy file that grows by rows."""

    def __init__(self, path: Path, dtype: type[np.generic], width: tuple[int, ...]):
        self.rows = 0
        self._file = path.open("wb")
        self._dtype, self._width = np.dtype(dtype), width
        self._write_header()

    def append(self, values: Shaped[np.ndarray, "rows *f"]) -> None:
        self._file.write(np.ascontiguousarray(values, self._dtype).data.cast("B"))
        self.rows += len(values)

    def close(self) -> None:
        self._file.seek(0)
        self._write_header()
        self._file.close()

    def _write_header(self) -> None:
        # The format pads its header so that the number of rows may be rewritten.
        header = {
            "descr": npy.dtype_to_descr(self._dtype),
            "fortran_order": False,
            "shape": (self.rows, *self._width),
        }
        npy.write_array_header_1_0(self._file, header)
