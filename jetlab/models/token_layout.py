"""Layouts: the rows of a batch's tokens in one flat array, and attention inside jets.

All layers but attention act on single tokens, so a model needs no padding: its tokens
are rows of one array, the class tokens of all jets first, then their particles.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, UInt

from jetlab.models import cpu_attention
from jetlab.types import MAX_PARTICLES, Batch, Groups

MAX_TOKENS = 1 + MAX_PARTICLES  # of a jet: its class token and its particles


@runtime_checkable
class Layout(Protocol):
    """The interface between a model and the tokens of a batch."""

    @property
    def num_jets(self) -> int:
        """Number of jets, and of the class tokens, which are the first rows."""
        ...

    @property
    def token_ids(self) -> UInt[Array, "t"]:
        """A unique number of each token, equal in every layout: it seeds dropout."""
        ...

    def attend(
        self, query: Float[Array, "q d"], key_value: Float[Array, "t 2*d"], heads: int
    ) -> Float[Array, "q d"]:
        """softmax(q k^T / sqrt(d/h)) v inside each jet.

        Queries are all tokens or, if there are `num_jets` of them, the class tokens.
        """
        ...


class PaddedLayout:
    """Jets padded to one length; `mask` is True for particles."""

    def __init__(self, mask: Bool[Array | np.ndarray, "b p"]):
        self.num_jets, self.particles = mask.shape
        # The class token is never masked, so a jet without particles stays finite.
        self._mask = jnp.pad(mask, ((0, 0), (1, 0)), constant_values=True)

    @property
    def token_ids(self) -> UInt[Array, "t"]:
        rows = np.arange(self.num_jets * self.particles)
        jet, position = np.divmod(rows, self.particles)
        first = np.arange(self.num_jets) * MAX_TOKENS
        particles = jet * MAX_TOKENS + position + 1
        return jnp.asarray(np.concatenate([first, particles]), "uint32")

    def attend(
        self, query: Float[Array, "q d"], key_value: Float[Array, "t 2*d"], heads: int
    ) -> Float[Array, "q d"]:
        full = len(query) > self.num_jets
        queries = self._by_jet(query) if full else query[:, None]
        mixed = masked_attention(queries, self._by_jet(key_value), self._mask, heads)
        return jnp.concatenate(
            [mixed[:, 0], mixed[:, 1:].reshape(-1, mixed.shape[-1])], axis=0
        )

    def _by_jet(self, rows: Float[Array, "t d"]) -> Float[Array, "b s d"]:
        particles = rows[self.num_jets :].reshape(self.num_jets, self.particles, -1)
        return jnp.concatenate([rows[: self.num_jets, None], particles], axis=1)


@dataclass(frozen=True)
class FlatLayout:
    """The particles of one jet after those of another, without padding between jets.

    Attention runs over `groups` of jets of similar length or, without groups, through
    the CPU kernel over the jets as they are. Jets are in the order of their groups, and
    no jet has more particles than its group allows.
    """

    counts: Int[Array, "b"]  # particles of each jet
    jet_ids: Int[Array, "b"]  # of the jets within the whole batch
    rows: int  # of particles; those past the sum of `counts` are padding
    groups: Groups

    @property
    def num_jets(self) -> int:
        return len(self.counts)

    @property
    def token_ids(self) -> UInt[Array, "t"]:
        jet, position = self._jet_and_position
        first = self.jet_ids * MAX_TOKENS
        ids = jnp.concatenate([first, first[jet] + position + 1])
        return ids.astype(jnp.uint32)

    def attend(
        self, query: Float[Array, "q d"], key_value: Float[Array, "t 2*d"], heads: int
    ) -> Float[Array, "q d"]:
        if not self.groups:
            return cpu_attention.attend(query, key_value, self.counts, heads)
        return self._attend_by_group(query, key_value, heads)

    @property
    def _jet_and_position(self) -> tuple[Int[Array, "n"], Int[Array, "n"]]:
        """The jet of each particle row, and its position within the jet."""
        jet = jnp.repeat(
            jnp.arange(self.num_jets), self.counts, total_repeat_length=self.rows
        )
        return jet, jnp.arange(self.rows) - self._first[jet]

    @property
    def _first(self) -> Int[Array, "b"]:
        """Row of each jet's first particle among the particles."""
        return jnp.cumsum(self.counts) - self.counts

    def _attend_by_group(
        self, query: Float[Array, "q d"], key_value: Float[Array, "t 2*d"], heads: int
    ) -> Float[Array, "q d"]:
        slots = self._slots()
        full = len(query) > self.num_jets
        if full:
            queries = _to_slots(query, slots)
        else:
            queries = [query[start:stop, None] for start, stop, _ in self._ranges]
        pairs = _to_slots(key_value, slots)
        mixed = [
            masked_attention(*group, heads)
            for group in zip(queries, pairs, slots.masks, strict=True)
        ]
        if not full:
            return jnp.concatenate([group[:, 0] for group in mixed])
        return _to_rows(tuple(mixed), slots)

    @property
    def _ranges(self) -> list[tuple[int, int, int]]:
        """(first jet, last jet + 1, particles) of each group."""
        ends = np.cumsum([jets for jets, _ in self.groups]).tolist()
        return [
            (end - jets, end, particles)
            for (jets, particles), end in zip(self.groups, ends, strict=True)
        ]

    def _slots(self) -> "_Slots":
        """Slots of tokens, jets x (1 + particles) for each group, and their rows."""
        tokens = [self._tokens(*group) for group in self._ranges]
        row = jnp.arange(self.num_jets + self.rows)
        return _Slots(
            tuple(jnp.where(mask, rows, 0) for rows, mask in tokens),
            tuple(mask for _, mask in tokens),
            self._slot_of_row,
            row < self.num_jets + self.counts.sum(),
        )

    def _tokens(
        self, start: int, stop: int, particles: int
    ) -> tuple[Int[Array, "g s"], Bool[Array, "g s"]]:
        """Rows of the tokens of a group's jets, and a mask: True for tokens."""
        position = jnp.arange(particles + 1)
        rows = self.num_jets + self._first[start:stop, None] + position - 1
        rows = jnp.where(position == 0, jnp.arange(start, stop)[:, None], rows)
        return rows, position <= self.counts[start:stop, None]

    @property
    def _slot_of_row(self) -> Int[Array, "t"]:
        """The slot of each row among the slots of all groups."""
        sizes = np.array([jets * (particles + 1) for jets, particles in self.groups])
        begin = np.cumsum(sizes) - sizes
        first = np.concatenate(
            [
                start + np.arange(jets) * (particles + 1)
                for start, (jets, particles) in zip(begin, self.groups, strict=True)
            ]
        )
        jet, position = self._jet_and_position
        particles = jnp.asarray(first)[jet] + position + 1
        # Rows past the last particle take any slot: `_to_rows` sets them to zero.
        return jnp.concatenate([first, jnp.minimum(particles, sizes.sum() - 1)])


