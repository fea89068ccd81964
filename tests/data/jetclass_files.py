"""Small JetClass files for tests of the data room."""

from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import uproot

from jetlab.data.jetclass.branches import FLAGS, FLOATS, TEN_LABELS
from jetlab.types import CLASSES

SHARED = Path(__file__).parents[2] / "../shared/data/jets"


def branches(jets: int = 40, *, label: str | None = None, seed: int = 0) -> dict:
    """Branches of random valid jets, of all classes cyclically or of one."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 60, jets)
    total = int(counts.sum())
    owner = np.repeat(np.arange(jets), counts)
    pt = rng.exponential(10, total) + 0.5
    pt = pt[np.lexsort((-pt, owner))]
    phi = rng.uniform(-3, 3, total)
    species = rng.integers(0, 5, total)
    flat = {name: rng.normal(0, 0.2, total) for name in FLOATS}
    flat["part_px"], flat["part_py"] = pt * np.cos(phi), pt * np.sin(phi)
    flat["part_energy"] = pt * np.cosh(flat["part_pz"])
    flat = {name: values.astype(np.float32) for name, values in flat.items()}
    flat["part_charge"] = rng.integers(-1, 2, total).astype(np.float32)
    flat |= {name: (species == n).astype(np.int32) for n, name in enumerate(FLAGS)}
    data: dict = {name: ak.unflatten(values, counts) for name, values in flat.items()}
    which = np.arange(jets) % 10 if label is None else CLASSES.index(label)
    kinds = [np.float32, *[np.bool_] * 5, *[np.int32] * 4]  # as in the real files
    for number, (name, kind) in enumerate(zip(TEN_LABELS, kinds, strict=True)):
        data[name] = np.full(jets, which == number).astype(kind)
    data["jet_pt"] = rng.uniform(500, 1000, jets).astype(np.float32)
    data["jet_eta"] = rng.uniform(-2, 2, jets).astype(np.float32)
    data["jet_phi"] = rng.uniform(-3, 3, jets).astype(np.float32)
    data["jet_energy"] = data["jet_pt"] * np.cosh(data["jet_eta"])
    return data


def spoil(data: dict, name: str, entry: int, value: float) -> dict:
    """Branches with the first value of one entry replaced."""
    values = data[name]
    if isinstance(values, np.ndarray):
        values = values.copy()
        values[entry] = value
    else:
        lists = values.to_list()
        lists[entry][0] = value
        values = ak.values_astype(
            ak.Array(lists), ak.to_numpy(ak.flatten(values)).dtype
        )
    return data | {name: values}


def write_tree(path: Path, data: dict, *, name: str = "tree", baskets: int = 1) -> Path:
    """Write a TTree: particle branches become `float[]` with a counter each."""
    step = len(data["jet_pt"]) // baskets
    with uproot.recreate(path) as file:
        kinds = {
            branch: values.dtype
            if isinstance(values, np.ndarray)
            else values.type.content
            for branch, values in data.items()
        }
        tree: Any = file.mktree(name, kinds)
        for number in range(baskets):
            piece = np.s_[number * step : (number + 1) * step]
            tree.extend({branch: v[piece] for branch, v in data.items()})
    return path


def write_ntuple(path: Path, data: dict) -> Path:
    """Write an RNTuple."""
    with uproot.recreate(path) as file:
        file["tree"] = data
    return path
