"""JetClass files -> a store; files or a store -> ROOT files."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jetlab.data.atomic import refuse_existing
from jetlab.data.jetclass import reader
from jetlab.data.jetclass.encoding import branches_of
from jetlab.data.jetclass.reader import STEP, InputFile
from jetlab.data.jetclass.writer import write_root
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

    Memory does not grow with the files; the order in which they are named does not
    matter. Returns what `describe` says of the store, where `origin` lists the files,
    or is what is given in their place, and has by reason the jets left out with
    `skip_bad`. Raises `reader.BadInput`, a ValueError, for input that cannot be used,
    and ValueError where `out` exists or no jets are left; then no store is left either.
    """
    refuse_existing(Path(out))
    skipped: Counter[str] = Counter()
    inputs = reader.survey(files, skip_bad=skip_bad, skipped=skipped)
    blocks = (
        jets
        for file in inputs
        for jets in reader.read(file, skip_bad=skip_bad, skipped=skipped)
    )
    return store(inputs, blocks, out, skipped=skipped, seed=seed, origin=origin)


def store(
    inputs: Sequence[InputFile],
    blocks: Iterable[Jets],
    out: str | Path,
    *,
    skipped: Counter[str],
    seed: int,
    origin: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write a store of `blocks`, which hold the jets of `inputs` in order, as `convert`
    does; `skipped` may count on until the last block."""
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
    """Write ROOT files like JetClass's of the jets in files, or in one store.

    Those of a file keep their order, all their particles, full precision and every
    `jet_` and `aux_` branch of one number a jet that all files have; those of a store
    come in its order, and turn into the same stored jets again. Returns what
    `write_root` does, and what was left out as `skipped`; raises as `convert` does.
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
        step
        for file in inputs
        for step in reader.read_branches(
            file, common, skip_bad=skip_bad, skipped=skipped
        )
    )
    entries = sum(file.entries for file in inputs)
    written = write_root(steps, out, expected=entries, classes=_classes(inputs))
    return {**written, "skipped": dict(skipped)}


def _store_to_root(source: Store, out: str | Path) -> dict[str, Any]:
    jets = source.manifest.jets
    classes = tuple(source.manifest.classes)
    steps = (branches_of(block, classes) for block in source.blocks(STEP))
    written = write_root(steps, out, expected=jets, classes=classes)
    return {**written, "skipped": {}}


def _classes(inputs: Sequence[InputFile]) -> tuple[str, ...]:
    return inputs[0].classes if inputs else CLASSES
