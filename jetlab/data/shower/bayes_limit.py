"""The loss that no tagger of simulated jets can beat, for each input configuration.

With ten classes equally likely and p(jet | c) exact, the posterior is exact, and its
cross-entropy E[-ln p(c | jet)] is the least that any function of the inputs can reach.
It is also the mean entropy of the posterior, which has the smaller Monte Carlo error;
where the two disagree the likelihood is wrong.
"""

import json
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jax.scipy.special import logsumexp
from jaxtyping import Array, Float, Int

from jetlab.data.shower.likelihood import View, log_prob
from jetlab.data.shower.parameters import VERSION
from jetlab.data.shower.sampling import Showers
from jetlab.data.shower.source import BLOCK, LIMIT, Shower


class Limit(NamedTuple):
    """Bayes limit in nats, each value with its Monte Carlo error."""

    loss: float
    error: float
    entropy: float
    entropy_error: float
    accuracy: float


LIMITS = {
    "kinematics-40": Limit(0.7600, 0.0046, 0.7590, 0.0030, 0.698),
    "full-10": Limit(0.6409, 0.0048, 0.6416, 0.0029, 0.769),
    "full-40": Limit(0.3372, 0.0037, 0.3350, 0.0021, 0.871),
    "full-128": Limit(0.3302, 0.0051, 0.3248, 0.0030, 0.874),
}
"""Limits of version v1, from 40,000 jets of seed 0 (20,000 where all 128 particles are
read)."""

IDEAL = Path(__file__).with_name("v1_ideal.json")
"""Rejections of the exact posterior, written by `benchmarks/ideal_tagger.py`."""


def bayes_limit(view: View, *, jets: int = 20_000, seed: int = 0) -> Limit:
    """The limit for what `view` shows, from fresh jets in whole blocks of 1000.

    Raises ValueError where `jets` is not a positive multiple of 1000.
    """
    log_p, label = posterior(view, jets=jets, seed=seed)
    loss = -log_p[np.arange(jets), label]
    entropy = -(np.exp(log_p) * log_p).sum(1)
    return Limit(
        loss=float(loss.mean()),
        error=float(loss.std() / np.sqrt(jets)),
        entropy=float(entropy.mean()),
        entropy_error=float(entropy.std() / np.sqrt(jets)),
        accuracy=float((log_p.argmax(1) == label).mean()),
    )


def posterior(
    view: View,
    *,
    jets: int,
    seed: int = 0,
    progress: Callable[[range], Iterable[int]] = iter,
) -> tuple[Float[np.ndarray, "b 10"], Int[np.ndarray, "b"]]:
    """ln p(class | jet) and the classes of fresh jets, as `bayes_limit` has them."""
    if jets < 1 or jets % BLOCK:
        raise ValueError(f"jets={jets}: ask for a positive multiple of {BLOCK}")
    source = Shower(seed=seed)
    found = []
    for number in progress(range(jets // BLOCK)):
        block = source.showers(LIMIT, number)
        found.append((np.asarray(log_posterior(block, view)), np.asarray(block.label)))
    log_p, label = zip(*found, strict=True)
    return np.concatenate(log_p), np.concatenate(label)


def log_posterior(showers: Showers, view: View) -> Float[Array, "b 10"]:
    """ln p(class | jet) of what `view` shows, all classes equally likely."""
    joint = log_prob(showers, view)
    return joint - logsumexp(joint, axis=1, keepdims=True)


def known_limit(source: str, inputs: str) -> tuple[float, float] | None:
    """Limit and error for the jets of a source's identity; None where nobody knows."""
    simulator, _, _ = source.partition(":")
    limit = LIMITS.get(inputs) if simulator == f"shower-{VERSION}" else None
    return limit and (limit.loss, limit.error)


Known = tuple[float, float, float | None]
"""A rejection with its 68 % interval; a lower limit where the last is None."""


def known_rejections(source: str, inputs: str) -> dict[tuple[str, float], Known] | None:
    """What no tagger of a source's jets can beat, by signal class and efficiency;
    None where nobody knows."""
    if known_limit(source, inputs) is None:
        return None
    return {
        (row["signal"], row["efficiency"]): (row["value"], row["low"], row["high"])
        for row in _ideal()["rejections"][inputs]
    }


@lru_cache(1)
def _ideal() -> dict:
    return json.loads(IDEAL.read_text())
