"""What a device does at most, as contenders that race beside what is measured."""

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from benchmarks.timing import Contender

SIDE = {"cpu": 1024}  # of a square matrix: long enough to hide the call
BYTES = {"cpu": 2**28}


def side() -> int:
    return SIDE.get(jax.default_backend(), 16_384)


def flops_of_product() -> float:
    return 2.0 * side() ** 3


def product(dtype: DTypeLike = jnp.float32) -> Contender:
    """Products of large square matrices, at JAX's default precision for the type."""
    one = jnp.ones((side(), side()), dtype)
    multiply = jax.jit(jnp.matmul)

    def run() -> int:
        jax.block_until_ready(multiply(one, one))
        return 1

    return run


def bytes_of_sweep() -> float:
    """Read once and written once."""
    return 2.0 * BYTES.get(jax.default_backend(), 2**33)


def sweep() -> Contender:
    """A large array copied onto itself with the sign turned: in place, as a fresh copy
    on a CPU would measure how fast the system hands out pages."""
    array = jnp.ones(int(bytes_of_sweep()) // 8, jnp.float32)
    turn = jax.jit(jnp.negative, donate_argnums=0)

    def run() -> int:
        nonlocal array
        array = jax.block_until_ready(turn(array))
        return 1

    return run
