"""Decode and validate entries of JetClass files: branches -> stored jets."""

from collections import Counter

import awkward as ak
import numpy as np
from jaxtyping import Bool, Float, Int

from jetlab.data import ragged
from jetlab.data.jetclass.branches import FLAGS, FLOATS, JET, PARTICLE, TEN_LABELS
from jetlab.data.jetclass.labels import JETCLASS2
from jetlab.types import MAX_PARTICLES, Jets


class RowErrors:
    """The first error of each entry, as branch and reason."""

    def __init__(self, entries: int):
        self.errors: list[tuple[str, str]] = []
        self.error_of_entry = np.full(entries, -1)  # index into errors, -1 if valid

    @property
    def valid(self) -> Bool[np.ndarray, "b"]:
        return self.error_of_entry < 0

    def add(self, bad: Bool[np.ndarray, "b"], branch: str, reason: str) -> None:
        """Record an error of the entries where `bad`, unless they have one already."""
        self.error_of_entry[bad & self.valid] = len(self.errors)
        self.errors.append((branch, reason))

    def counts(self) -> Counter[str]:
        """Number of invalid entries by branch and reason."""
        numbers = self.error_of_entry[~self.valid].tolist()
        return Counter(": ".join(self.errors[number]) for number in numbers)


def decode(entries: ak.Array) -> tuple[Jets, RowErrors]:
    """Jets of the valid entries, and the errors of the others.

    pT is hypot(px, py). Particles are sorted by decreasing pT in float16; the leading
    128 are kept.
    """
    errors = RowErrors(len(entries))
    label = _check_labels(entries, errors)
    _check_jets(entries, errors)
    counts = _check_lengths(entries, errors)

    kept = np.flatnonzero(errors.valid)
    owner = np.repeat(kept, counts[kept])
    columns = {name: ak.to_numpy(ak.flatten(entries[name][kept])) for name in PARTICLE}
    _check_particles(columns, owner, errors)

    kept = np.flatnonzero(errors.valid)
    valid = errors.valid[owner]
    if not valid.all():
        columns = {name: column[valid] for name, column in columns.items()}
    jet = np.stack([ak.to_numpy(entries[name])[kept] for name in JET], 1)
    return _jets(label[kept], counts[kept], jet, columns), errors


def _check_labels(entries: ak.Array, errors: RowErrors) -> Int[np.ndarray, "b"]:
    if "jet_label" in entries.fields:
        label = ak.to_numpy(entries["jet_label"])
        outside = (label < 0) | (label >= len(JETCLASS2))
        errors.add(outside, "jet_label", "not a label from 0 to 187")
        return label
    # JetClass files mix float32, bool and int32 labels.
    one_hot, label = _one_hot([ak.to_numpy(entries[name]) for name in TEN_LABELS])
    errors.add(~one_hot, "label_QCD ... label_Tbl", "labels are not one-hot")
    return label


def _check_jets(entries: ak.Array, errors: RowErrors) -> None:
    for name in JET:
        value = ak.to_numpy(entries[name])
        errors.add(~np.isfinite(value), name, "NaN or infinity")
        if name in ("jet_pt", "jet_energy"):
            errors.add(value <= 0, name, "zero or negative")


def _check_lengths(entries: ak.Array, errors: RowErrors) -> Int[np.ndarray, "b"]:
    """Number of particles of each entry."""
    counts = ak.to_numpy(ak.num(entries["part_px"])).astype(np.int32)
    errors.add(counts == 0, "part_px", "a jet without particles")
    for name in PARTICLE[1:]:
        other = ak.to_numpy(ak.num(entries[name]))
        errors.add(other != counts, name, "another number of values than part_px")
    return counts


def _check_particles(
    columns: dict[str, np.ndarray], owner: Int[np.ndarray, "total"], errors: RowErrors
) -> None:
    """Record errors of the entries (`owner`, one per particle) with a bad particle."""

    def add(bad: Bool[np.ndarray, "total"], branch: str, reason: str) -> None:
        count = np.bincount(owner[bad], minlength=len(errors.error_of_entry))
        errors.add(count > 0, branch, reason)

    for name in FLOATS:
        add(~np.isfinite(columns[name]), name, "NaN or infinity")
    add(columns["part_energy"] <= 0, "part_energy", "zero or negative")
    at_rest = (columns["part_px"] == 0) & (columns["part_py"] == 0)
    add(at_rest, "part_px and part_py", "a particle without transverse momentum")
    charge = columns["part_charge"]
    add((charge != 0) & (np.abs(charge) != 1), "part_charge", "not -1, 0 or 1")
    one_hot, _ = _one_hot([columns[name] for name in FLAGS])
    add(~one_hot, "part_isChargedHadron ... part_isMuon", "flags are not one-hot")


def _one_hot(
    flags: list[np.ndarray],
) -> tuple[Bool[np.ndarray, "n"], Int[np.ndarray, "n"]]:
    """Whether exactly one flag is 1 and the others 0, and its index."""
    table = np.stack(flags, dtype=np.float32)
    valid = ((table == 0) | (table == 1)).all(0) & (table.sum(0) == 1)
    table[:, ~valid] = 0
    which = np.arange(len(flags), dtype=np.float32) @ table  # faster than argmax
    return valid, which.astype(np.int16)


def _jets(
    label: Int[np.ndarray, "b"],
    counts: Int[np.ndarray, "b"],
    jet: Float[np.ndarray, "b 4"],
    columns: dict[str, np.ndarray],
) -> Jets:
    # In float64, in which hypot of finite float32 values does not overflow.
    pt = np.hypot(columns["part_px"], columns["part_py"], dtype=np.float64)
    pt = np.minimum(pt, ragged.FLOAT16.max).astype(np.float32)
    table = np.stack([pt, *(columns[name] for name in FLOATS[3:])], 1, dtype=np.float32)
    _, species = _one_hot([columns[name] for name in FLAGS])
    jets = Jets(
        label=label.astype(np.int16),
        counts=counts,
        jet=jet.astype(np.float32),
        measured=ragged.to_float16(table),
        charge=columns["part_charge"].astype(np.int8),
        species=species.astype(np.int8),
    )
    return ragged.truncate(_sorted(jets), MAX_PARTICLES)


def _sorted(jets: Jets) -> Jets:
    """Jets with particles sorted by decreasing pT, stable for equal pT."""
    # In float16: particles of equal stored pT keep their order, whatever the rounding
    # of px and py.
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
