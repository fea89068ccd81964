"""Random batches of ragged jets in one static shape, on close to their real size.

A batch of b jets with any number of particles is laid out flat, the longest jet first.
Its number of rows is fixed beforehand so that a few batches in a thousand do not fit:
they are cut in parts whose gradients are summed, so the gradient is always that of the
padded batch.
"""

from dataclasses import dataclass, field, replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jetlab.models import cpu_attention
from jetlab.models.token_layout import Flat, Groups
from jetlab.training.scan import Steps, nothing

SAMPLED = 2000  # batches whose sizes decide the shape
MISFITS = 5e-3  # share of batches that may be too large for it
GROUPS = 8  # of jets of similar length, where attention has no native kernel


class Particles(NamedTuple):
    """Jets on the device, the particles of one after those of another."""

    x: Float[Array | np.ndarray, "n f"]
    first: Int[Array | np.ndarray, "b"]  # row of each jet's first particle
    counts: Int[Array | np.ndarray, "b"]
    y: Int[Array | np.ndarray, "b"]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Batch:
    """What a loss reads: jets in the rows of `layout`, and their weights."""

    x: Float[Array, "n f"]
    counts: Int[Array, "b"]
    places: Int[Array, "b"]
    y: Int[Array, "b"]
    weight: Float[Array, "b"]  # 1 / b for a jet, 0 for an empty place
    groups: Groups = field(metadata={"static": True})

    @property
    def layout(self) -> Flat:
        return Flat(self.counts, self.places, len(self.x), self.groups)


@dataclass(frozen=True, kw_only=True)
class Packing:
    """The static shape of a batch: `rows` of particles, and how many each jet may
    have, from the longest to the shortest.

    A batch dealt to several devices has as many `shares`; the rest is then of one.
    """

    batch: int
    rows: int
    longest: tuple[int, ...]
    groups: Groups
    shares: int = 1

    def fits(
        self, lengths: Int[np.ndarray, "*n b"]
    ) -> Bool[np.ndarray, "*n"] | np.bool_:
        """Whether jets of these lengths, sorted from the longest, fit."""
        allowed = np.array(self.longest)[: lengths.shape[-1]]
        return (lengths.sum(-1) <= self.rows) & (lengths <= allowed).all(-1)


def measure(
    counts: Int[np.ndarray, "jets"],
    batch: int,
    particles: int,
    *,
    grouped: bool | None = None,
    shares: int = 1,
) -> Packing:
    """The packing of random batches of jets with these numbers of particles.

    `particles` is the most that a jet may have. With `grouped` attention runs over
    groups of jets; by default where there is no native kernel.

    Raises:
      ValueError: unless all shares have equally many jets.
    """
    if batch % shares:
        raise ValueError(
            f"a batch of {batch} jets cannot be dealt in {shares} equal shares: "
            f"take a multiple of {shares}, or fewer devices along the data axis"
        )
    rng = np.random.default_rng(0)
    drawn = counts[rng.integers(0, len(counts), (SAMPLED, batch))]
    # the first share gets the longest jet of every round, so its sums are the largest
    lengths = -np.sort(-drawn, axis=1)[:, ::shares]
    rows = int(np.quantile(lengths.sum(1), 1 - MISFITS, method="higher"))
    # any group may misfit, and room in one is cheaper than a second pass
    longest = np.quantile(lengths, 1 - MISFITS / (5 * GROUPS), axis=0, method="higher")
    longest[0] = particles
    share = _packing(max(rows, particles), longest.astype(int), grouped)
    return replace(share, batch=batch, shares=shares)


def tight(lengths: Int[np.ndarray, "n b"], *, grouped: bool | None = None) -> Packing:
    """The least packing of these batches, each sorted from the longest jet."""
    return _packing(int(lengths.sum(1).max()), lengths.max(axis=0), grouped)


