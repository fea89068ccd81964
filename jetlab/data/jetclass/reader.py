"""Read JetClass ROOT and JetClass-II Parquet files, a number of entries at a time.

Formats: arXiv:2202.03772 (TTree or RNTuple `tree`, ten label_* branches) and
arXiv:2405.12972 (`jet_label`).
"""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import uproot

from jetlab.data.jetclass.branches import JET, PARTICLE, TEN_LABELS
from jetlab.data.jetclass.decoding import RowErrors, decode
from jetlab.data.jetclass.labels import JETCLASS2
from jetlab.types import CLASSES, Jets

STEP = 16_384
"""Entries read at a time, about 60 MB of JetClass branches."""

TREE = "tree"
_EXTRA_NAME = re.compile("(jet|aux)_")
_SCALAR_TYPE = re.compile(r"float|double|halffloat|bool|(std::)?u?int\d+(_t)?")


class BadInput(ValueError):
    """An input file cannot be used."""

    @classmethod
    def at(
        cls, file: Path, reason: str, *, entry: int | None = None, branch: str = ""
    ) -> "BadInput":
        """An error whose message begins with file, entry and branch."""
        place = [str(file)]
        place += [] if entry is None else [f"entry {entry}"]
        place += [f"branch {branch}"] if branch else []
        return cls(f"{', '.join(place)}: {reason}")


@dataclass(frozen=True, kw_only=True)
class InputFile:
    """A readable file of jets."""

    path: Path
    entries: int
    classes: tuple[str, ...]  # names of its labels
    others: tuple[str, ...]  # jet_ and aux_ branches of one number per jet, not stored


def survey(
    files: Sequence[str | Path], *, skip_bad: bool, skipped: Counter[str]
) -> list[InputFile]:
    """Open every file and list entries and labels, sorted by path.

    Args:
      files: ROOT or Parquet files.
      skip_bad: skip files that cannot be opened, and count them in `skipped`.
      skipped: number of skipped files by reason, updated.

    Raises:
      BadInput: for a file that cannot be opened, unless `skip_bad`. Always for a file
        that does not exist, is given twice, has no `tree` or lacks a branch, and for
        files with different kinds of labels.
      ValueError: without files.
    """
    if not files:
        raise ValueError("no input files: name at least one ROOT or Parquet file")
    paths = sorted(Path(file).resolve() for file in files)
    for path, times in Counter(paths).items():
        if times > 1:
            raise BadInput.at(path, f"given {times} times: name each file once")
        if path.is_dir():
            raise BadInput.at(path, "a folder: name the files in it")
        if not path.is_file():
            raise BadInput.at(path, "there is no such file")
    found = [_inspect(path, skip_bad=skip_bad, skipped=skipped) for path in paths]
    usable = [file for file in found if file is not None]
    for file in usable:
        if file.classes != usable[0].classes:
            advice = "convert JetClass and JetClass-II files into separate stores"
            reason = f"has other labels than {usable[0].path.name}: {advice}"
            raise BadInput.at(file.path, reason)
    return usable


def read(file: InputFile, *, skip_bad: bool, skipped: Counter[str]) -> Iterator[Jets]:
    """Jets of one file, at most `STEP` entries at a time.

    Args:
      file: one of those that `survey` returns.
      skip_bad: skip invalid entries, and all entries from the first unreadable one on.
      skipped: number of skipped entries by reason, updated.

    Raises:
      BadInput: for the first invalid or unreadable entry, unless `skip_bad`.
    """
    for _, jets, _ in _decoded(file, (), skip_bad=skip_bad, skipped=skipped):
        yield jets


def read_branches(
    file: InputFile,
    others: Collection[str],
    *,
    skip_bad: bool,
    skipped: Counter[str],
) -> Iterator[ak.Array]:
    """Branches of the valid entries of one file, with all particles and `others` of its
    own branches. Arguments and errors as of `read`."""
    for entries, _, errors in _decoded(
        file, others, skip_bad=skip_bad, skipped=skipped
    ):
        yield ak.Array(entries[errors.valid])


def _decoded(
    file: InputFile, others: Collection[str], *, skip_bad: bool, skipped: Counter[str]
) -> Iterator[tuple[ak.Array, Jets, RowErrors]]:
    labels = ("jet_label",) if file.classes == JETCLASS2 else TEN_LABELS
    steps = _steps(file, [*PARTICLE, *JET, *labels, *others])
    first = 0
    while first < file.entries:
        try:
            entries = next(steps)
        except Exception as error:  # for a broken file the libraries raise any type
            if not skip_bad:
                raise _unreadable(file.path, error, first) from error
            skipped["unreadable"] += file.entries - first
            return
        jets, errors = decode(entries)
        if not skip_bad:
            _raise_first(file.path, first, errors)
        skipped.update(errors.counts())
        first += len(entries)
        yield entries, jets, errors


