"""The number of replicas that pays on this device, measured on a part of a step."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

MOST = 256  # replicas
GAIN = 1.4  # in speed, that twice the replicas must bring


class Probe(NamedTuple):
    """A part of the work of a number of replicas."""

    call: Callable[[], Any]  # does it once for all replicas
    bytes: int  # memory that it takes


def tune_replicas(
    probe: Callable[[int], Probe], wanted: int, share: float = 0.5
) -> int:
    """The number of replicas for this device: a power of two up to `wanted` and `MOST`.

    Twice the replicas must do at least `GAIN` times the work in the same time, and fit
    a `share` of the memory. Where one run fills the machine, as on a CPU, that is one.
    """
    stats = jax.devices()[0].memory_stats()
    limit = np.inf if stats is None else share * stats["bytes_limit"]
    replicas, speed = 1, 1 / _seconds(probe(1).call)
    while 2 * replicas <= min(wanted, MOST):
        wider = probe(2 * replicas)
        if wider.bytes > limit:
            break
        faster = 2 * replicas / _seconds(wider.call)
        if faster < GAIN * speed:
            break
        replicas, speed = 2 * replicas, faster
    return replicas


def feed_forward_probe(width: int, rows: int, replicas: int) -> Probe:
    """The gradient of a Transformer's feed-forward block on `rows` tokens, vmapped.

    It is a third of a layer's arithmetic, quick to compile, and has its mixture of
    matrix products and elementwise work. Its memory counts twelvefold: four layers, a
    third each.
    """

    def loss(weights: Any, tokens: Float[Array, "t d"]) -> Float[Array, ""]:
        up, down = weights
        return jnp.square(jax.nn.gelu(tokens @ up) @ down).mean()

    weights = (
        jnp.ones((replicas, width, 4 * width)),
        jnp.ones((replicas, 4 * width, width)),
    )
    tokens = jnp.ones((rows, width))
    step = jax.jit(jax.vmap(jax.grad(loss), in_axes=(0, None)))
    compiled = step.lower(weights, tokens).compile()
    memory = compiled.memory_analysis()
    temporary = 0 if memory is None else memory.temp_size_in_bytes
    return Probe(lambda: compiled(weights, tokens), 12 * temporary)


def _seconds(call: Callable[[], Any]) -> float:
    """The best of a few calls: disturbances only make them longer."""
    jax.block_until_ready(call())
    times = []
    for _ in range(5):
        begin = time.perf_counter()
        jax.block_until_ready(call())
        times.append(time.perf_counter() - begin)
    return min(times)
