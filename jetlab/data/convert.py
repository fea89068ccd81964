"""JetClass files -> a store."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from jetlab.data import jetclass
from jetlab.data.partial import refuse_existing
from jetlab.data.store import describe
from jetlab.data.writer import write
from jetlab.types import CLASSES, Ragged


def convert(
    files: Sequence[str | Path],
    out: str | Path,
    *,
    skip_bad: bool = False,
    seed: int = 0,
) -> dict[str, Any]:
    """Write a store of the jets in JetClass ROOT or JetClass-II Parquet files.

    Memory does not grow with the files; the order in which they are named does not
    matter. Returns what `describe` says of the store, where `origin` lists the files
    and, by reason, the jets left out with `skip_bad`. Raises `jetclass.BadInput`, a
    ValueError, for input that cannot be used, and ValueError where `out` exists or no
    jets are left; then no store is left either.
    """
    refuse_existing(Path(out))
    skipped: Counter[str] = Counter()
    inputs = jetclass.survey(files, skip_bad=skip_bad, skipped=skipped)
    origin: dict[str, Any] = {
        "files": [{"path": str(f.path), "entries": f.entries} for f in inputs],
        "skipped": skipped,
    }

    def blocks() -> Iterator[Ragged]:
        for file in inputs:
            yield from jetclass.read(file, skip_bad=skip_bad, skipped=skipped)

    write(
        blocks(),
        out,
        expected=sum(file.entries for file in inputs),
        origin=origin,
        classes=inputs[0].classes if inputs else CLASSES,
        seed=seed,
    )
    return describe(out)
