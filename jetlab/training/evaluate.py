"""What a tagger reaches on held-out jets, with its sampling error."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int

from jetlab.training.step import Engine
from jetlab.types import Jets

BLOCK = 512  # jets at a time: bounds the memory of attention


class Scores(NamedTuple):
    """Means over held-out jets; losses in nats."""

    loss: float
    error: float  # sampling error of the loss
    accuracy: float


class PerJet(NamedTuple):
    """-ln p(true class) of each jet, and whether the true class came first."""

    loss: Float[Array, "b"]
    correct: Bool[Array, "b"]


def make_evaluate(engine: Engine) -> Callable[[Any, Jets], PerJet]:
    """`evaluate(params, jets)`, jitted, without dropout, in blocks of jets."""

    def evaluate(params: Any, jets: Jets) -> PerJet:
        tagger = engine.module(params)

        def block(rows: Int[Array, "b"]) -> PerJet:
            x, mask, y = (a[rows] for a in jets)
            logits = tagger(x, mask)
            nll = optax.softmax_cross_entropy_with_integer_labels(logits, y)
            return PerJet(nll, jnp.argmax(logits, axis=-1) == y)

        count = len(jets.y)
        # the last block is filled up with jets that are then cut off again
        rows = jnp.arange(-(-count // BLOCK) * BLOCK) % count
        results = jax.lax.map(block, rows.reshape(-1, BLOCK))
        return PerJet(*(a.reshape(-1)[:count] for a in results))

    return jax.jit(evaluate)


def summarise(per_jet: PerJet, labels: Int[np.ndarray, "b"]) -> Scores:
    """Mean loss with the error of a sample that is balanced by class.

    As each class has a fixed share, only the spread inside the classes counts:
    error^2 = sum_k (n_k / n)^2 s_k^2 / n_k.
    """
    losses = np.asarray(per_jet.loss, dtype=np.float64)
    variance = 0.0
    for label in np.unique(labels):
        of_class = losses[labels == label]
        spread = of_class.var(ddof=1) if len(of_class) > 1 else np.nan
        variance += spread * len(of_class) / len(losses) ** 2
    accuracy = float(np.mean(np.asarray(per_jet.correct)))
    return Scores(float(losses.mean()), float(np.sqrt(variance)), accuracy)
