"""The Bayes limit of simulated jets: the lowest loss that a tagger can reach.

For equally likely classes and an exact p(jet | c) the posterior is exact, and its
cross-entropy E[-ln p(c | jet)] is a lower bound for every function of the inputs. Its
mean entropy has the same expectation and a smaller Monte Carlo error; a difference
between the two would be an error of the likelihood.
"""

import json
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jax.scipy.special import logsumexp
from jaxtyping import Array, Float, Int

from jetlab.data.features import Inputs
from jetlab.data.shower.known_posterior import configuration_name
from jetlab.data.shower.likelihood import ObservedVariables, log_prob
from jetlab.data.shower.parameters import VERSION
from jetlab.data.shower.sampling import Showers
from jetlab.data.shower.source import BAYES, BLOCK, Shower


class BayesLimit(NamedTuple):
    """Cross-entropy and mean entropy of the exact posterior in nats, with Monte Carlo
    errors, and its accuracy."""

    loss: float
    error: float
    entropy: float
    entropy_error: float
    accuracy: float


BAYES_LIMITS = {
    "kinematics-40": BayesLimit(0.7600, 0.0046, 0.7590, 0.0030, 0.698),
    "full-10": BayesLimit(0.6409, 0.0048, 0.6416, 0.0029, 0.769),
    "full-40": BayesLimit(0.3372, 0.0037, 0.3350, 0.0021, 0.871),
    "full-128": BayesLimit(0.3302, 0.0051, 0.3248, 0.0030, 0.874),
}
"""Limits of version v1 by input configuration, from 40,000 jets of seed 0 (20,000 for
128 particles)."""

REJECTIONS = Path(__file__).with_name("v1_ideal.json")
"""Rejections of the exact posterior, written by `benchmarks/ideal_tagger.py`."""


def bayes_limit(
    variables: ObservedVariables, *, jets: int = 20_000, seed: int = 0
) -> BayesLimit:
    """Monte Carlo estimate of the Bayes limit for the observed variables.

    Raises:
      ValueError: unless `jets` is a positive multiple of 1000.
    """
    log_p, label = posterior(variables, jets=jets, seed=seed)
    loss = -log_p[np.arange(jets), label]
    entropy = -(np.exp(log_p) * log_p).sum(1)
    return BayesLimit(
        loss=float(loss.mean()),
        error=float(loss.std() / np.sqrt(jets)),
        entropy=float(entropy.mean()),
        entropy_error=float(entropy.std() / np.sqrt(jets)),
        accuracy=float((log_p.argmax(1) == label).mean()),
    )


def posterior(
    variables: ObservedVariables,
    *,
    jets: int,
    seed: int = 0,
    progress: Callable[[range], Iterable[int]] = iter,
) -> tuple[Float[np.ndarray, "b 10"], Int[np.ndarray, "b"]]:
    """ln p(class | jet) and classes of jets that no other stream of the seed has.

    Args:
      variables: the observed variables.
      jets: number of jets, a positive multiple of 1000.
      seed: seed of the shower.
      progress: wraps the range of blocks, as `tqdm` does.

    Raises:
      ValueError: unless `jets` is a positive multiple of 1000.
    """
    if jets < 1 or jets % BLOCK:
        raise ValueError(f"jets={jets}: choose a positive multiple of {BLOCK}")
    source = Shower(seed=seed)
    found = []
    for number in progress(range(jets // BLOCK)):
        block = source.showers(BAYES, number)
        found.append(
            (np.asarray(log_posterior(block, variables)), np.asarray(block.label))
        )
    log_p, label = zip(*found, strict=True)
    return np.concatenate(log_p), np.concatenate(label)


def log_posterior(
    showers: Showers, variables: ObservedVariables
) -> Float[Array, "b 10"]:
    """ln p(class | jet) of the observed variables for equally likely classes."""
    joint = log_prob(showers, variables)
    return joint - logsumexp(joint, axis=1, keepdims=True)


def known_limit(source: str, inputs: str | Inputs) -> tuple[float, float] | None:
    """The known Bayes limit and its Monte Carlo error, in nats.

    Args:
      source: identity of the jets.
      inputs: an input configuration, or its label in a record. A configuration has a
        limit if it reads the same particles and features as a member of `INPUTS`; a
        label, if it is the name of one.

    Returns:
      None if the limit is unknown.
    """
    name = _known_name(source, inputs)
    limit = BAYES_LIMITS[name] if name else None
    return limit and (limit.loss, limit.error)


KnownRejection = tuple[float, float, float | None]
"""A rejection and its 68 % interval; without an upper end it is a lower limit."""


def known_rejections(
    source: str, inputs: str | Inputs
) -> dict[tuple[str, float], KnownRejection] | None:
    """Rejections of the exact posterior by signal class and signal efficiency.

    Arguments as of `known_limit`; None if they are unknown.
    """
    name = _known_name(source, inputs)
    if name is None:
        return None
    return {
        (row["signal"], row["efficiency"]): (row["value"], row["low"], row["high"])
        for row in _rejections()[name]
    }


def _known_name(source: str, inputs: str | Inputs) -> str | None:
    """Name of the configuration whose limit applies."""
    simulator, _, _ = source.partition(":")
    if simulator != f"shower-{VERSION}":
        return None
    if isinstance(inputs, str):
        return inputs if inputs in BAYES_LIMITS else None
    return configuration_name(inputs)


@lru_cache(1)
def _rejections() -> dict:
    return json.loads(REJECTIONS.read_text())["rejections"]
