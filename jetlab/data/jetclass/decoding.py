"""Branches of JetClass as read from a file -> jets as stored, each one judged."""

from collections import Counter
from typing import NamedTuple

import awkward as ak
import numpy as np
from jaxtyping import Bool, Float, Int

from jetlab.data import ragged
from jetlab.data.jetclass.labels import JETCLASS2
from jetlab.types import CLASSES, MAX_PARTICLES, Jets

FLOATS = (
    "part_px",
    "part_py",
    "part_pz",
    "part_energy",
    "part_deta",
    "part_dphi",
    "part_d0val",
    "part_d0err",
    "part_dzval",
    "part_dzerr",
)
FLAGS = (
    "part_isChargedHadron",
    "part_isNeutralHadron",
    "part_isPhoton",
    "part_isElectron",
    "part_isMuon",
)
PARTICLE = (*FLOATS, "part_charge", *FLAGS)
JET = ("jet_pt", "jet_eta", "jet_phi", "jet_energy")
TEN_LABELS = tuple(f"label_{name}" for name in CLASSES)


class Flaw(NamedTuple):
    """Why a jet cannot be used, and the branch that shows it."""

    branch: str
    reason: str


class Verdicts:
    """The first flaw of every jet of a step."""

    def __init__(self, jets: int):
        self.flaws: list[Flaw] = []
        self.of_jet = np.full(jets, -1)

    def reject(self, bad: Bool[np.ndarray, "b"], branch: str, reason: str) -> None:
        self.of_jet[bad & self.sound] = len(self.flaws)
        self.flaws.append(Flaw(branch, reason))

    def reasons(self) -> Counter[str]:
        """How many jets are rejected, by branch and reason."""
        numbers = self.of_jet[self.of_jet >= 0].tolist()
        return Counter(": ".join(self.flaws[number]) for number in numbers)

    @property
    def sound(self) -> Bool[np.ndarray, "b"]:
        return self.of_jet < 0


def decode(step: ak.Array) -> tuple[Jets, Verdicts]:
    """The sound jets among the entries of `step`, and a verdict for every entry.

    pT is hypot(px, py). Particles are put in order of falling pT as stored where they
    are not, and the leading 128 are kept.
    """
    verdicts = Verdicts(len(step))
    label = _judge_labels(step, verdicts)
    _judge_jets(step, verdicts)
    counts = _judge_lengths(step, verdicts)

    entries = np.flatnonzero(verdicts.sound)
    owner = np.repeat(entries, counts[entries])
    columns = {name: ak.to_numpy(ak.flatten(step[name][entries])) for name in PARTICLE}
    _judge_particles(columns, owner, verdicts)

    entries = np.flatnonzero(verdicts.sound)
    sound = verdicts.sound[owner]
    if not sound.all():
        columns = {name: column[sound] for name, column in columns.items()}
    jet = np.stack([ak.to_numpy(step[name])[entries] for name in JET], 1)
    return _store(label[entries], counts[entries], jet, columns), verdicts


def _judge_labels(step: ak.Array, verdicts: Verdicts) -> Int[np.ndarray, "b"]:
    if "jet_label" in step.fields:
        label = ak.to_numpy(step["jet_label"])
        outside = (label < 0) | (label >= len(JETCLASS2))
        verdicts.reject(outside, "jet_label", "not a label from 0 to 187")
        return label
    # The real files hold float32, bool and int32 labels side by side.
    one_hot, label = _one_hot([ak.to_numpy(step[name]) for name in TEN_LABELS])
    verdicts.reject(~one_hot, "label_QCD ... label_Tbl", "labels are not one-hot")
    return label


def _judge_jets(step: ak.Array, verdicts: Verdicts) -> None:
    for name in JET:
        value = ak.to_numpy(step[name])
        verdicts.reject(~np.isfinite(value), name, "NaN or infinity")
        if name in ("jet_pt", "jet_energy"):
            verdicts.reject(value <= 0, name, "zero or negative")


def _judge_lengths(step: ak.Array, verdicts: Verdicts) -> Int[np.ndarray, "b"]:
    counts = ak.to_numpy(ak.num(step["part_px"])).astype(np.int32)
    verdicts.reject(counts == 0, "part_px", "a jet without particles")
    for name in PARTICLE[1:]:
        other = ak.to_numpy(ak.num(step[name]))
        verdicts.reject(other != counts, name, "not as many values as part_px has")
    return counts


def _judge_particles(
    columns: dict[str, np.ndarray], owner: Int[np.ndarray, "total"], verdicts: Verdicts
) -> None:
    """Reject the jets (`owner`: entry of each particle) that hold a bad particle."""

    def reject(bad: Bool[np.ndarray, "total"], branch: str, reason: str) -> None:
        jets = np.bincount(owner[bad], minlength=len(verdicts.of_jet))
        verdicts.reject(jets > 0, branch, reason)

    for name in FLOATS:
        reject(~np.isfinite(columns[name]), name, "NaN or infinity")
    reject(columns["part_energy"] <= 0, "part_energy", "zero or negative")
    at_rest = (columns["part_px"] == 0) & (columns["part_py"] == 0)
    reject(at_rest, "part_px and part_py", "a particle without transverse momentum")
    charge = columns["part_charge"]
    reject((charge != 0) & (np.abs(charge) != 1), "part_charge", "not -1, 0 or 1")
    one_hot, _ = _one_hot([columns[name] for name in FLAGS])
    reject(~one_hot, "part_isChargedHadron ... part_isMuon", "flags are not one-hot")


def _one_hot(
    flags: list[np.ndarray],
) -> tuple[Bool[np.ndarray, "n"], Int[np.ndarray, "n"]]:
    """Where exactly one flag is 1 and the others 0, and which one it is."""
    table = np.stack(flags, dtype=np.float32)
    valid = ((table == 0) | (table == 1)).all(0) & (table.sum(0) == 1)
    table[:, ~valid] = 0
    which = np.arange(len(flags), dtype=np.float32) @ table  # faster than argmax
    return valid, which.astype(np.int16)


def _store(
    label: Int[np.ndarray, "b"],
    counts: Int[np.ndarray, "b"],
    jet: Float[np.ndarray, "b 4"],
    columns: dict[str, np.ndarray],
) -> Jets:
    # In float64, where no finite px and py overflow.
    pt = np.hypot(columns["part_px"], columns["part_py"], dtype=np.float64)
    pt = np.minimum(pt, ragged.HALF.max).astype(np.float32)
    table = np.stack([pt, *(columns[name] for name in FLOATS[3:])], 1, dtype=np.float32)
    _, species = _one_hot([columns[name] for name in FLAGS])
    jets = Jets(
        label=label.astype(np.int16),
        counts=counts,
        jet=jet.astype(np.float32),
        measured=ragged.halve(table),
        charge=columns["part_charge"].astype(np.int8),
        species=species.astype(np.int8),
    )
    return ragged.lead(_sorted(jets), MAX_PARTICLES)


def _sorted(jets: Jets) -> Jets:
    """Jets with particles in order of falling pT, those of equal pT as they were."""
    # As stored: px and py of equal stored pT give pT that differ by their rounding.
    pt = jets.measured[:, 0].astype(np.float32)
    owner = np.repeat(np.arange(len(jets.counts)), jets.counts)
    if not ((np.diff(pt) > 0) & (np.diff(owner) == 0)).any():
        return jets
    order = np.lexsort((-pt, owner))
    return jets._replace(
        measured=jets.measured[order],
        charge=jets.charge[order],
        species=jets.species[order],
    )
