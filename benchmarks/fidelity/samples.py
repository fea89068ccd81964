"""Samples of jets at the full precision of their files: ROOT files with JetClass's
branches, and the 500 jets of JetClass whose kinematics are public as NumPy files."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import awkward as ak
import numpy as np
import uproot
from jaxtyping import Float, Int, Shaped

from jetlab.data import ragged
from jetlab.data.jetclass import reader
from jetlab.data.jetclass.branches import FLAGS, TEN_LABELS
from jetlab.types import CLASSES, MAX_PARTICLES

MAX_JETS = 50_000
"""Jets read from all files together, equally many from each."""

MOMENTUM = ("part_px", "part_py", "part_pz", "part_energy")
ANGLES = ("part_deta", "part_dphi")
IMPACT = ("part_d0val", "part_d0err", "part_dzval", "part_dzerr")
OPTIONAL = ("jet_pt", "jet_sdmass")


class Sample(NamedTuple):
    """The leading 128 particles of jets, jet after jet, by falling pT.

    `jet_columns` and `particle_columns` hold further branches by name, with
    `jet_nparticles` (before the cut at 128) and `species`; they are empty where the
    files have kinematics only.
    """

    label: Int[np.ndarray, "b"]
    counts: Int[np.ndarray, "b"]
    momentum: Float[np.ndarray, "n 4"]  # px, py, pz, E in GeV
    angles: Float[np.ndarray, "n 2"]  # deta, dphi
    jet_columns: dict[str, Shaped[np.ndarray, "b"]]
    particle_columns: dict[str, Shaped[np.ndarray, "n"]]

    @property
    def starts(self) -> Int[np.ndarray, "b"]:
        """Row of each jet's first particle."""
        return np.cumsum(self.counts) - self.counts

    @property
    def owner(self) -> Int[np.ndarray, "n"]:
        """Number of each particle's jet."""
        return np.repeat(np.arange(len(self.counts)), self.counts)


def take(jets: Sample, indices: Int[np.ndarray, "i"]) -> Sample:
    """The jets numbered `indices`, in that order."""
    counts = jets.counts[indices]
    rows = ragged.rows(jets.starts[indices], counts)
    return Sample(
        jets.label[indices],
        counts,
        jets.momentum[rows],
        jets.angles[rows],
        {name: values[indices] for name, values in jets.jet_columns.items()},
        {name: values[rows] for name, values in jets.particle_columns.items()},
    )


def first_per_class(jets: Sample, counts: Sequence[int] | np.ndarray) -> Sample:
    """The first `counts[k]` jets of every class k."""
    first = [np.flatnonzero(jets.label == k)[:n] for k, n in enumerate(counts)]
    return take(jets, np.sort(np.concatenate(first)))


def counts_per_class(jets: Sample) -> Int[np.ndarray, "k"]:
    return np.bincount(jets.label, minlength=len(CLASSES))


def read_reference(folder: Path) -> Sample:
    """JetClass jets from SMALL*.npy.

    Raises:
      ValueError: if a file is missing.
    """
    paths = [folder / f"SMALL{n}.npy" for n in ("pfVectors", "pfPoints", "pfMask")]
    missing = [str(path) for path in paths if not path.is_file()]
    if missing:
        raise ValueError(f"no reference jets: {', '.join(missing)} not found")
    vectors, points, mask = map(np.load, paths)
    is_particle = mask[:, 0] > 0
    return Sample(
        label=np.load(folder / "SMALLlabels.npy").argmax(axis=1),
        counts=is_particle.sum(axis=1),
        momentum=vectors.transpose(0, 2, 1)[is_particle].astype(np.float64),
        angles=points.transpose(0, 2, 1)[is_particle].astype(np.float64),
        jet_columns={},
        particle_columns={},
    )


def read_simulated(paths: Sequence[Path], max_jets: int = MAX_JETS) -> Sample:
    """Jets from ROOT files, or from all ROOT files in folders.

    Raises:
      ValueError: if files are missing, damaged or of other classes.
    """
    files = [file for path in paths for file in _root_files(path)]
    if not files:
        raise ValueError(f"no *.root files in {', '.join(map(str, paths))}")
    inputs = reader.survey(files, skip_bad=False, skipped=Counter())
    if inputs[0].classes != CLASSES:
        raise ValueError(f"{inputs[0].path} has other labels than JetClass's ten")
    each = -(-max_jets // len(inputs))
    return _concatenate([_read(file, min(file.entries, each)) for file in inputs])


def _root_files(path: Path) -> list[Path]:
    return sorted(path.rglob("*.root")) if path.is_dir() else [path]


def _read(file: reader.InputFile, stop: int) -> Sample:
    opened: Any = uproot.open(file.path)  # annotated as more than a file
    with opened as source:
        tree = source["tree"]
        names = [*MOMENTUM, *ANGLES, *IMPACT, *FLAGS, *TEN_LABELS]
        names += [name for name in OPTIONAL if name in tree]
        branches = {name: tree[name].array(entry_stop=stop) for name in names}
    counts = ak.to_numpy(ak.num(branches["part_px"]))
    if not counts.all():
        raise ValueError(f"{file.path} has a jet without particles")

    def particles(names: Sequence[str]) -> Float[np.ndarray, "n m"]:
        columns = [ak.to_numpy(ak.flatten(branches[name])) for name in names]
        return np.stack(columns, axis=1, dtype=np.float64)

    def jets(name: str) -> Float[np.ndarray, "b"]:
        return ak.to_numpy(branches[name]).astype(np.float64)

    impact = dict(zip(IMPACT, particles(IMPACT).T, strict=True))
    optional = {name: jets(name) for name in OPTIONAL if name in branches}
    sample = Sample(
        label=np.stack([jets(name) for name in TEN_LABELS]).argmax(axis=0),
        counts=counts,
        momentum=particles(MOMENTUM),
        angles=particles(ANGLES),
        jet_columns=optional | {"jet_nparticles": counts},
        particle_columns=impact | {"species": particles(FLAGS).argmax(axis=1)},
    )
    return _leading(sample)


def _leading(jets: Sample) -> Sample:
    """Particles by falling pT, at most 128 per jet."""
    pt = np.hypot(jets.momentum[:, 0], jets.momentum[:, 1])
    order = np.lexsort((-pt, jets.owner))
    counts = np.minimum(jets.counts, MAX_PARTICLES)
    rows = order[ragged.rows(jets.starts, counts)]
    columns = {name: values[rows] for name, values in jets.particle_columns.items()}
    return jets._replace(
        counts=counts,
        momentum=jets.momentum[rows],
        angles=jets.angles[rows],
        particle_columns=columns,
    )


def _concatenate(parts: Sequence[Sample]) -> Sample:
    """One after the other, with the jet columns that all parts have."""
    shared = set.intersection(*(set(part.jet_columns) for part in parts))
    *arrays, jet_columns, particle_columns = zip(*parts, strict=True)
    return Sample(
        *map(np.concatenate, arrays),
        jet_columns=_join(jet_columns, sorted(shared)),
        particle_columns=_join(particle_columns, [*particle_columns[0]]),
    )


def _join(
    parts: Sequence[dict[str, np.ndarray]], names: Sequence[str]
) -> dict[str, np.ndarray]:
    return {name: np.concatenate([part[name] for part in parts]) for name in names}
