"""The order of training jets, equal for jets in memory and jets in a store."""

import numpy as np
from jaxtyping import Int


def epoch_permutation(
    pool: int, num_train: int, seed: int, epoch: int
) -> Int[np.ndarray, "num_train"]:
    """Numbers of the training jets in the order in which one epoch visits them.

    The training set is the first `num_train` jets of a permutation of the pool that
    depends on the seed only, so smaller sets are prefixes of larger ones. Epoch 0
    visits it in this order, each later epoch in a permutation of its own.

    Raises:
      ValueError: unless 0 < `num_train` <= `pool`.
    """
    if not 0 < num_train <= pool:
        raise ValueError(f"{num_train} training jets from a pool of {pool} jets")
    chosen = np.random.default_rng([seed, 0]).permutation(pool)[:num_train]
    if epoch == 0:
        return chosen
    return np.random.default_rng([seed, epoch]).permutation(chosen)
