"""Jets -> ROOT files like those of JetClass.

One class a file and 100,000 jets a file, in a TTree `tree` with the branch names and
types of arXiv:2202.03772's files and their compression, LZ4 at level 4. Particle
branches share one counter, `npart`, and are `float[]` where JetClass has
`vector<float>`: ROOT, uproot and this package read both alike.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import uproot
from jaxtyping import Int
from tqdm import tqdm

from jetlab.data.atomic import whole
from jetlab.data.jetclass.decoding import FLAGS, PARTICLE, TEN_LABELS

JETS = 100_000
"""Jets a file,"""

BASKET = 16_384
"""at most so many a basket,"""

HELD = 65_536
"""and about so many in memory, 150 MB: they wait there for more of their class."""

STEMS = {
    "QCD": "ZJetsToNuNu",
    "Hbb": "HToBB",
    "Hcc": "HToCC",
    "Hgg": "HToGG",
    "H4q": "HToWW4Q",
    "Hqql": "HToWW2Q1L",
    "Zqq": "ZToQQ",
    "Wqq": "WToQQ",
    "Tbqq": "TTBar",
    "Tbl": "TTBarLep",
}
"""How JetClass calls the files of a class; others are called after the class."""

# The real files hold three types of label.
_TYPES: Mapping[str, type[np.generic]] = {
    **dict.fromkeys(FLAGS, np.int32),
    **dict.fromkeys(TEN_LABELS[1:6], np.bool_),
    **dict.fromkeys(TEN_LABELS[6:], np.int32),
    "jet_label": np.int32,
}


def write_root(
    steps: Iterable[ak.Array],
    out: str | Path,
    *,
    expected: int,
    classes: tuple[str, ...],
) -> dict[str, Any]:
    """Write a folder of ROOT files with the jets of `steps`, each class in their order.

    A step has a field for every branch of JetClass, or `jet_label` in place of the ten
    labels, and may have more of one number a jet, all steps the same. `expected`, the
    number of jets, is for the progress bar. Returns `jets`, the `classes` with jets of
    each, and the names of the `files`. Raises ValueError if `out` exists or no jets
    came. An error or a kill leaves no folder.
    """
    with whole(Path(out)) as folder:
        with ExitStack() as stack, _bar(expected) as bar:
            files = [_Files(folder, STEMS.get(name, name)) for name in classes]
            for of_class in files:
                stack.callback(of_class.close)
            for step in _joined(map(_typed, steps)):
                label = _labels(step)
                for number in np.unique(label):
                    files[number].extend(step[label == number])
                bar.update(len(step))
        jets = {k: f.jets for k, f in zip(classes, files, strict=True) if f.jets}
        if not jets:
            raise ValueError(f"no jets to write to {out}")
        names = sorted(path.name for path in folder.iterdir())
    return {"jets": sum(jets.values()), "classes": jets, "files": names}


class _Files:
    """The files of one class, of which the last is open."""

    def __init__(self, folder: Path, stem: str):
        self.jets = 0
        self._folder, self._stem = folder, stem
        self._file: Any = None
        self._tree: Any = None

    def extend(self, step: ak.Array) -> None:
        start = 0
        while start < len(step):
            number, filled = divmod(self.jets, JETS)
            if not filled:
                self._begin(number, step)
            stop = min(len(step), start + BASKET, start + JETS - filled)
            self._tree.extend({name: step[name][start:stop] for name in step.fields})
            self.jets += stop - start
            start = stop

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _begin(self, number: int, step: ak.Array) -> None:
        self.close()
        path = self._folder / f"{self._stem}_{number:03d}.root"
        self._file = uproot.recreate(path, compression=uproot.LZ4(4))
        kinds = {name: ak.type(step[name]).content for name in step.fields}
        # Assigning to file["tree"] would write an RNTuple.
        self._tree = self._file.mktree("tree", kinds)


def _typed(step: ak.Array) -> ak.Array:
    """Branches with the types of the real files; those of particles as one record."""

    def column(name: str, values: Any) -> np.ndarray:
        # Parquet's columns may be masked though nothing is missing.
        kind = _TYPES.get(name, np.float32)
        return np.asarray(ak.to_numpy(values)).astype(kind, copy=False)

    flat = {
        name.removeprefix("part_"): column(name, ak.flatten(step[name]))
        for name in PARTICLE
    }
    particles = ak.unflatten(ak.zip(flat), ak.to_numpy(ak.num(step[PARTICLE[0]])))
    names = [name for name in step.fields if name not in PARTICLE]
    numbers = {name: column(name, step[name]) for name in names}
    return ak.zip({"part": particles, **numbers}, depth_limit=1)


def _joined(steps: Iterable[ak.Array]) -> Iterator[ak.Array]:
    """The same jets in longer steps, so that baskets of many classes are not small."""
    waiting: list[ak.Array] = []
    for step in steps:
        waiting.append(step)
        if sum(map(len, waiting)) >= HELD:
            yield ak.concatenate(waiting)
            waiting = []
    if waiting:
        yield ak.concatenate(waiting)


def _labels(step: ak.Array) -> Int[np.ndarray, "b"]:
    if "jet_label" in step.fields:
        return ak.to_numpy(step["jet_label"])
    return np.stack([ak.to_numpy(step[name]) for name in TEN_LABELS]).argmax(0)


def _bar(jets: int) -> tqdm:
    return tqdm(desc="writing", total=jets, unit="jets", unit_scale=True, disable=None)