def _raise_first(path: Path, first: int, errors: RowErrors) -> None:
    invalid = np.flatnonzero(~errors.valid)
    if invalid.size:
        branch, reason = errors.errors[errors.error_of_entry[invalid[0]]]
        advice = "repair the file, or skip such jets with --skip-bad"
        entry = first + int(invalid[0])
        raise BadInput.at(path, f"{reason}: {advice}", entry=entry, branch=branch)


def _unreadable(path: Path, error: Exception, entry: int | None = None) -> BadInput:
    kind = "cannot be opened" if entry is None else "cannot be read from here on"
    advice = "fetch it again, or skip it with --skip-bad"
    detail = " ".join(str(error).split())[:160]
    reason = f"{kind}, truncated or damaged ({type(error).__name__}: {detail})"
    return BadInput.at(path, f"{reason}: {advice}", entry=entry)


def _inspect(path: Path, *, skip_bad: bool, skipped: Counter[str]) -> InputFile | None:
    try:
        entries, branches = _contents(path)
    except BadInput:
        raise
    except Exception as error:  # for a broken file the libraries raise any type
        if not skip_bad:
            raise _unreadable(path, error) from error
        skipped["files that cannot be opened"] += 1
        return None
    jetclass2 = "jet_label" in branches
    labels = ("jet_label",) if jetclass2 else TEN_LABELS
    missing = [name for name in (*PARTICLE, *JET, *labels) if name not in branches]
    if missing:
        reason = f"missing among the {len(branches)} branches of the file"
        advice = "it is not a JetClass file"
        raise BadInput.at(path, f"{reason}: {advice}", branch=", ".join(missing))
    others = [
        name
        for name, kind in branches.items()
        if _EXTRA_NAME.match(name) and _SCALAR_TYPE.fullmatch(kind)
    ]
    return InputFile(
        path=path,
        entries=entries,
        classes=JETCLASS2 if jetclass2 else CLASSES,
        others=tuple(name for name in others if name not in (*JET, *labels)),
    )


def _contents(path: Path) -> tuple[int, dict[str, str]]:
    """Number of entries, and types of the branches as ROOT or Arrow names them."""
    if _is_parquet(path):
        with parquet.ParquetFile(path) as file:
            kinds = {column.name: str(column.type) for column in file.schema_arrow}
            return file.metadata.num_rows, kinds
    with _open_root(path) as file:
        kinds = file.classnames(recursive=False, cycle=False)
        if kinds.get(TREE) not in ("TTree", "ROOT::RNTuple"):
            others = ", ".join(f"{name} ({kind})" for name, kind in kinds.items())
            raise BadInput.at(path, f"no tree '{TREE}'; it holds {others or 'nothing'}")
        tree = file[TREE]
        names = tree.keys()
        return int(tree.num_entries), {name: tree[name].typename for name in names}


def _is_parquet(path: Path) -> bool:
    with path.open("rb") as file:
        magic = file.read(4)
    if magic not in (b"PAR1", b"root"):
        raise ValueError("neither a ROOT nor a Parquet file")
    return magic == b"PAR1"


def _open_root(path: Path) -> Any:
    return uproot.open(path)  # its return type is not always a context manager


def _steps(file: InputFile, branches: list[str]) -> Iterator[ak.Array]:
    """All entries of a file, at most `STEP` at a time."""
    if _is_parquet(file.path):
        yield from _parquet_steps(file.path, branches)
    else:
        yield from _root_steps(file, branches)


def _parquet_steps(path: Path, branches: list[str]) -> Iterator[ak.Array]:
    # Without pre-buffering a row group is never in memory as a whole.
    with parquet.ParquetFile(path, pre_buffer=False, buffer_size=2**18) as source:
        for batch in source.iter_batches(STEP, columns=branches):
            yield ak.from_arrow(pa.Table.from_batches([batch]))


def _root_steps(file: InputFile, branches: list[str]) -> Iterator[ak.Array]:
    # Branch by branch and uncached: a basket may hold all values of a file, so that one
    # branch at a time is in memory.
    with _open_root(file.path) as source:
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
