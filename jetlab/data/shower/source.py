"""The simulated shower as a source of jets.

The density of a jet in each class is known exactly (`likelihood`), and with it the loss
of the best possible tagger (`bayes_limit`).

The likelihood is that of the variables which the inputs of a network determine. All
jets have the same pT: if it varied, the likelihood of inputs without the jet's pT would
need an integral over it. The jet's eta and phi are independent of all else, and
particles are massless. The rounding of `Jets` to float16 is far finer than the
narrowest structure.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from jetlab.data.features import Inputs
from jetlab.data.shower.decays import JET_PT
from jetlab.data.shower.known_posterior import known_posterior
from jetlab.data.shower.parameters import VERSION
from jetlab.data.shower.sampling import Showers, sample
from jetlab.types import CLASSES, Jets, Posterior

BLOCK = 1000  # jets sampled together: one compiled shape
TRAIN, VALID, BAYES = range(3)  # streams of random numbers


@dataclass(frozen=True, kw_only=True)
class Shower:
    """An unlimited source of simulated jets that depend on the seed only."""

    seed: int = 0

    @property
    def simulator(self) -> str:
        """Name and version, to which likelihood and Bayes limits belong."""
        return f"shower-{VERSION}"

    @property
    def identity(self) -> str:
        return f"{self.simulator}:seed={self.seed}"

    @property
    def classes(self) -> tuple[str, ...]:
        return CLASSES

    @property
    def held_out(self) -> None:
        return None

    @property
    def size(self) -> None:
        return None

    def train(self, start: int, stop: int) -> Jets:
        """Training jets `start` to `stop` - 1; each block of 1000 has 100 per class.

        Raises:
          ValueError: unless 0 <= `start` < `stop`.
        """
        if not 0 <= start < stop:
            raise ValueError(f"train({start}, {stop}): choose 0 <= start < stop")
        return self._slice(TRAIN, start, stop)

    def valid(self, count: int) -> Jets:
        """`count` validation jets, `count` / 10 of each class.

        Raises:
          ValueError: unless `count` is a positive multiple of 10.
        """
        if count < 1 or count % len(CLASSES):
            raise ValueError(f"valid({count}): choose a positive multiple of 10 jets")
        return self._slice(VALID, 0, count)

    def posterior(self, count: int, inputs: Inputs) -> Posterior | None:
        """The exact posterior of the jets of `valid(count)`, for the jets and inputs
        for which it is kept (`jetlab.data.shower.known_posterior`)."""
        found = known_posterior(self.seed, count, inputs)
        return None if found is None else Posterior(found, exact=True)

    def showers(self, stream: int, block: int) -> Showers:
        """Block number `block` of a stream, as the likelihood takes it.

        The order of the classes is random in the training stream and cyclic in the
        others, where every ten jets are balanced.
        """
        key = jax.random.fold_in(
            jax.random.fold_in(jax.random.key(self.seed), stream), block
        )
        order, draw = jax.random.split(key)
        labels = jnp.arange(BLOCK) % len(CLASSES)
        if stream == TRAIN:
            labels = jax.random.permutation(order, labels)
        return sample(draw, labels)

    def _slice(self, stream: int, start: int, stop: int) -> Jets:
        first, last = start // BLOCK, (stop - 1) // BLOCK
        parts = []
        for block in range(first, last + 1):
            ends = np.clip([start - block * BLOCK, stop - block * BLOCK], 0, BLOCK)
            drawn = jax.device_get(self.showers(stream, block))
            parts.append(to_jets(jax.tree.map(lambda v, s=slice(*ends): v[s], drawn)))
        return Jets(*map(np.concatenate, zip(*parts, strict=True)))


def to_jets(showers: Showers) -> Jets:
    """Simulated jets in the form of stored jets: pT, energy and angles, ragged."""
    showers = jax.device_get(showers)
    mask = np.asarray(showers.mask)
    eta, phi = np.asarray(showers.axis).T
    pt = JET_PT * np.exp(-showers.t)
    sign = np.where(eta < 0, -1, 1)[:, None]  # undoes the sign convention of deta
    energy = pt * np.cosh(eta[:, None] + sign * showers.y[..., 0])
    d0, d0err, dz, dzerr = showers.marks[2:]
    measured = [pt, energy, showers.y[..., 0], showers.y[..., 1], d0, d0err, dz, dzerr]
    jet = [np.full_like(eta, JET_PT), eta, phi, JET_PT * np.cosh(eta)]
    return Jets(
        label=np.asarray(showers.label, np.int8),
        counts=mask.sum(-1, dtype=np.int32),
        jet=np.stack(jet, axis=-1).astype(np.float32),
        measured=np.stack(measured, axis=-1)[mask].astype(np.float16),
        charge=np.asarray(showers.marks.charge, np.int8)[mask],
        species=np.asarray(showers.marks.species, np.int8)[mask],
    )
