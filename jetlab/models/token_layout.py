"""How the tokens of a batch lie in one flat array, and who attends to whom.

Everything but attention works on tokens one by one, so a model needs no padding: its
tokens are rows of one array, the class tokens of all jets first, then their particles.
A layout knows which rows make a jet.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, UInt

from jetlab.models import cpu_attention
from jetlab.types import MAX_PARTICLES, Batch, Groups

PLACES = 1 + MAX_PARTICLES  # of a jet: its class token and its particles


@runtime_checkable
class Layout(Protocol):
    """What a model asks of a batch."""

    @property
    def jets(self) -> int:
        """Class tokens: so many rows stand before the particles."""
        ...

    @property
    def ids(self) -> UInt[Array, "t"]:
        """A number for each token, the same wherever it lies: seeds its dropout."""
        ...

    def attend(
        self, query: Float[Array, "q d"], key_value: Float[Array, "t 2*d"], heads: int
    ) -> Float[Array, "q d"]:
        """softmax(q k^T / sqrt(d/h)) v inside each jet, for all tokens or, where
        there are only as many queries as jets, for the class tokens."""
        ...


class Padded:
    """Jets of one length, `mask` False where there is no particle."""

    def __init__(self, mask: Bool[Array | np.ndarray, "b p"]):
        self.jets, self.particles = mask.shape
        # the class token is never masked, so a jet without particles stays finite
        self._mask = jnp.pad(mask, ((0, 0), (1, 0)), constant_values=True)

    @property
    def ids(self) -> UInt[Array, "t"]:
        jet, place = np.divmod(np.arange(self.jets * self.particles), self.particles)
        first = np.arange(self.jets) * PLACES
        return jnp.asarray(np.concatenate([first, jet * PLACES + place + 1]), "uint32")

    def attend(
        self, query: Float[Array, "q d"], key_value: Float[Array, "t 2*d"], heads: int
    ) -> Float[Array, "q d"]:
        read = self._by_jet(query) if len(query) > self.jets else query[:, None]
        mixed = masked_attention(read, self._by_jet(key_value), self._mask, heads)
        return jnp.concatenate(
            [mixed[:, 0], mixed[:, 1:].reshape(-1, mixed.shape[-1])], axis=0
        )

    def _by_jet(self, rows: Float[Array, "t d"]) -> Float[Array, "b s d"]:
        particles = rows[self.jets :].reshape(self.jets, self.particles, -1)
        return jnp.concatenate([rows[: self.jets, None], particles], axis=1)


@dataclass(frozen=True)
class Flat:
    """Jets one after the other, the first of each group no longer than it allows.

    `counts` are particles by jet, `numbers` those of the jets within the whole batch,
    `rows` the number of particle rows; those past the sum of `counts` are padding.
    Attention runs over `groups` of jets of similar length or, without groups, by the
    native kernel over the jets as they are.
    """

    counts: Int[Array, "b"]
    numbers: Int[Array, "b"]
    rows: int
    groups: Groups

    @property
    def jets(self) -> int:
        return len(self.counts)

    @property
    def ids(self) -> UInt[Array, "t"]:
        jet, place = self._owners
        first = self.numbers * PLACES
        return jnp.concatenate([first, first[jet] + place + 1]).astype(jnp.uint32)

    def attend(
        self, query: Float[Array, "q d"], key_value: Float[Array, "t 2*d"], heads: int
    ) -> Float[Array, "q d"]:
        if not self.groups:
            return cpu_attention.attend(query, key_value, self.counts, heads)
        return self._attend_by_group(query, key_value, heads)

    @property
    def _owners(self) -> tuple[Int[Array, "n"], Int[Array, "n"]]:
        """Which jet a particle row belongs to, and its place in it."""
        jet = jnp.repeat(
            jnp.arange(self.jets), self.counts, total_repeat_length=self.rows
        )
        return jet, jnp.arange(self.rows) - self._first[jet]

    @property
    def _first(self) -> Int[Array, "b"]:
        """Row of each jet's first particle among the particles."""
        return jnp.cumsum(self.counts) - self.counts

    def _attend_by_group(
        self, query: Float[Array, "q d"], key_value: Float[Array, "t 2*d"], heads: int
    ) -> Float[Array, "q d"]:
        slots = [self._slots(*group) for group in self._numbered]
        masks = [mask for _, mask in slots]
        ways = _Ways(
            tuple(jnp.where(mask, rows, 0) for rows, mask in slots),
            tuple(masks),
            self._slot_of_row,
            jnp.arange(self.jets + self.rows) < self.jets + self.counts.sum(),
        )
        whole = len(query) > self.jets
        if whole:
            queries = _spread(query, ways)
        else:
            queries = [query[start:stop, None] for start, stop, _ in self._numbered]
        mixed = [
            masked_attention(*part, heads)
            for part in zip(queries, _spread(key_value, ways), masks, strict=True)
        ]
        if not whole:
            return jnp.concatenate([part[:, 0] for part in mixed])
        return _gather(tuple(mixed), ways)

    @property
    def _numbered(self) -> list[tuple[int, int, int]]:
        """(first jet, last jet + 1, particles) of each group."""
        ends = np.cumsum([jets for jets, _ in self.groups]).tolist()
        return [
            (end - jets, end, particles)
            for (jets, particles), end in zip(self.groups, ends, strict=True)
        ]

    def _slots(
        self, start: int, stop: int, particles: int
    ) -> tuple[Int[Array, "g s"], Bool[Array, "g s"]]:
        """Rows of the tokens of a group's jets, and which of them there are."""
        place = jnp.arange(particles + 1)
        rows = self.jets + self._first[start:stop, None] + place - 1
        rows = jnp.where(place == 0, jnp.arange(start, stop)[:, None], rows)
        return rows, place <= self.counts[start:stop, None]

    @property
    def _slot_of_row(self) -> Int[Array, "t"]:
        """Where each row stands among the slots of all groups."""
        sizes = np.array([jets * (particles + 1) for jets, particles in self.groups])
        begin = np.cumsum(sizes) - sizes
        first = np.concatenate(
            [
                base + np.arange(jets) * (particles + 1)
                for base, (jets, particles) in zip(begin, self.groups, strict=True)
            ]
        )
        jet, place = self._owners
        particles = jnp.asarray(first)[jet] + place + 1
        # rows past the last particle point anywhere: what they fetch is set to zero
        return jnp.concatenate([first, jnp.minimum(particles, sizes.sum() - 1)])


