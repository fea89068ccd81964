"""Convert JetClass files into a store, with the files decoded by many workers.

A worker decodes a file into the cache `OUT.pieces`, which all workers share; one
process then writes the store from the cache.
"""

import hashlib
import json
import socket
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jetlab.atomic import atomic_file
from jetlab.data.jetclass import reader
from jetlab.data.jetclass.convert import convert, write_store
from jetlab.data.jetclass.reader import BadInput, InputFile
from jetlab.runs.dispatch import check, map_tasks, take_shard
from jetlab.runs.resumable_output import ResumableOutput
from jetlab.types import Jets


@dataclass(frozen=True, kw_only=True)
class DecodeTask:
    """An input file and the path of its decoded jets."""

    file: InputFile
    path: Path
    skip_bad: bool


def convert_on(
    files: Sequence[str | Path],
    out: str | Path,
    *,
    skip_bad: bool = False,
    seed: int = 0,
    on: str = "local",
    workers: int | None = None,
    shard: tuple[int, int] | None = None,
) -> dict[str, Any] | None:
    """As `convert`, with the files decoded by workers.

    The store is identical. Decoded files are cached in `OUT.pieces`: the same call
    resumes from them.

    Args:
      files: input files.
      out: folder to create.
      skip_bad: as of `convert`.
      seed: as of `convert`.
      on: where to decode; see `dispatch.map_tasks`.
      workers: number of workers, where `on` needs one.
      shard: (i, n) decodes every n-th file, beginning with file i, and returns None.
        After all shards, a call without it decodes missing files and writes the store.

    Raises:
      ValueError: as `convert` does; `dispatch.Unfinished` if files failed.
    """
    check(on, workers)
    out = Path(out)
    resumes = ResumableOutput.folder_of(out).exists()
    if on == "local" and shard is None and not resumes:
        return convert(files, out, skip_bad=skip_bad, seed=seed)
    skipped: Counter[str] = Counter()
    inputs = reader.survey(files, skip_bad=skip_bad, skipped=skipped)
    cache = ResumableOutput(out, _request(inputs, skip_bad))
    tasks = [
        DecodeTask(file=file, path=cache.path(f"{number:05d}"), skip_bad=skip_bad)
        for number, file in enumerate(inputs)
    ]
    _decode([t for t in take_shard(tasks, shard) if not t.path.exists()], on, workers)
    if shard is not None:
        return None
    blocks = (jets for task in tasks for jets in _decoded(task, skipped))
    content = write_store(inputs, blocks, out, skipped=skipped, seed=seed)
    cache.remove()
    return content


def decode(task: DecodeTask) -> None:
    """Decode one file into the cache, on a worker."""
    path, skipped = task.file.path, Counter[str]()
    if not path.is_file():  # `read` would count all its entries as skipped
        raise BadInput.at(path, f"not visible on {socket.gethostname()}")
    blocks = reader.read(task.file, skip_bad=task.skip_bad, skipped=skipped)
    save(task.path, blocks, skipped)


def save(path: Path, blocks: Iterable[Jets], skipped: Counter[str]) -> None:
    """Write decoded jets atomically, then the number of skipped jets by reason as it is
    after the last block."""
    with atomic_file(path) as temporary, temporary.open("wb") as file:
        for jets in blocks:
            for column in jets:
                np.save(file, column)
        np.save(file, json.dumps(skipped))


def load(path: Path, skipped: Counter[str]) -> Iterator[Jets]:
    """Blocks that `save` wrote; `skipped` is updated after the last one.

    Raises:
      ValueError: if the file is damaged.
    """
    try:
        with path.open("rb") as file:
            first = np.load(file)
            while first.ndim:
                yield Jets(first, *(np.load(file) for _ in Jets._fields[1:]))
                first = np.load(file)
            skipped.update(json.loads(first.item()))
    except (ValueError, EOFError, TypeError) as error:
        reason = f"damaged ({error}): delete it and run the same command again"
        raise ValueError(f"{path}: {reason}") from error


def _request(inputs: Sequence[InputFile], skip_bad: bool) -> dict[str, Any]:
    """Identity of the cached files; it changes with path, size or time of an input."""
    states = [(file.path, file.path.stat()) for file in inputs]
    facts = [[str(path), state.st_size, state.st_mtime_ns] for path, state in states]
    digest = hashlib.sha256(json.dumps(facts).encode()).hexdigest()
    return {"files": f"{len(inputs)} ({digest[:12]})", "skip_bad": skip_bad}


def _decode(tasks: Sequence[DecodeTask], on: str, workers: int | None) -> None:
    ended = map_tasks(
        decode,
        tasks,
        on=on,
        workers=workers,
        describe=lambda task: task.file.path.name,
        size=lambda task: task.file.entries,
        unit="jets",
        label="decoding",
    )
    for _ in ended:
        pass


def _decoded(task: DecodeTask, skipped: Counter[str]) -> Iterator[Jets]:
    """Cached jets of one file. Raises ValueError if entries are missing."""
    own, jets = Counter[str](), 0
    for block in load(task.path, own):
        jets += len(block.counts)
        yield block
    entries = task.file.entries
    if jets + own.total() != entries:
        raise ValueError(
            f"{task.path}: {jets} jets and {own.total()} skipped of the {entries} in "
            f"{task.file.path}: delete it and run the same command again"
        )
    skipped.update(own)
