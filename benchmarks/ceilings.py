"""Peak throughput of a device, as contenders for the same race as a measurement."""

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from benchmarks.timing import Contender

SIDE = {"cpu": 1024}  # of a square matrix, large enough to hide the call's overhead
BYTES = {"cpu": 2**28}


def side() -> int:
    return SIDE.get(jax.default_backend(), 16_384)


def flops_of_product() -> float:
    return 2.0 * side() ** 3


def product(dtype: DTypeLike = jnp.float32) -> Contender:
    """Product of two large square matrices, at JAX's default precision for the type."""
    one = jnp.ones((side(), side()), dtype)
    multiply = jax.jit(jnp.matmul)

    def run() -> int:
        jax.block_until_ready(multiply(one, one))
        return 1

    return run


def bytes_of_sweep() -> float:
    """Bytes of one `sweep`, each read once and written once."""
    return 2.0 * BYTES.get(jax.default_backend(), 2**33)


def sweep() -> Contender:
    """Negation of a large array in place: a new copy on a CPU would measure the
    allocation of pages."""
    array = jnp.ones(int(bytes_of_sweep()) // 8, jnp.float32)
    turn = jax.jit(jnp.negative, donate_argnums=0)

    def run() -> int:
        nonlocal array
        array = jax.block_until_ready(turn(array))
        return 1

    return run
