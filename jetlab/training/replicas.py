"""Many runs of one shape at once: their states stacked, a new run in a finished place.

Lanes differ in everything that is an array: seed, rates, data order, length. They know
nothing of each other, so a run gives the numbers that it gives alone.
"""

import time
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Key

from jetlab.training import early_stopping
from jetlab.training.early_stopping import Best
from jetlab.training.mesh import by_lane, everywhere, place_steps, shard_chunk
from jetlab.training.optimizer import Rates
from jetlab.training.scan import Chunk, Steps, Take
from jetlab.training.step import Engine, TrainState

MOST = 256  # lanes
GAIN = 1.4  # in speed, that twice the lanes must bring

QUICK = {"xla_backend_optimization_level": "0"}
"""For what runs once, and had better compile fast than run fast: a third of the time.
"""


class Lane(NamedTuple):
    """All that a run carries: one pytree; `best` only where it may stop early."""

    train: TrainState
    best: Best | tuple[()]


class Lanes:
    """So many places for runs on a mesh of devices, equally many on each.

    `state` is one pytree whose leaves have a leading axis of lanes; it can be saved
    and put back as it is. What `advance` reads lies `everywhere` on the mesh.
    """

    def __init__(
        self, engine: Engine, take: Take, mesh: Mesh, count: int, *, stops: bool
    ):
        self.count, self._mesh = count, mesh
        self._programs = _programs(engine, take, mesh, stops)
        self.state = self._programs.blank(count)

    def start(self, lane: int, key: Key[Array, ""], rates: Rates) -> None:
        """Put a new run into a place."""
        new = self._programs.init(key, rates)
        self.state = self._programs.put(self.state, lane, new)

    def advance(self, store: Any, steps: Sequence[Steps]) -> Array:
        """A chunk of every lane: the loss of each pass, (lanes, passes)."""
        placed = place_steps(steps, self._mesh)
        train, losses = self._programs.chunk(self.state.train, store, placed)
        self.state = self.state._replace(train=train)
        return losses

    def params(self, lane: int) -> Any:
        """The parameters of a run as they are."""
        return self._programs.get(self.state.train.params, lane)

    def consider(self, lane: int, loss: float) -> tuple[int, int]:
        """Weigh a validation loss: the step of the best one, evaluations since."""
        train, best = self._programs.get(self.state, lane)
        best = early_stopping.consider(
            best, train.params, jnp.float32(loss), train.step
        )
        self.state = self._programs.put(self.state, lane, Lane(train, best))
        return int(best.step), int(best.waited)

    def best_params(self, lane: int) -> Any:
        return self._programs.get(self.state.best.params, lane)

    def keep(self, lanes: Sequence[int]) -> Any:
        """The states of these lanes, for a smaller set of them on the same mesh."""
        return self._programs.keep(self.state, jnp.asarray(lanes))


class _Programs(NamedTuple):
    """Traced once for each shape."""

    blank: Callable[[int], Any]  # states of so many lanes, to be written over
    init: Callable[[Array, Rates], Lane]
    chunk: Chunk
    get: Callable[[Any, int], Any]  # (states, lane) -> its state
    put: Callable[[Any, int, Any], Any]  # (states, lane, its state) -> states
    keep: Callable[[Any, Array], Any]


@lru_cache(64)
def _programs(engine: Engine, take: Take, mesh: Mesh, stops: bool) -> _Programs:
    one, many = everywhere(mesh), by_lane(mesh)

    def init(key: Key[Array, ""], rates: Rates) -> Lane:
        train = engine.init(key, rates)
        return Lane(train, early_stopping.begin(train.params) if stops else ())

    start = jax.jit(init, out_shardings=one, compiler_options=QUICK)

    def blank(count: int) -> Any:
        like = jax.eval_shape(start, jax.random.key(0), Rates())
        return jax.tree.map(partial(_zeros, count), like)

    def get(states: Any, lane: Array) -> Any:
        return jax.tree.map(lambda a: a[lane], states)

    def put(states: Any, lane: Array, new: Any) -> Any:
        return jax.tree.map(lambda a, b: a.at[lane].set(b), states, new)

    return _Programs(
        jax.jit(blank, static_argnums=0, out_shardings=many, compiler_options=QUICK),
        start,
        shard_chunk(engine, take, mesh),
        jax.jit(get, out_shardings=one),
        jax.jit(put, out_shardings=many, donate_argnums=0),
        jax.jit(get, out_shardings=many),
    )


def _zeros(count: int, leaf: jax.ShapeDtypeStruct) -> Array:
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return jax.random.split(jax.random.key(0), count)
    return jnp.zeros((count, *leaf.shape), leaf.dtype)


class Probe(NamedTuple):
    """A piece of a run's work, for choosing how many lanes to have."""

    call: Callable[[], Any]  # does it once for all lanes
    bytes: int  # memory that it takes


def choose(probe: Callable[[int], Probe], wanted: int, share: float = 0.5) -> int:
    """How many lanes pay on this device: a power of two up to `wanted` and `MOST`.

    Twice the lanes must do at least `GAIN` times the work in the same time, and fit a
    `share` of the memory. Where one run fills the machine, as on a CPU, that is one.
    """
    stats = jax.devices()[0].memory_stats()
    limit = np.inf if stats is None else share * stats["bytes_limit"]
    lanes, speed = 1, 1 / _seconds(probe(1).call)
    while 2 * lanes <= min(wanted, MOST):
        wider = probe(2 * lanes)
        if wider.bytes > limit:
            break
        faster = 2 * lanes / _seconds(wider.call)
        if faster < GAIN * speed:
            break
        lanes, speed = 2 * lanes, faster
    return lanes


def _seconds(call: Callable[[], Any]) -> float:
    """The best of a few calls: what disturbs only makes them longer."""
    jax.block_until_ready(call())
    times = []
    for _ in range(5):
        begin = time.perf_counter()
        jax.block_until_ready(call())
        times.append(time.perf_counter() - begin)
    return min(times)
