"""Tokens of particles: one integer for the pT and the direction of each.

A tokenizer is fitted to training jets once and is then frozen: it is part of the
identity of the runs that use it. Two tokens stand for no particle, `start` before the
first and `stop` after the last of a jet.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from jetlab.types import MEASURED, Jets

PUBLISHED = (40, 30, 30)
"""Edges in log pT, deta and dphi of arXiv:2303.07364: 41 x 31 x 31 = 39,401 bins."""

RADIUS = 0.8  # of the jets: published edges in deta and dphi reach from -R to R
LOWEST = 1e-3  # quantile of log pT at the first edge


class Particles(NamedTuple):
    """Particles of a ragged batch of jets, one jet after the other."""

    pt: Float[np.ndarray, "n"]  # GeV
    deta: Float[np.ndarray, "n"]
    dphi: Float[np.ndarray, "n"]

    @classmethod
    def of(cls, jets: Jets) -> "Particles":
        """Those of stored or simulated jets."""
        columns = (MEASURED.index(name) for name in ("pt", "deta", "dphi"))
        return cls(*(jets.measured[:, c].astype(np.float64) for c in columns))


@runtime_checkable
class Tokenizer(Protocol):
    """A frozen map between particles and tokens 0 to `vocabulary` - 1."""

    @property
    def vocabulary(self) -> int:
        """Number of tokens, `start` and `stop` included."""
        ...

    @property
    def start(self) -> int: ...

    @property
    def stop(self) -> int: ...

    @property
    def digest(self) -> str:
        """Equal strings mean equal tokens."""
        ...

    def encode(self, particles: Particles) -> Int[np.ndarray, "n"]:
        """The token of each particle."""
        ...

    def decode(
        self, tokens: Int[np.ndarray, "n"], rng: np.random.Generator
    ) -> Particles:
        """A particle for each token."""
        ...


@dataclass(frozen=True)
class Binned:
    """Bins in log pT, deta and dphi (arXiv:2303.07364), the first and the last of each
    without an end.

        Binned.fit([jets.train(0, 100_000)])
        Binned.fit([...], shape=(14, 12, 12), equal=True)

    Raises:
      ValueError: for fewer than two edges, or edges that do not rise.
    """

    log_pt: tuple[float, ...]
    deta: tuple[float, ...]
    dphi: tuple[float, ...]

    def __post_init__(self):
        for name in ("log_pt", "deta", "dphi"):
            edges = tuple(map(float, getattr(self, name)))
            object.__setattr__(self, name, edges)
            if len(edges) < 2 or not (np.diff(edges) > 0).all():
                raise ValueError(f"edges in {name}: give two or more that rise")

    @classmethod
    def fit(
        cls,
        blocks: Sequence[Jets],
        shape: tuple[int, int, int] = PUBLISHED,
        *,
        equal: bool = False,
    ) -> "Binned":
        """Edges from training jets.

        Args:
          blocks: the jets; take none that are validated on.
          shape: number of edges in log pT, deta and dphi.
          equal: whether bins hold equally many particles between the 0.1 and 99.9 %
            quantiles, which suits coarse grids. As published they are equally wide,
            from the 0.1 % quantile of log pT to its largest value and from -0.8 to 0.8.

        Raises:
          ValueError: for no jets, particles that cannot be encoded, or too few values
            for the edges.
        """
        if not blocks:
            raise ValueError("no jets: edges are fitted to training jets")
        parts = [Particles.of(jets) for jets in blocks]
        columns = _columns(Particles(*map(np.concatenate, zip(*parts, strict=True))))
        if equal:
            shares = [np.linspace(LOWEST, 1 - LOWEST, count) for count in shape]
            edges = [np.quantile(c, q) for c, q in zip(columns, shares, strict=True)]
        else:
            ends = [np.quantile(columns[0], [LOWEST, 1.0]), *[(-RADIUS, RADIUS)] * 2]
            edges = [
                np.linspace(e[0], e[1], n) for e, n in zip(ends, shape, strict=True)
            ]
        return cls(*map(tuple, edges))

    @property
    def _edges(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return np.array(self.log_pt), np.array(self.deta), np.array(self.dphi)

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of bins in log pT, deta and dphi."""
        return tuple(len(edges) + 1 for edges in self._edges)

    @property
    def vocabulary(self) -> int:
        return int(np.prod(self.shape)) + 2

    @property
    def start(self) -> int:
        return self.vocabulary - 2

    @property
    def stop(self) -> int:
        return self.vocabulary - 1

    @property
    def digest(self) -> str:
        content = repr((self.log_pt, self.deta, self.dphi))
        return hashlib.sha256(content.encode()).hexdigest()[:12]

    def encode(self, particles: Particles) -> Int[np.ndarray, "n"]:
        """The bin of each particle.

        Raises:
          ValueError: for a pT that is not positive, or a value that is not finite.
        """
        return np.ravel_multi_index(self._places(particles), self.shape)

    def outside(self, particles: Particles) -> dict[str, int]:
        """Number of particles in the bins without an end, by variable: their values are
        lost."""
        return {
            name: int(((place == 0) | (place == bins - 1)).sum())
            for name, place, bins in zip(
                ("log_pt", "deta", "dphi"),
                self._places(particles),
                self.shape,
                strict=True,
            )
        }

    def decode(
        self, tokens: Int[np.ndarray, "n"], rng: np.random.Generator
    ) -> Particles:
        """A particle for each token, uniform in its bin; at the edge of a bin without
        an end.

        Raises:
          ValueError: for a token that is no particle.
        """
        tokens = np.asarray(tokens)
        bad = np.flatnonzero((tokens < 0) | (tokens >= self.start))
        if bad.size:
            raise ValueError(
                f"token {tokens[bad[0]]} at place {bad[0]} is no particle: those are 0"
                f" to {self.start - 1}"
            )
        places = np.unravel_index(tokens, self.shape)
        log_pt, deta, dphi = (
            _within(edges, place, rng)
            for edges, place in zip(self._edges, places, strict=True)
        )
        return Particles(np.exp(log_pt), deta, dphi)

    def _places(self, particles: Particles) -> list[Int[np.ndarray, "n"]]:
        return [
            np.searchsorted(edges, column, side="right")
            for edges, column in zip(self._edges, _columns(particles), strict=True)
        ]


def _columns(particles: Particles) -> list[Float[np.ndarray, "n"]]:
    """log pT, deta and dphi, checked."""
    bad = np.flatnonzero(
        ~(np.isfinite(np.stack(particles)).all(axis=0) & (particles.pt > 0))
    )
    if bad.size:
        pt, deta, dphi = (float(column[bad[0]]) for column in particles)
        raise ValueError(
            f"particle {bad[0]} has pT {pt:g}, deta {deta:g} and dphi {dphi:g}, and"
            f" {len(bad)} like it cannot be encoded: pT must be positive and all finite"
        )
    return [np.log(particles.pt), particles.deta, particles.dphi]


def _within(
    edges: Float[np.ndarray, "e"],
    place: Int[np.ndarray, "n"],
    rng: np.random.Generator,
) -> Float[np.ndarray, "n"]:
    padded = np.concatenate([edges[:1], edges, edges[-1:]])
    low, high = padded[place], padded[place + 1]
    return low + (high - low) * rng.random(len(place))
