"""Write jets as ROOT files in the format of JetClass.

Files hold one class each and 100,000 jets, in a TTree `tree` with the branch names and
types of arXiv:2202.03772 and the same compression, LZ4 at level 4. Particle branches
share one counter, `npart`, and are `float[]` where JetClass has `vector<float>`: ROOT,
uproot and this package read both.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import uproot
from jaxtyping import Float, Int
from tqdm import tqdm

from jetlab.atomic import atomic_directory
from jetlab.data.jetclass.branches import FLAGS, FLOATS, JET, PARTICLE, TEN_LABELS
from jetlab.data.jetclass.labels import JETCLASS2
from jetlab.types import CLASSES, Jets

JETS_PER_FILE = 100_000
BASKET = 16_384
"""Maximum number of jets per basket."""

BUFFER = 65_536
"""Jets buffered, about 150 MB, so that baskets of many classes are not small."""

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
"""Stems of JetClass's file names by class; other classes give their own names."""

MAX_ETA = 60.0  # pz would be infinite in float32 beyond it

# JetClass files mix three types of labels.
_TYPES: Mapping[str, type[np.generic]] = {
    **dict.fromkeys(FLAGS, np.int32),
    **dict.fromkeys(TEN_LABELS[1:6], np.bool_),
    **dict.fromkeys(TEN_LABELS[6:], np.int32),
    "jet_label": np.int32,
}


def encode(jets: Jets, classes: tuple[str, ...]) -> ak.Array:
    """JetClass branches of stored jets: the inverse of `decoding.decode`.

    part_px and part_py follow from pT and phi = jet_phi + dphi, part_pz from
    eta = jet_eta + sign(jet_eta) deta. In float32 they reproduce every stored pT that
    is a normal float16 number.

    Raises:
      ValueError: unless `classes` are those of JetClass or of JetClass-II: other labels
        have no branches.
    """
    if classes not in (CLASSES, JETCLASS2):
        raise ValueError(
            f"labels {', '.join(classes[:3])}, ... cannot be written as branches: they "
            "must be the 10 of JetClass or the 188 of JetClass-II"
        )
    flat = _momenta(jets)
    flat |= dict(zip(FLOATS[3:], jets.measured[:, 1:].T, strict=True))
    flat["part_charge"] = jets.charge
    flat |= {name: jets.species == number for number, name in enumerate(FLAGS)}
    entries: dict[str, Any] = {
        name: ak.unflatten(values, jets.counts) for name, values in flat.items()
    }
    if classes == CLASSES:
        entries |= {name: jets.label == k for k, name in enumerate(TEN_LABELS)}
    else:
        entries["jet_label"] = jets.label
    entries |= zip(JET, jets.jet.T, strict=True)
    entries["jet_nparticles"] = jets.counts
    return ak.zip(entries, depth_limit=1)


def _momenta(jets: Jets) -> dict[str, Float[np.ndarray, "total"]]:
    pt, _, deta, dphi, *_ = jets.measured.T.astype(np.float64)
    _, eta, phi, _ = np.repeat(jets.jet.astype(np.float64), jets.counts, axis=0).T
    eta = np.clip(eta + np.copysign(1.0, eta) * deta, -MAX_ETA, MAX_ETA)
    return {
        "part_px": pt * np.cos(phi + dphi),
        "part_py": pt * np.sin(phi + dphi),
        "part_pz": pt * np.sinh(eta),
    }


def write_root(
    steps: Iterable[ak.Array],
    out: str | Path,
    *,
    expected: int,
    classes: tuple[str, ...],
) -> dict[str, Any]:
    """Write a folder of ROOT files; within a class jets keep their order.

    An error or a kill leaves no folder.

    Args:
      steps: arrays with a field per JetClass branch, or `jet_label` in place of the ten
        labels, and further fields of one number per jet, the same in all steps.
      out: folder to create.
      expected: number of jets, for the progress bar.
      classes: names of the labels.

    Returns:
      `jets` (their number), `classes` (number of jets by class) and `files` (names).

    Raises:
      ValueError: if `out` exists or there are no jets.
    """
    with atomic_directory(Path(out)) as folder:
        with ExitStack() as stack, _progress_bar(expected) as bar:
            files = [_ClassFiles(folder, STEMS.get(name, name)) for name in classes]
            for of_class in files:
                stack.callback(of_class.close)
            for entries in _buffered(map(_typed, steps)):
                label = _labels(entries)
                for number in np.unique(label):
                    files[number].extend(entries[label == number])
                bar.update(len(entries))
        jets = {k: f.jets for k, f in zip(classes, files, strict=True) if f.jets}
        if not jets:
            raise ValueError(f"no jets to write to {out}")
        names = sorted(path.name for path in folder.iterdir())
    return {"jets": sum(jets.values()), "classes": jets, "files": names}


class _ClassFiles:
    """The files of one class; the last one is open."""

    def __init__(self, folder: Path, stem: str):
        self.jets = 0
        self._folder, self._stem = folder, stem
        self._file: Any = None
        self._tree: Any = None

    def extend(self, entries: ak.Array) -> None:
        start = 0
        while start < len(entries):
            number, filled = divmod(self.jets, JETS_PER_FILE)
            if not filled:
                self._open(number, entries)
            stop = min(len(entries), start + BASKET, start + JETS_PER_FILE - filled)
            self._tree.extend(
                {name: entries[name][start:stop] for name in entries.fields}
            )
            self.jets += stop - start
            start = stop

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _open(self, number: int, entries: ak.Array) -> None:
        self.close()
        path = self._folder / f"{self._stem}_{number:03d}.root"
        self._file = uproot.recreate(path, compression=uproot.LZ4(4))
        kinds = {name: ak.type(entries[name]).content for name in entries.fields}
        # Assigning to file["tree"] would write an RNTuple.
        self._tree = self._file.mktree("tree", kinds)


def _typed(entries: ak.Array) -> ak.Array:
    """Branches with the types of JetClass; those of particles as one record."""

    def column(name: str, values: Any) -> np.ndarray:
        # Parquet columns may be masked although no value is missing.
        kind = _TYPES.get(name, np.float32)
        return np.asarray(ak.to_numpy(values)).astype(kind, copy=False)

    flat = {
        name.removeprefix("part_"): column(name, ak.flatten(entries[name]))
        for name in PARTICLE
    }
    particles = ak.unflatten(ak.zip(flat), ak.to_numpy(ak.num(entries[PARTICLE[0]])))
    names = [name for name in entries.fields if name not in PARTICLE]
    numbers = {name: column(name, entries[name]) for name in names}
    return ak.zip({"part": particles, **numbers}, depth_limit=1)


def _buffered(steps: Iterable[ak.Array]) -> Iterator[ak.Array]:
    """The entries in steps of at least `BUFFER`, except the last."""
    buffer: list[ak.Array] = []
    for entries in steps:
        buffer.append(entries)
        if sum(map(len, buffer)) >= BUFFER:
            yield ak.concatenate(buffer)
            buffer = []
    if buffer:
        yield ak.concatenate(buffer)


def _labels(entries: ak.Array) -> Int[np.ndarray, "b"]:
    if "jet_label" in entries.fields:
        return ak.to_numpy(entries["jet_label"])
    return np.stack([ak.to_numpy(entries[name]) for name in TEN_LABELS]).argmax(0)


def _progress_bar(jets: int) -> tqdm:
    return tqdm(desc="writing", total=jets, unit="jets", unit_scale=True, disable=None)
