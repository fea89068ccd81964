"""Packing: random batches of ragged jets in one static shape close to their real size.

A batch of b jets with any numbers of particles is laid out flat, the longest jet first.
Its number of rows is fixed beforehand so that a few batches in a thousand overflow:
these are divided into micro-batches whose gradients are summed, so that the gradient is
always that of the padded batch.
"""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jetlab.training.scan import MicroBatches, empty_schedule
from jetlab.types import Batch, Groups

SAMPLED = 2000  # batches whose sizes decide the shape
OVERFLOW_RATE = 5e-3  # share of batches that may be too large for it
GROUPS = 8  # of jets of similar length, for attention that needs them


class DeviceJets(NamedTuple):
    """Jets on the device, the particles of one jet after those of another."""

    x: Float[Array | np.ndarray, "n f"]
    first: Int[Array | np.ndarray, "b"]  # row of each jet's first particle
    counts: Int[Array | np.ndarray, "b"]
    targets: Any  # arrays with a leading axis of jets


def with_offsets(
    x: Float[np.ndarray, "n f"], counts: Int[np.ndarray, "b"], targets: Any
) -> DeviceJets:
    """Jets with the row of each jet's first particle."""
    return DeviceJets(x, np.cumsum(counts) - counts, counts, targets)


@dataclass(frozen=True, kw_only=True)
class Packing:
    """The static shape of a batch: `rows` of particles, and the most particles of each
    jet, from the longest to the shortest.

    With `num_shards` above 1 a batch is sharded over that many devices, and the other
    fields describe one shard.
    """

    batch: int
    rows: int
    longest: tuple[int, ...]
    groups: Groups
    num_shards: int = 1

    def fits(
        self, lengths: Int[np.ndarray, "*n b"]
    ) -> Bool[np.ndarray, "*n"] | np.bool_:
        """Whether jets of these lengths, sorted from the longest, fit."""
        allowed = np.array(self.longest)[: lengths.shape[-1]]
        return (lengths.sum(-1) <= self.rows) & (lengths <= allowed).all(-1)


def choose_packing(
    counts: Int[np.ndarray, "jets"],
    batch: int,
    particles: int,
    *,
    grouped: bool,
    num_shards: int = 1,
) -> Packing:
    """The packing of random batches of jets with these numbers of particles.

    `particles` is the most that a jet may have. With `grouped` attention runs over
    groups of jets of similar length.

    Raises:
      ValueError: unless all shards have equally many jets.
    """
    if batch % num_shards:
        raise ValueError(
            f"a batch of {batch} jets does not divide into {num_shards} equal shards:"
            f" take a multiple of {num_shards}, or fewer devices along the data axis"
        )
    rng = np.random.default_rng(0)
    drawn = counts[rng.integers(0, len(counts), (SAMPLED, batch))]
    # The first shard gets the longest jet of every round, so its sums are the largest.
    lengths = -np.sort(-drawn, axis=1)[:, ::num_shards]
    rows = int(np.quantile(lengths.sum(1), 1 - OVERFLOW_RATE, method="higher"))
    # Any group may overflow, and room in one is cheaper than a second micro-batch.
    rate = OVERFLOW_RATE / (5 * GROUPS)
    longest = np.quantile(lengths, 1 - rate, axis=0, method="higher")
    longest[0] = particles
    shard = _packing(max(rows, particles), longest.astype(int), grouped)
    return replace(shard, batch=batch, num_shards=num_shards)


def exact_packing(lengths: Int[np.ndarray, "n b"], *, grouped: bool) -> Packing:
    """The smallest packing of these batches, each sorted from the longest jet."""
    return _packing(int(lengths.sum(1).max()), lengths.max(axis=0), grouped)


def _packing(rows: int, longest: Int[np.ndarray, "b"], grouped: bool) -> Packing:
    batch, most = len(longest), int(longest[0])
    rows = min(-(-rows // 8) * 8, batch * most)
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


class Schedule(NamedTuple):
    """The micro-batches of a scan, the batches that they make up, and how many of these
    overflowed."""

    steps: MicroBatches
    batches: int
    cut: int


def schedule(
    rows: Int[np.ndarray, "n b"],
    counts: Int[np.ndarray, "jets"],
    packing: Packing,
    length: int,
) -> Schedule:
    """As many of the leading batches as fit `length` micro-batches, whole batches only.

    The jets of a batch are dealt to its micro-batches and shards by falling length; the
    rows of the first shard come first.

    Raises:
      ValueError: where a jet has more particles than the packing allows.
    """
    rows = rows[:length]
    lengths = counts[rows]
    sort = np.argsort(-lengths, axis=1, kind="stable")
    rows = np.take_along_axis(rows, sort, axis=1)
    lengths = np.take_along_axis(lengths, sort, axis=1)
    needed = np.ones(len(rows), int)
    # The first shard is the longest: where it fits, the others do.
    for number in np.flatnonzero(~packing.fits(lengths[:, :: packing.num_shards])):
        needed[number] = _micro_batches(lengths[number], packing)
    batches = int(np.searchsorted(np.cumsum(needed), length, side="right"))
    steps = empty_schedule(length, packing.batch)
    entry = 0
    for row, count in zip(rows[:batches], needed[:batches].tolist(), strict=True):
        for index in range(count):
            dealt = steps.rows[entry].reshape(packing.num_shards, -1)
            for number, shard in enumerate(dealt, index * packing.num_shards):
                jets = row[number :: count * packing.num_shards]
                shard[: len(jets)] = jets
            steps.index[entry], steps.count[entry] = index, count
            entry += 1
    return Schedule(steps, batches, int((needed[:batches] > 1).sum()))


def _micro_batches(lengths: Int[np.ndarray, "b"], packing: Packing) -> int:
    """The number of micro-batches that a batch needs: micro-batch i takes jets i,
    i + n, i + 2n, ... of the sorted batch, so the first has the most particles."""
    if lengths[0] > packing.longest[0]:
        raise ValueError(
            f"a jet of {lengths[0]} particles in a packing for at most "
            f"{packing.longest[0]}: give `choose_packing` the most that a jet may have"
        )
    count = 2
    while not packing.fits(lengths[:: count * packing.num_shards]):
        count *= 2
    return count


def gather_batch(packing: Packing, jets: DeviceJets, entry: MicroBatches) -> Batch:
    """The batch of one micro-batch, gathered on the device."""
    there = entry.rows >= 0
    counts = jnp.where(there, jets.counts[entry.rows], 0)
    ids = jnp.arange(len(entry.rows)) * entry.count + entry.index
    ends = jnp.cumsum(counts)
    shift = jets.first[entry.rows] - (ends - counts)
    row = jnp.arange(packing.rows)
    shift = jnp.repeat(shift, counts, total_repeat_length=packing.rows)
    x = jets.x[jnp.clip(row + shift, 0, len(jets.x) - 1)]
    # Rows past the last particle may hold any jet's values, NaN too: set them to zero.
    return Batch(
        x=jnp.where(row[:, None] < ends[-1], x, 0),
        counts=counts,
        ids=ids,
        targets=jax.tree.map(lambda column: column[entry.rows], jets.targets),
        weight=jnp.where(there, 1 / packing.batch, 0.0),
        groups=packing.groups,
    )


def token_utilisation(packing: Packing, counts: Int[np.ndarray, "jets"]) -> float:
    """Share of the computed tokens that are particles or class tokens."""
    real = packing.batch * (float(np.mean(counts)) + 1)
    return real / (packing.batch + packing.rows * packing.num_shards)
