"""Convert JetClass files into a store, and files or a store into ROOT files."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jetlab.atomic import refuse_existing
from jetlab.data.jetclass import reader
from jetlab.data.jetclass.reader import STEP, InputFile
from jetlab.data.jetclass.writer import encode, write_root
from jetlab.data.store import Store, describe
from jetlab.data.store_writer import write
from jetlab.types import CLASSES, Jets


def convert(
    files: Sequence[str | Path],
    out: str | Path,
    *,
    skip_bad: bool = False,
    seed: int = 0,
    origin: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write a store of the jets in JetClass ROOT or JetClass-II Parquet files.

    Memory is independent of the size of the files; the store is independent of the
    order of their names. An error leaves no store.

    Args:
      files: input files.
      out: folder to create.
      skip_bad: skip unreadable files and invalid jets, and count them by reason.
      seed: seed of the shuffle.
      origin: `origin` of the manifest, by default the list of files.

    Returns:
      As `describe`; `origin` holds the number of `skipped` jets by reason.

    Raises:
      BadInput: (a ValueError) for a file or jet that cannot be used.
      ValueError: if `out` exists or there are no jets.
    """
    refuse_existing(Path(out))
    skipped: Counter[str] = Counter()
    inputs = reader.survey(files, skip_bad=skip_bad, skipped=skipped)
    blocks = (
        jets
        for file in inputs
        for jets in reader.read(file, skip_bad=skip_bad, skipped=skipped)
    )
    return write_store(inputs, blocks, out, skipped=skipped, seed=seed, origin=origin)


def write_store(
    inputs: Sequence[InputFile],
    blocks: Iterable[Jets],
    out: str | Path,
    *,
    skipped: Counter[str],
    seed: int,
    origin: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Second half of `convert`: write `blocks`, the decoded jets of `inputs` in order.
    `skipped` is read after the last block."""
    listed = [{"path": str(file.path), "entries": file.entries} for file in inputs]
    write(
        blocks,
        out,
        expected=sum(file.entries for file in inputs),
        origin={**(origin or {"files": listed}), "skipped": skipped},
        classes=_classes(inputs),
        seed=seed,
    )
    return describe(out)


def to_root(
    files: Sequence[str | Path], out: str | Path, *, skip_bad: bool = False
) -> dict[str, Any]:
    """Write ROOT files in the format of JetClass from files of jets or from one store.

    Jets of files keep their order within a class, all particles, full precision and
    each `jet_` or `aux_` branch of one number per jet that all files have. Jets of a
    store keep its order and convert back to identical stored jets.

    Returns:
      As `write_root`, and the number of `skipped` jets by reason.

    Raises:
      ValueError: as `convert` does.
    """
    refuse_existing(Path(out))
    if len(files) == 1 and Path(files[0]).is_dir():
        return _store_to_root(Store(files[0]), out)
    skipped: Counter[str] = Counter()
    inputs = reader.survey(files, skip_bad=skip_bad, skipped=skipped)
    common = [
        name
        for name in (inputs[0].others if inputs else ())
        if all(name in file.others for file in inputs)
    ]
    steps = (
        entries
        for file in inputs
        for entries in reader.read_branches(
            file, common, skip_bad=skip_bad, skipped=skipped
        )
    )
    expected = sum(file.entries for file in inputs)
    written = write_root(steps, out, expected=expected, classes=_classes(inputs))
    return {**written, "skipped": dict(skipped)}


def _store_to_root(source: Store, out: str | Path) -> dict[str, Any]:
    jets = source.manifest.jets
    classes = tuple(source.manifest.classes)
    steps = (encode(block, classes) for block in source.blocks(STEP))
    written = write_root(steps, out, expected=jets, classes=classes)
    return {**written, "skipped": {}}


def _classes(inputs: Sequence[InputFile]) -> tuple[str, ...]:
    return inputs[0].classes if inputs else CLASSES