def _packing(rows: int, longest: Int[np.ndarray, "b"], grouped: bool | None) -> Packing:
    batch, most = len(longest), int(longest[0])
    rows = min(-(-rows // 8) * 8, batch * most)
    if grouped is None:
        grouped = not cpu_attention.available()
    groups = _groups(longest) if grouped else ()
    allowed = [particles for jets, particles in groups for _ in range(jets)]
    longest_allowed = tuple(allowed) if grouped else (most,) * batch
    return Packing(batch=batch, rows=rows, longest=longest_allowed, groups=groups)


def _groups(longest: Int[np.ndarray, "b"]) -> Groups:
    """At most `GROUPS` runs of jets with the least sum of n (longest + 1)^2, the size
    of their attention: by dynamic programming over where a run may end."""
    ends = len(longest) + 1
    pairs = (longest + 1.0) ** 2
    best = np.full((GROUPS + 1, ends), np.inf)
    best[0, 0] = 0
    came = np.zeros((GROUPS + 1, ends), int)
    for group in range(1, GROUPS + 1):
        for end in range(1, ends):
            starts = np.arange(end)
            total = best[group - 1, :end] + (end - starts) * pairs[:end]
            came[group, end] = total.argmin()
            best[group, end] = total.min()
    groups, end = [], len(longest)
    group = int(best[:, -1].argmin())
    while end:
        start = int(came[group, end])
        groups.append((end - start, int(longest[start])))
        end, group = start, group - 1
    return tuple(groups[::-1])


class Planned(NamedTuple):
    """Steps of a chunk, the batches that they train on, and how many were cut."""

    steps: Steps
    batches: int
    cut: int


def plan(
    rows: Int[np.ndarray, "n b"],
    counts: Int[np.ndarray, "jets"],
    packing: Packing,
    passes: int,
) -> Planned:
    """As many of the leading batches as fit so many passes, whole batches only.

    The jets of a pass are dealt by falling length; the rows of the first share come
    first.

    Raises:
      ValueError: where a jet has more particles than the packing allows.
    """
    rows = rows[:passes]
    lengths = counts[rows]
    sort = np.argsort(-lengths, axis=1, kind="stable")
    rows = np.take_along_axis(rows, sort, axis=1)
    lengths = np.take_along_axis(lengths, sort, axis=1)
    parts = np.ones(len(rows), int)
    # the first share is the longest: where it fits, the others do
    for index in np.flatnonzero(~packing.fits(lengths[:, :: packing.shares])):
        parts[index] = _parts(lengths[index], packing)
    batches = int(np.searchsorted(np.cumsum(parts), passes, side="right"))
    steps = nothing(passes, packing.batch)
    entry = 0
    for row, count in zip(rows[:batches], parts[:batches].tolist(), strict=True):
        for part in range(count):
            dealt = steps.rows[entry].reshape(packing.shares, -1)
            for number, share in enumerate(dealt, part * packing.shares):
                jets = row[number :: count * packing.shares]
                share[: len(jets)] = jets
            steps.part[entry], steps.parts[entry] = part, count
            entry += 1
    return Planned(steps, batches, int((parts[:batches] > 1).sum()))


def _parts(lengths: Int[np.ndarray, "b"], packing: Packing) -> int:
    """In how many parts a batch fits: each takes every so manieth jet, so the first
    has the most particles."""
    if lengths[0] > packing.longest[0]:
        raise ValueError(
            f"a jet of {lengths[0]} particles in a packing for at most "
            f"{packing.longest[0]}: give `measure` the most that a jet may have"
        )
    parts = 2
    while not packing.fits(lengths[:: parts * packing.shares]):
        parts *= 2
    return parts


def take(packing: Packing, jets: Particles, entry: Steps) -> Batch:
    """The batch of one pass, gathered on the device."""
    there = entry.rows >= 0
    counts = jnp.where(there, jets.counts[entry.rows], 0)
    places = jnp.arange(len(entry.rows)) * entry.parts + entry.part
    ends = jnp.cumsum(counts)
    shift = jets.first[entry.rows] - (ends - counts)
    row = jnp.arange(packing.rows)
    shift = jnp.repeat(shift, counts, total_repeat_length=packing.rows)
    x = jets.x[jnp.clip(row + shift, 0, len(jets.x) - 1)]
    # past the last particle it may be that of any jet, NaN for all we know
    return Batch(
        x=jnp.where(row[:, None] < ends[-1], x, 0.0),
        counts=counts,
        places=places,
        y=jets.y[entry.rows],
        weight=jnp.where(there, 1 / packing.batch, 0.0),
        groups=packing.groups,
    )


def useful(packing: Packing, counts: Int[np.ndarray, "jets"]) -> float:
    """Share of the computed tokens that are particles or class tokens."""
    real = packing.batch * (float(np.mean(counts)) + 1)
    return real / (packing.batch + packing.rows * packing.shares)


def flatten(
    x: Float[np.ndarray, "n f"], counts: Int[np.ndarray, "b"], y: Int[np.ndarray, "b"]
) -> Particles:
    """Jets that know where their particles begin."""
    return Particles(x, np.cumsum(counts) - counts, counts, y)
