"""Ragged jets: join, gather, cut and pad, without a loop over jets."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int, Shaped

from jetlab.types import Jets

DTYPES: dict[str, type[np.generic]] = {
    "label": np.int16,
    "counts": np.int32,
    "jet": np.float32,
    "measured": np.float16,
    "charge": np.int8,
    "species": np.int8,
}
"""What each field is stored as: 18 bytes a particle, 22 a jet."""

HALF = np.finfo(np.float16)


def halve(measured: Float[np.ndarray, "total 8"]) -> Float[np.ndarray, "total 8"]:
    """Measured quantities as float16, clipped so that none becomes infinite and no
    pT or energy (the first two columns) zero."""
    measured = np.clip(measured, HALF.min, HALF.max)
    measured[:, :2] = np.maximum(measured[:, :2], HALF.tiny)
    return measured.astype(np.float16)


def rows(starts: Int[np.ndarray, "b"], counts: Int[np.ndarray, "b"]) -> np.ndarray:
    """Rows of the segments that begin at `starts`, one segment after the other."""
    ends = np.cumsum(counts, dtype=np.int64)
    total = int(ends[-1]) if ends.size else 0
    return np.arange(total) + np.repeat(starts - (ends - counts), counts)


def first_rows(jets: Jets) -> Int[np.ndarray, "b"]:
    """Row of each jet's first particle."""
    return np.cumsum(jets.counts, dtype=np.int64) - jets.counts


def concatenate(parts: Sequence[Jets]) -> Jets:
    """All jets of `parts`, in order."""
    parts = [part for part in parts if len(part.label)] or parts[:1]
    if len(parts) == 1:
        return parts[0]
    return Jets(*map(np.concatenate, zip(*parts, strict=True)))


def gather(
    jets: Jets, starts: Int[np.ndarray, "jets"], indices: Int[np.ndarray, "b"]
) -> Jets:
    """The jets numbered `indices`, where `starts` is known and need not be summed."""
    counts = jets.counts[indices]
    return _select(jets, indices, counts, rows(starts[indices], counts))


def take(jets: Jets, indices: Int[np.ndarray, "b"]) -> Jets:
    """The jets numbered `indices`, in that order; a jet may come twice."""
    return gather(jets, first_rows(jets), indices)


def between(jets: Jets, starts: Int[np.ndarray, "jets"], start: int, stop: int) -> Jets:
    """Views of jets start to stop, where `starts` are their `first_rows`."""
    first = last = 0
    if start < stop:
        first, last = int(starts[start]), int(starts[stop - 1] + jets.counts[stop - 1])
    return Jets(
        label=jets.label[start:stop],
        counts=jets.counts[start:stop],
        jet=jets.jet[start:stop],
        measured=jets.measured[first:last],
        charge=jets.charge[first:last],
        species=jets.species[first:last],
    )


def lead(jets: Jets, particles: int) -> Jets:
    """The jets with at most their `particles` leading particles."""
    counts = np.minimum(jets.counts, particles)
    if np.array_equal(counts, jets.counts):
        return jets
    return _select(jets, None, counts, rows(first_rows(jets), counts))


def spread(
    flat: Shaped[np.ndarray, "total *f"], counts: Int[np.ndarray, "b"], particles: int
) -> Shaped[np.ndarray, "b p *f"]:
    """A per-particle array with a row of `particles` places for every jet, zero where
    there is no particle. `counts` must not exceed `particles`."""
    jets = len(counts)
    padded = np.zeros((jets, particles, *flat.shape[1:]), flat.dtype)
    if flat.size:
        # One opaque value a row: numpy then copies rows, not elements (2.4 times).
        row = np.dtype((np.void, flat[0].nbytes))
        flat = np.ascontiguousarray(flat).reshape(len(flat), -1)
        places = rows(np.arange(jets) * particles, counts)
        padded.reshape(-1, flat.shape[1]).view(row)[places] = flat.view(row)
    return padded


def _select(
    jets: Jets,
    indices: Int[np.ndarray, "b"] | None,
    counts: Int[np.ndarray, "b"],
    particles: Int[np.ndarray, "total"],
) -> Jets:
    # `take` moves whole rows and is twelve times faster than indexing here.
    return Jets(
        label=jets.label if indices is None else jets.label.take(indices),
        counts=counts,
        jet=jets.jet if indices is None else jets.jet.take(indices, axis=0),
        measured=jets.measured.take(particles, axis=0),
        charge=jets.charge.take(particles),
        species=jets.species.take(particles),
    )
