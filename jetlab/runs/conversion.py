"""JetClass files -> a store, each file decoded by whichever worker is free."""

import hashlib
import json
import socket
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jetlab.data.jetclass import decoded_cache, reader
from jetlab.data.jetclass.convert import convert, store
from jetlab.data.jetclass.reader import BadInput, InputFile
from jetlab.runs.dispatch import check, map_tasks, take_shard
from jetlab.runs.pieces import Pieces
from jetlab.types import Jets


@dataclass(frozen=True, kw_only=True)
class Piece:
    """An input file, and where its decoded jets go."""

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
    """As `convert`, with the files decoded where `on` says: the same store.

    Files in hand lie in `OUT.pieces`, with which the same call goes on after a kill. A
    `shard` (i, n) decodes every n-th file and gives None; the call without one, when
    all shards have ended, decodes what is missing and makes the store.

    Raises:
      ValueError: as `convert` does; `dispatch.Unfinished` where files failed.
    """
    check(on, workers)
    out = Path(out)
    begun = Pieces.folder_of(out).exists()
    if on == "local" and shard is None and not begun:
        return convert(files, out, skip_bad=skip_bad, seed=seed)
    skipped: Counter[str] = Counter()
    inputs = reader.survey(files, skip_bad=skip_bad, skipped=skipped)
    folder = Pieces(out, _request(inputs, skip_bad))
    pieces = [
        Piece(file=file, path=folder.path(f"{number:05d}"), skip_bad=skip_bad)
        for number, file in enumerate(inputs)
    ]
    _decode([p for p in take_shard(pieces, shard) if not p.path.exists()], on, workers)
    if shard is not None:
        return None
    blocks = (jets for piece in pieces for jets in _jets_of(piece, skipped))
    content = store(inputs, blocks, out, skipped=skipped, seed=seed)
    folder.remove()
    return content


def decode(piece: Piece) -> None:
    """What a worker does: the jets of one file, written down whole."""
    path, skipped = piece.file.path, Counter[str]()
    if not path.is_file():  # else the whole file would count as left out
        raise BadInput.at(path, f"{socket.gethostname()} sees no such file")
    blocks = reader.read(piece.file, skip_bad=piece.skip_bad, skipped=skipped)
    decoded_cache.save(piece.path, blocks, skipped)


def _request(inputs: Sequence[InputFile], skip_bad: bool) -> dict[str, Any]:
    """What the pieces are of: changed files make others."""
    states = [(file.path, file.path.stat()) for file in inputs]
    facts = [[str(path), state.st_size, state.st_mtime_ns] for path, state in states]
    digest = hashlib.sha256(json.dumps(facts).encode()).hexdigest()
    return {"files": f"{len(inputs)} ({digest[:12]})", "skip_bad": skip_bad}


def _decode(pieces: Sequence[Piece], on: str, workers: int | None) -> None:
    ended = map_tasks(
        decode,
        pieces,
        on=on,
        workers=workers,
        describe=lambda piece: piece.file.path.name,
        size=lambda piece: piece.file.entries,
        unit="jets",
        label="decoding",
    )
    for _ in ended:
        pass


def _jets_of(piece: Piece, skipped: Counter[str]) -> Iterator[Jets]:
    own, jets = Counter[str](), 0
    for block in decoded_cache.load(piece.path, own):
        jets += len(block.counts)
        yield block
    entries = piece.file.entries
    if jets + own.total() != entries:
        raise ValueError(
            f"{piece.path}: {jets} jets and {own.total()} left out of the {entries} in "
            f"{piece.file.path}: delete it and give the same command again"
        )
    skipped.update(own)
