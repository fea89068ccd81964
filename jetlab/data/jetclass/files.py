"""ROOT and Parquet files of jets, read branch by branch in steps."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import awkward as ak
import pyarrow as pa
import pyarrow.parquet as parquet
import uproot

TREE = "tree"


class BadInput(ValueError):
    """An input file cannot be used; `at` says which file, entry and branch, and why."""

    @classmethod
    def at(
        cls, file: Path, reason: str, *, entry: int | None = None, branch: str = ""
    ) -> "BadInput":
        place = [str(file)]
        place += [] if entry is None else [f"entry {entry}"]
        place += [f"branch {branch}"] if branch else []
        return cls(f"{', '.join(place)}: {reason}")


def contents(path: Path) -> tuple[int, dict[str, str]]:
    """Number of entries, and branches with their types.

    Raises BadInput where there is no `tree`, and anything for a broken file.
    """
    if _is_parquet(path):
        with parquet.ParquetFile(path) as file:
            kinds = {field.name: str(field.type) for field in file.schema_arrow}
            return file.metadata.num_rows, kinds
    with _root(path) as file:
        kinds = file.classnames(recursive=False, cycle=False)
        if kinds.get(TREE) not in ("TTree", "ROOT::RNTuple"):
            others = ", ".join(f"{name} ({kind})" for name, kind in kinds.items())
            raise BadInput.at(path, f"no tree '{TREE}'; it holds {others or 'nothing'}")
        tree = file[TREE]
        names = tree.keys()
        return int(tree.num_entries), {name: tree[name].typename for name in names}


def steps(
    path: Path, branches: list[str], *, entries: int, step: int
) -> Iterator[ak.Array]:
    """The `entries` of a file, at most `step` at a time."""
    if _is_parquet(path):
        yield from _parquet_steps(path, branches, step)
    else:
        yield from _root_steps(path, branches, entries, step)


def _is_parquet(path: Path) -> bool:
    with path.open("rb") as file:
        magic = file.read(4)
    if magic not in (b"PAR1", b"root"):
        raise ValueError("neither a ROOT nor a Parquet file")
    return magic == b"PAR1"


def _root(path: Path) -> Any:
    return uproot.open(path)  # its annotations allow what is no context manager


def _parquet_steps(path: Path, branches: list[str], step: int) -> Iterator[ak.Array]:
    # Buffered, as else a whole row group is held in memory at once.
    with parquet.ParquetFile(path, pre_buffer=False, buffer_size=2**18) as source:
        for batch in source.iter_batches(step, columns=branches):
            yield ak.from_arrow(pa.Table.from_batches([batch]))


def _root_steps(
    path: Path, branches: list[str], entries: int, step: int
) -> Iterator[ak.Array]:
    # Branch by branch and without a cache: a basket may hold a whole file's values,
    # and then one branch of it is in memory at a time.
    with _root(path) as source:
        tree = source[TREE]
        for start in range(0, entries, step):
            stop = min(start + step, entries)
            arrays = {
                name: tree[name].array(
                    entry_start=start, entry_stop=stop, array_cache=None
                )
                for name in branches
            }
            yield ak.zip(arrays, depth_limit=1)
