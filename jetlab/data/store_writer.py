"""Write a store: blocks of jets -> shuffled columns and a manifest."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped
from numpy.lib import format as npy
from tqdm import tqdm

from jetlab.atomic import atomic_directory
from jetlab.data import ragged
from jetlab.data.external_shuffle import ExternalShuffle
from jetlab.data.store import COLUMN_DTYPES, COLUMN_WIDTHS, Manifest, Shard
from jetlab.types import CLASSES, MAX_PARTICLES, Jets

SHARD = 4_194_304
"""Jets per shard, about 3 GB. Few large shards keep reads of random jets fast, which
touch most shards, and the number of open files small."""


def write(
    blocks: Iterable[Jets],
    out: str | Path,
    *,
    expected: int,
    origin: Mapping[str, Any],
    classes: tuple[str, ...] = CLASSES,
    seed: int = 0,
) -> Manifest:
    """Write a store of all jets in `blocks`, shuffled.

    Any prefix of the store is a random sample of the jets. The store depends on the
    jets, their order and the seed, not on their division into blocks. An error or a
    kill leaves no store.

    Args:
      blocks: jets; the leading 128 particles of each are kept.
      out: folder to create.
      expected: upper bound on the number of jets, which sets the number of files of
        the shuffle.
      origin: written into the manifest as it is after the last block.
      classes: names of the labels.
      seed: seed of the shuffle.

    Raises:
      ValueError: if `out` exists, there are no jets, a jet has no particles or a label
        is outside `classes`.
    """
    with atomic_directory(Path(out)) as directory:
        shuffle = ExternalShuffle(directory / "shuffle", expected=expected, seed=seed)
        with _progress_bar("reading", expected) as bar:
            for block in blocks:
                shuffle.add(_prepared(block, len(classes)))
                bar.update(len(block.counts))
        shards, summary = _ShardWriter(directory), _Summary(classes)
        with _progress_bar("writing", shuffle.jets) as bar:
            for block in shuffle.drain():
                shards.append(block)
                summary.add(block)
                bar.update(len(block.counts))
        if not shuffle.jets:
            raise ValueError(f"no jets to write to {out}")
        manifest = Manifest(
            **summary.fields(), seed=seed, origin=origin, shards=shards.close()
        )
        manifest.write(directory)
    return manifest


def _progress_bar(verb: str, jets: int) -> tqdm:
    return tqdm(desc=verb, total=jets, unit="jets", unit_scale=True, disable=None)


def _prepared(jets: Jets, classes: int) -> Jets:
    """Checked and truncated jets with contiguous columns of the stored types."""
    if jets.label.size and not (0 <= jets.label.min() <= jets.label.max() < classes):
        raise ValueError(
            f"labels from {jets.label.min()} to {jets.label.max()} do not index "
            f"{classes} classes"
        )
    if jets.counts.size and jets.counts.min() < 1:
        raise ValueError(f"jet {jets.counts.argmin()} of a block has no particles")
    jets = ragged.truncate(jets, MAX_PARTICLES)
    return Jets(
        **{
            name: np.ascontiguousarray(column, ragged.DTYPES[name])
            for name, column in jets._asdict().items()
        }
    )


class _Summary:
    """Jets and particles by class, and a hash over the columns in order."""

    def __init__(self, classes: tuple[str, ...]):
        self._classes = classes
        self._jets = np.zeros(len(classes), np.int64)
        self._particles = np.zeros(len(classes), np.int64)
        self._hashes = {name: hashlib.sha256() for name in Jets._fields}

    def add(self, jets: Jets) -> None:
        size = len(self._classes)
        self._jets += np.bincount(jets.label, minlength=size)
        particles = np.bincount(jets.label, jets.counts, minlength=size)
        self._particles += particles.astype(np.int64)
        for name, column in jets._asdict().items():
            self._hashes[name].update(column.data.cast("B"))

    def fields(self) -> dict[str, Any]:
        """Fields of the manifest that follow from the jets."""
        digests = [digest.hexdigest() for digest in self._hashes.values()]
        content = json.dumps([self._classes, digests])
        mean = self._particles / np.maximum(self._jets, 1)
        return {
            "hash": hashlib.sha256(content.encode()).hexdigest(),
            "jets": int(self._jets.sum()),
            "particles": int(self._particles.sum()),
            "classes": dict(zip(self._classes, self._jets.tolist(), strict=True)),
            "mean_particles": {
                name: round(float(value), 4)
                for name, value, jets in zip(
                    self._classes, mean, self._jets, strict=True
                )
                if jets
            },
        }


class _ShardWriter:
    """Appends jets to a shard; after `SHARD` jets a new one begins."""

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
            name: _Column(directory / f"{name}.npy", dtype, COLUMN_WIDTHS.get(name, ()))
            for name, dtype in COLUMN_DTYPES.items()
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
    """An .npy file to which rows are appended."""

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
        # NumPy pads the header so that the number of rows can be rewritten in place.
        header = {
            "descr": npy.dtype_to_descr(self._dtype),
            "fortran_order": False,
            "shape": (self.rows, *self._width),
        }
        npy.write_array_header_1_0(self._file, header)
