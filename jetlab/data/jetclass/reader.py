"""JetClass ROOT and JetClass-II Parquet files -> jets, streamed in steps.

Formats: arXiv:2202.03772 (TTree or RNTuple `tree`, ten label_* branches) and
arXiv:2405.12972 (`jet_label`).
"""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import awkward as ak
import numpy as np

from jetlab.data.jetclass.decoding import JET, PARTICLE, TEN_LABELS, Verdicts, decode
from jetlab.data.jetclass.files import BadInput, contents, steps
from jetlab.data.jetclass.labels import JETCLASS2
from jetlab.types import CLASSES, Jets

STEP = 16_384
"""Entries read at a time, about 60 MB of JetClass branches."""

OTHER = re.compile("(jet|aux)_")
NUMBER = re.compile(r"float|double|halffloat|bool|(std::)?u?int\d+(_t)?")
"""Types of one number a jet, as ROOT and Arrow call them."""


@dataclass(frozen=True, kw_only=True)
class InputFile:
    """A readable file of jets; `classes` are what its labels count, `others` the
    branches of one number a jet that no store keeps."""

    path: Path
    entries: int
    classes: tuple[str, ...]
    others: tuple[str, ...]


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
            raise BadInput.at(path, f"given {times} times; name every file once")
        if path.is_dir():
            raise BadInput.at(path, "a folder: name the files in it")
        if not path.is_file():
            raise BadInput.at(path, "there is no such file")
    found = [_inspect(path, skip_bad=skip_bad, skipped=skipped) for path in paths]
    usable = [file for file in found if file is not None]
    for file in usable:
        if file.classes != usable[0].classes:
            advice = "convert JetClass and JetClass-II files into separate stores"
            reason = f"has other labels than {usable[0].path.name}; {advice}"
            raise BadInput.at(file.path, reason)
    return usable


def read(file: InputFile, *, skip_bad: bool, skipped: Counter[str]) -> Iterator[Jets]:
    """Jets of one file, in steps of at most `STEP` entries.

    With `skip_bad`, bad entries and whatever follows an unreadable one are left out and
    counted by reason in `skipped`; otherwise the first of them raises BadInput.
    """
    for _, jets, _ in _judged(file, (), skip_bad=skip_bad, skipped=skipped):
        yield jets


def read_branches(
    file: InputFile,
    others: Collection[str],
    *,
    skip_bad: bool,
    skipped: Counter[str],
) -> Iterator[ak.Array]:
    """The same as branches, as they are in the file, with all particles and `others`
    among the file's own."""
    for step, _, verdicts in _judged(file, others, skip_bad=skip_bad, skipped=skipped):
        yield ak.Array(step[verdicts.sound])


def _judged(
    file: InputFile, others: Collection[str], *, skip_bad: bool, skipped: Counter[str]
) -> Iterator[tuple[ak.Array, Jets, Verdicts]]:
    labels = ("jet_label",) if file.classes == JETCLASS2 else TEN_LABELS
    branches = [*PARTICLE, *JET, *labels, *others]
    source = steps(file.path, branches, entries=file.entries, step=STEP)
    entry = 0
    while entry < file.entries:
        try:
            step = next(source)
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
        yield step, jets, verdicts


def _refuse(path: Path, entry: int, verdicts: Verdicts) -> None:
    bad = np.flatnonzero(~verdicts.sound)
    if bad.size:
        branch, reason = verdicts.flaws[verdicts.of_jet[bad[0]]]
        advice = "repair the file, or leave such jets out with --skip-bad"
        raise BadInput.at(
            path, f"{reason}; {advice}", entry=entry + int(bad[0]), branch=branch
        )


def _unreadable(path: Path, error: Exception, entry: int | None = None) -> BadInput:
    kind = "cannot be opened" if entry is None else "cannot be read from here on"
    advice = "fetch it again, or leave it out with --skip-bad"
    detail = " ".join(str(error).split())[:160]
    reason = f"{kind}, truncated or damaged ({type(error).__name__}: {detail})"
    return BadInput.at(path, f"{reason}; {advice}", entry=entry)


def _inspect(path: Path, *, skip_bad: bool, skipped: Counter[str]) -> InputFile | None:
    try:
        entries, branches = contents(path)
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
        raise BadInput.at(path, f"{reason} JetClass", branch=", ".join(missing))
    others = [
        name
        for name, kind in branches.items()
        if OTHER.match(name) and NUMBER.fullmatch(kind)
    ]
    return InputFile(
        path=path,
        entries=entries,
        classes=JETCLASS2 if fine else CLASSES,
        others=tuple(name for name in others if name not in (*JET, *labels)),
    )