def flat_layout(batch: Batch) -> FlatLayout:
    """The layout of a batch."""
    return FlatLayout(batch.counts, batch.ids, len(batch.x), batch.groups)


def masked_attention(
    query: Float[Array, "b q d"],
    key_value: Float[Array, "b s 2*d"],
    mask: Bool[Array, "b s"],
    heads: int,
) -> Float[Array, "b q d"]:
    """softmax(q k^T / sqrt(d/h)) v; each jet needs a token that is not masked."""

    def by_head(x: Float[Array, "b s d"]) -> Float[Array, "b s h e"]:
        return x.reshape(*x.shape[:2], heads, -1)

    key, value = jnp.split(key_value, 2, axis=-1)
    query, key, value = map(by_head, (query, key, value))
    scores = jnp.einsum("bqhe,bshe->bhqs", query, key) / query.shape[-1] ** 0.5
    # exp(-inf) is exactly zero: padding has no weight, not a small one.
    scores = jnp.where(mask[:, None, None, :], scores, -jnp.inf)
    weights = jax.nn.softmax(scores.astype(jnp.float32)).astype(value.dtype)
    mixed = jnp.einsum("bhqs,bshe->bqhe", weights, value)
    return mixed.reshape(*mixed.shape[:2], -1)


class _Slots(NamedTuple):
    """The permutation between rows of a flat array and slots of groups."""

    source_rows: tuple[Int[Array, "g s"], ...]  # the row in each slot
    masks: tuple[Bool[Array, "g s"], ...]  # True for slots that hold a token
    slot_of_row: Int[Array, "t"]
    valid: Bool[Array, "t"]  # True for rows that hold a token


# Rows to slots and back is a permutation, so the gradient of either is the other: a
# gather. The derivative of a gather would scatter and add: slow on a CPU, and in no
# fixed order on a GPU.


@jax.custom_vjp
def _to_slots(rows: Array, slots: _Slots) -> tuple[Array, ...]:
    return tuple(
        jnp.where(mask[..., None], rows[source], 0)
        for source, mask in zip(slots.source_rows, slots.masks, strict=True)
    )


@jax.custom_vjp
def _to_rows(groups: tuple[Array, ...], slots: _Slots) -> Array:
    flat = jnp.concatenate([group.reshape(-1, group.shape[-1]) for group in groups])
    return jnp.where(slots.valid[:, None], flat[slots.slot_of_row], 0)


def _to_slots_back(slots: _Slots, grads: tuple[Array, ...]) -> tuple[Any, None]:
    return _to_rows(grads, slots), None


def _to_rows_back(slots: _Slots, grad: Array) -> tuple[Any, None]:
    return _to_slots(grad, slots), None


_to_slots.defvjp(lambda rows, slots: (_to_slots(rows, slots), slots), _to_slots_back)
_to_rows.defvjp(lambda groups, slots: (_to_rows(groups, slots), slots), _to_rows_back)
