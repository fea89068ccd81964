"""Jets at the full precision of their files: ROOT files with JetClass's branches, and
the 500 jets of JetClass whose kinematics are public as small NumPy files."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import awkward as ak
import numpy as np
import uproot
from jaxtyping import Float, Int, Shaped

from jetlab.data import ragged
from jetlab.data.jetclass import reader
from jetlab.data.jetclass.decoding import FLAGS, TEN_LABELS
from jetlab.types import CLASSES, MAX_PARTICLES

MOST = 50_000
"""Jets read of all files together; of each file as many."""

MOMENTUM = ("part_px", "part_py", "part_pz", "part_energy")
PLACE = ("part_deta", "part_dphi")
TRACK = ("part_d0val", "part_d0err", "part_dzval", "part_dzerr")
OF_JET = ("jet_pt", "jet_sdmass")


class Sample(NamedTuple):
    """The leading 128 particles of jets, one jet after another's, by falling pT.

    `of_jet` and `of_particle` are what the files say beyond kinematics, by branch, with
    `jet_nparticles` (counted before the cut to 128) and `species`; empty where the
    files hold kinematics only.
    """

    label: Int[np.ndarray, "b"]
    counts: Int[np.ndarray, "b"]
    momentum: Float[np.ndarray, "n 4"]  # px, py, pz, E in GeV
    place: Float[np.ndarray, "n 2"]  # deta, dphi
    of_jet: dict[str, Shaped[np.ndarray, "b"]]
    of_particle: dict[str, Shaped[np.ndarray, "n"]]

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
        jets.place[rows],
        {name: values[indices] for name, values in jets.of_jet.items()},
        {name: values[rows] for name, values in jets.of_particle.items()},
    )


def composed(jets: Sample, each: Sequence[int] | Int[np.ndarray, "k"]) -> Sample:
    """The first `each[k]` jets of every class k."""
    first = [np.flatnonzero(jets.label == k)[:n] for k, n in enumerate(each)]
    return take(jets, np.sort(np.concatenate(first)))


def per_class(jets: Sample) -> Int[np.ndarray, "k"]:
    return np.bincount(jets.label, minlength=len(CLASSES))


def real(folder: Path) -> Sample:
    """Jets of JetClass itself from SMALL*.npy. Raises ValueError where they are not."""
    names = [folder / f"SMALL{n}.npy" for n in ("pfVectors", "pfPoints", "pfMask")]
    missing = [str(path) for path in names if not path.is_file()]
    if missing:
        raise ValueError(f"no real jets: {', '.join(missing)} not found")
    vectors, points, mask = map(np.load, names)
    there = mask[:, 0] > 0
    return Sample(
        label=np.load(folder / "SMALLlabels.npy").argmax(axis=1),
        counts=there.sum(axis=1),
        momentum=vectors.transpose(0, 2, 1)[there].astype(np.float64),
        place=points.transpose(0, 2, 1)[there].astype(np.float64),
        of_jet={},
        of_particle={},
    )


def simulated(places: Sequence[Path], most: int = MOST) -> Sample:
    """Jets of ROOT files, or of all those in folders.

    Raises ValueError for files that are missing, damaged or of other classes.
    """
    paths = [path for place in places for path in _files(place)]
    if not paths:
        raise ValueError(f"no *.root files in {', '.join(map(str, places))}")
    files = reader.survey(paths, skip_bad=False, skipped=Counter())
    if files[0].classes != CLASSES:
        raise ValueError(f"{files[0].path} has other labels than JetClass's ten")
    share = -(-most // len(files))
    return _joined([_read(file, min(file.entries, share)) for file in files])


def _files(place: Path) -> list[Path]:
    return sorted(place.rglob("*.root")) if place.is_dir() else [place]


def _read(file: reader.InputFile, stop: int) -> Sample:
    opened: Any = uproot.open(file.path)  # its annotations allow what is no file
    with opened as source:
        tree = source["tree"]
        names = [*MOMENTUM, *PLACE, *TRACK, *FLAGS, *TEN_LABELS]
        names += [name for name in OF_JET if name in tree]
        read = {name: tree[name].array(entry_stop=stop) for name in names}
    counts = ak.to_numpy(ak.num(read["part_px"]))
    if not counts.all():
        raise ValueError(f"{file.path} has a jet without particles")

    def flat(branches: Sequence[str]) -> Float[np.ndarray, "n m"]:
        columns = [ak.to_numpy(ak.flatten(read[name])) for name in branches]
        return np.stack(columns, axis=1, dtype=np.float64)

    def jet(name: str) -> Float[np.ndarray, "b"]:
        return ak.to_numpy(read[name]).astype(np.float64)

    tracks = dict(zip(TRACK, flat(TRACK).T, strict=True))
    jets = Sample(
        label=np.stack([jet(name) for name in TEN_LABELS]).argmax(axis=0),
        counts=counts,
        momentum=flat(MOMENTUM),
        place=flat(PLACE),
        of_jet={n: jet(n) for n in OF_JET if n in read} | {"jet_nparticles": counts},
        of_particle=tracks | {"species": flat(FLAGS).argmax(axis=1)},
    )
    return _led(jets)


def _led(jets: Sample) -> Sample:
    """By falling pT, and no more than 128 particles a jet."""
    pt = np.hypot(jets.momentum[:, 0], jets.momentum[:, 1])
    falling = np.lexsort((-pt, jets.owner))
    counts = np.minimum(jets.counts, MAX_PARTICLES)
    rows = falling[ragged.rows(jets.starts, counts)]
    particles = {name: values[rows] for name, values in jets.of_particle.items()}
    return jets._replace(
        counts=counts,
        momentum=jets.momentum[rows],
        place=jets.place[rows],
        of_particle=particles,
    )


def _joined(parts: Sequence[Sample]) -> Sample:
    """One after the other, with the jet branches that all have."""
    shared = set.intersection(*(set(part.of_jet) for part in parts))

    def joined(columns: Iterable[np.ndarray]) -> np.ndarray:
        return np.concatenate([*columns])

    return Sample(
        label=joined(part.label for part in parts),
        counts=joined(part.counts for part in parts),
        momentum=joined(part.momentum for part in parts),
        place=joined(part.place for part in parts),
        of_jet={n: joined(part.of_jet[n] for part in parts) for n in sorted(shared)},
        of_particle={
            name: joined(part.of_particle[name] for part in parts)
            for name in parts[0].of_particle
        },
    )
