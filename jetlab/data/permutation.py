"""In which order a run sees its jets, whether they come from memory or from disk."""

import numpy as np
from jaxtyping import Int


def order(
    pool: int, num_train: int, seed: int, epoch: int
) -> Int[np.ndarray, "examples"]:
    """Numbers of the jets of one epoch, in the order in which they are trained on.

    The `examples` jets are the first of a permutation of the pool that depends on the
    seed alone, so that fewer examples are a prefix of more. Epoch 0 takes them in that
    order, every later epoch in another one. Raises ValueError past the pool.
    """
    if not 0 < num_train <= pool:
        raise ValueError(f"{num_train} examples of a pool of {pool} jets")
    chosen = np.random.default_rng([seed, 0]).permutation(pool)[:num_train]
    if epoch == 0:
        return chosen
    return np.random.default_rng([seed, epoch]).permutation(chosen)
