"""JetClass ROOT and JetClass-II Parquet files -> jets, streamed in steps.

Formats: arXiv:2202.03772 (TTree or RNTuple `tree`, ten label_* branches) and
arXiv:2405.12972 (`jet_label`). Only this file knows uproot and pyarrow.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import uproot

from jetlab.data.decoding import JET, PARTICLE, TEN_LABELS, Verdicts, decode
from jetlab.data.labels import JETCLASS2
from jetlab.types import CLASSES, Ragged

STEP = 16_384
"""Entries read at a time, about 60 MB of JetClass branches."""

TREE = "tree"


class BadInput(ValueError):
    """An input file cannot be used; says which file, entry and branch, and why."""

    def __init__(
        self, file: Path, reason: str, *, entry: int | None = None, branch: str = ""
    ):
        place = [str(file)]
        place += [] if entry is None else [f"entry {entry}"]
        place += [f"branch {branch}"] if branch else []
        super().__init__(f"{', '.join(place)}: {reason}")


@dataclass(frozen=True, kw_only=True)
class InputFile:
    """A readable file of jets; `classes` are what its labels count."""

    path: Path
    entries: int
    classes: tuple[str, ...]


def survey(
    files: Sequence[str | Path], *, skip_bad: bool, skipped: Counter[str]
) -> list[InputFile]:
    """Open every file once: how many entries there are, and which labels.

    With `skip_bad`, files that cannot be opened are left out and counted in `skipped`.
    Raises BadInput for those otherwise; and always for a file that does not exist, is
    given twice, has no `tree` or lacks a branch, and where two files' labels differ.
    """
    if not files:
        raise ValueError("no input files: name at least one ROOT or Parquet file")
    paths = sorted(Path(file).resolve() for file in files)
    for path, times in Counter(paths).items():
        if times > 1:
            raise BadInput(path, f"given {times} times; name every file once")
        if not path.is_file():
            raise BadInput(path, "there is no such file")
    found = [_inspect(path, skip_bad=skip_bad, skipped=skipped) for path in paths]
    usable = [file for file in found if file is not None]
    for file in usable:
        if file.classes != usable[0].classes:
            advice = "convert JetClass and JetClass-II files into separate stores"
            reason = f"has other labels than {usable[0].path.name}; {advice}"
            raise BadInput(file.path, reason)
    return usable


def read(file: InputFile, *, skip_bad: bool, skipped: Counter[str]) -> Iterator[Ragged]:
    """Jets of one file, in steps of at most `STEP` entries.

    With `skip_bad`, bad entries and whatever follows an unreadable one are left out and
    counted by reason in `skipped`; otherwise the first of them raises BadInput.
    """
    entry = 0
    steps = _steps(file)
    while entry < file.entries:
        try:
            step = next(steps)
        except Exception as error:  # a broken file makes the readers raise anything
            if not skip_bad:
                raise _unreadable(file.path, error, entry) from error
            skipped["unreadable"] += file.entries - entry
            return
        jets, verdicts = decode(step)
        if not skip_bad:
            _refuse(file.path, entry, verdicts)
        skipped.update(verdicts.reasons())
        entry += len(step)
        yield jets


def _refuse(path: Path, entry: int, verdicts: Verdicts) -> None:
    bad = np.flatnonzero(~verdicts.sound)
    if bad.size:
        branch, reason = verdicts.flaws[verdicts.of_jet[bad[0]]]
        advice = "repair the file, or leave such jets out with --skip-bad"
        raise BadInput(
            path, f"{reason}; {advice}", entry=entry + int(bad[0]), branch=branch
        )


def _unreadable(path: Path, error: Exception, entry: int | None = None) -> BadInput:
    kind = "cannot be opened" if entry is None else "cannot be read from here on"
    advice = "fetch it again, or leave it out with --skip-bad"
    detail = " ".join(str(error).split())[:160]
    reason = f"{kind}, truncated or damaged ({type(error).__name__}: {detail})"
    return BadInput(path, f"{reason}; {advice}", entry=entry)


def _inspect(path: Path, *, skip_bad: bool, skipped: Counter[str]) -> InputFile | None:
    try:
        entries, branches = _contents(path)
    except BadInput:
        raise
    except Exception as error:  # a broken file makes the readers raise anything
        if not skip_bad:
            raise _unreadable(path, error) from error
        skipped["files that cannot be opened"] += 1
        return None
    fine = "jet_label" in branches
    labels = ("jet_label",) if fine else TEN_LABELS
    missing = [name for name in (*PARTICLE, *JET, *labels) if name not in branches]
    if missing:
        reason = f"missing; the file has {len(branches)} branches, but not those of"
        raise BadInput(path, f"{reason} JetClass", branch=", ".join(missing))
    classes = JETCLASS2 if fine else CLASSES
    return InputFile(path=path, entries=entries, classes=classes)


def _is_parquet(path: Path) -> bool:
    with path.open("rb") as file:
        magic = file.read(4)
    if magic not in (b"PAR1", b"root"):
        raise ValueError("neither a ROOT nor a Parquet file")
    return magic == b"PAR1"


def _root(path: Path) -> Any:
    return uproot.open(path)  # its annotations allow what is no context manager


def _contents(path: Path) -> tuple[int, set[str]]:
    """Number of entries and names of branches."""
    if _is_parquet(path):
        with parquet.ParquetFile(path) as file:
            return file.metadata.num_rows, set(file.schema_arrow.names)
    with _root(path) as file:
        kinds = file.classnames(recursive=False, cycle=False)
        if kinds.get(TREE) not in ("TTree", "ROOT::RNTuple"):
            others = ", ".join(f"{name} ({kind})" for name, kind in kinds.items())
            raise BadInput(path, f"no tree '{TREE}'; it holds {others or 'nothing'}")
        tree = file[TREE]
        return int(tree.num_entries), set(tree.keys())


def _steps(file: InputFile) -> Iterator[ak.Array]:
    labels = ["jet_label"] if file.classes == JETCLASS2 else TEN_LABELS
    branches = [*PARTICLE, *JET, *labels]
    if _is_parquet(file.path):
        yield from _parquet_steps(file.path, branches)
    else:
        yield from _root_steps(file, branches)


def _parquet_steps(path: Path, branches: list[str]) -> Iterator[ak.Array]:
    # Buffered, as else a whole row group is held in memory at once.
    with parquet.ParquetFile(path, pre_buffer=False, buffer_size=2**18) as source:
        for batch in source.iter_batches(STEP, columns=branches):
            yield ak.from_arrow(pa.Table.from_batches([batch]))


def _root_steps(file: InputFile, branches: list[str]) -> Iterator[ak.Array]:
    # Branch by branch and without a cache: a basket may hold a whole file's values,
    # and then one branch of it is in memory at a time.
    with _root(file.path) as source:
        tree = source[TREE]
        for start in range(0, file.entries, STEP):
            stop = min(start + STEP, file.entries)
            arrays = {
                name: tree[name].array(
                    entry_start=start, entry_stop=stop, array_cache=None
                )
                for name in branches
            }
            yield ak.zip(arrays, depth_limit=1)