def flat_layout(batch: Batch) -> Flat:
    """The layout of a batch of the engine."""
    return Flat(batch.counts, batch.ids, len(batch.x), batch.groups)


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
    # exp(-inf) is exactly zero: a padded token has no weight, not a small one
    scores = jnp.where(mask[:, None, None, :], scores, -jnp.inf)
    weights = jax.nn.softmax(scores.astype(jnp.float32)).astype(value.dtype)
    mixed = jnp.einsum("bhqs,bshe->bqhe", weights, value)
    return mixed.reshape(*mixed.shape[:2], -1)


class _Ways(NamedTuple):
    """From the rows of a flat array to slots of groups, and back."""

    wells: tuple[Int[Array, "g s"], ...]  # row that each slot reads
    masks: tuple[Bool[Array, "g s"], ...]  # whether a slot holds a token
    slots: Int[Array, "t"]  # slot of each row
    real: Bool[Array, "t"]  # whether a row holds a token


# Rows to slots and back is a permutation, so the gradient of either is the other: a
# gather, where differentiating a gather would scatter and add, slowly on a CPU and in
# no fixed order on a GPU.


@jax.custom_vjp
def _spread(rows: Array, ways: _Ways) -> tuple[Array, ...]:
    return tuple(
        jnp.where(mask[..., None], rows[well], 0)
        for well, mask in zip(ways.wells, ways.masks, strict=True)
    )


@jax.custom_vjp
def _gather(parts: tuple[Array, ...], ways: _Ways) -> Array:
    flat = jnp.concatenate([part.reshape(-1, part.shape[-1]) for part in parts])
    return jnp.where(ways.real[:, None], flat[ways.slots], 0)


def _spread_back(ways: _Ways, grads: tuple[Array, ...]) -> tuple[Any, None]:
    return _gather(grads, ways), None


def _gather_back(ways: _Ways, grad: Array) -> tuple[Any, None]:
    return _spread(grad, ways), None


_spread.defvjp(lambda rows, ways: (_spread(rows, ways), ways), _spread_back)
_gather.defvjp(lambda parts, ways: (_gather(parts, ways), ways), _gather_back)
