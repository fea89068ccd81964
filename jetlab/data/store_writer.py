"""The one way into a store: blocks of jets -> shuffled columns on disk."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from jetlab.data import manifest, ragged
from jetlab.data.atomic import whole
from jetlab.data.manifest import Manifest
from jetlab.data.shards import ShardWriter
from jetlab.data.shuffle import Shuffle
from jetlab.data.tally import Tally
from jetlab.types import CLASSES, MAX_PARTICLES, Jets


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

    Any prefix of the store is a fair sample of the blocks. The same jets in the same
    order with the same seed make the same store, however they are cut into blocks. The
    leading 128 particles of a jet are kept. `expected`, an upper bound on the number of
    jets, sets how many pieces the shuffle works in; `origin` goes into the manifest as
    it is after the last block. Raises ValueError if `out` exists, if no jets came or
    for a label outside `classes`. An error or a kill leaves no store.
    """
    with whole(Path(out)) as directory:
        shuffle = Shuffle(directory / "shuffle", expected=expected, seed=seed)
        with _bar("reading", expected) as bar:
            for block in blocks:
                shuffle.add(_checked(block, len(classes)))
                bar.update(len(block.counts))
        shards, tally = ShardWriter(directory), Tally(classes)
        with _bar("writing", shuffle.jets) as bar:
            for block in shuffle.drain():
                shards.append(block)
                tally.add(block)
                bar.update(len(block.counts))
        if not shuffle.jets:
            raise ValueError(f"no jets to write to {out}")
        summary = Manifest(
            **tally.summary(), seed=seed, origin=origin, shards=shards.close()
        )
        manifest.write(summary, directory)
    return summary


def _bar(verb: str, jets: int) -> tqdm:
    return tqdm(desc=verb, total=jets, unit="jets", unit_scale=True, disable=None)


def _checked(jets: Jets, classes: int) -> Jets:
    if jets.label.size and not (0 <= jets.label.min() <= jets.label.max() < classes):
        raise ValueError(f"labels run to {jets.label.max()}, of {classes} classes")
    if jets.counts.size and jets.counts.min() < 1:
        raise ValueError("a jet without particles")
    jets = ragged.lead(jets, MAX_PARTICLES)
    return Jets(
        **{
            name: np.ascontiguousarray(column, ragged.DTYPES[name])
            for name, column in jets._asdict().items()
        }
    )
