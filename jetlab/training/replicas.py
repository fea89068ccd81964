"""Replicas: independent runs of one compiled program at once, their states stacked.

Replicas differ in everything that is an array: seed, hyperparameters, order of jets,
length. They do not interact, so a run gives the numbers that it gives alone; a new run
takes the place of a finished one.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jaxtyping import Array, Key

from jetlab.training.mesh import by_replica, put_schedules, replicated, shard_scan
from jetlab.training.optimizer import Best, Hyperparams, no_best, update_best
from jetlab.training.scan import GatherFn, MicroBatches, Scan
from jetlab.training.step import Engine, TrainState, average_of

QUICK = {"xla_backend_optimization_level": "0"}
"""Compiler options of programs that run once: they compile in a third of the time."""


class ReplicaState(NamedTuple):
    """All that a run carries: one pytree; `best` only where it may stop early."""

    train: TrainState
    best: Best | tuple[()]


class Replicas:
    """`count` replicas on a mesh of devices, equally many on each.

    `state` is one pytree whose leaves have a leading axis of replicas; it can be saved
    and put back as it is. The jets that `advance` reads are `replicated` on the mesh.
    """

    def __init__(
        self, engine: Engine, gather: GatherFn, mesh: Mesh, count: int, *, stops: bool
    ):
        self.count, self._mesh = count, mesh
        self._programs = _programs(engine, gather, mesh, stops)
        self.state = self._programs.zeros(count)

    def start(
        self,
        replica: int,
        key: Key[Array, ""],
        hyperparams: Hyperparams,
        params: Any = None,
    ) -> None:
        """Begin a new run in a replica, from given parameters or the model's own."""
        new = self._programs.init(key, hyperparams)
        if params is not None:
            new = new._replace(train=new.train._replace(params=params))
        self.state = self._programs.put(self.state, replica, new)

    def advance(self, jets: Any, schedules: Sequence[MicroBatches]) -> Array:
        """A scan of every replica: the loss of each entry, (replicas, entries)."""
        placed = put_schedules(schedules, self._mesh)
        train, losses = self._programs.scan(self.state.train, jets, placed)
        self.state = self.state._replace(train=train)
        return losses

    def params(self, replica: int) -> Any:
        """The parameters of a run after its last step."""
        return self._programs.get(self.state.train.params, replica)

    def average(self, replica: int) -> Any:
        """The averaged parameters of a run, or the last where it averages none."""
        return self._programs.get(average_of(self.state.train), replica)

    def update_best(self, replica: int, loss: float) -> tuple[int, int]:
        """Compare a validation loss with the best: the best's step, evaluations since
        it."""
        train, best = self._programs.get(self.state, replica)
        best = update_best(best, average_of(train), jnp.float32(loss), train.step)
        new = ReplicaState(train, best)
        self.state = self._programs.put(self.state, replica, new)
        return int(best.step), int(best.waited)

    def best_params(self, replica: int) -> Any:
        """The parameters of the lowest validation loss."""
        return self._programs.get(self.state.best.params, replica)

    def gather(self, replicas: Sequence[int]) -> Any:
        """The states of these replicas, for fewer of them on the same mesh."""
        return self._programs.gather(self.state, jnp.asarray(replicas))


class _Programs(NamedTuple):
    """Traced once for each shape."""

    zeros: Callable[[int], Any]  # states of a number of replicas, to be written over
    init: Callable[[Array, Hyperparams], ReplicaState]
    scan: Scan
    get: Callable[[Any, int], Any]  # (states, replica) -> its state
    put: Callable[[Any, int, Any], Any]  # (states, replica, its state) -> states
    gather: Callable[[Any, Array], Any]


@lru_cache(64)
def _programs(engine: Engine, gather: GatherFn, mesh: Mesh, stops: bool) -> _Programs:
    one, many = replicated(mesh), by_replica(mesh)

    def init(key: Key[Array, ""], hyperparams: Hyperparams) -> ReplicaState:
        train = engine.init(key, hyperparams)
        return ReplicaState(train, no_best(train.params) if stops else ())

    start = jax.jit(init, out_shardings=one, compiler_options=QUICK)

    def zeros(count: int) -> Any:
        like = jax.eval_shape(start, jax.random.key(0), Hyperparams())
        return jax.tree.map(partial(_zeros, count), like)

    def get(states: Any, replica: Array) -> Any:
        return jax.tree.map(lambda a: a[replica], states)

    def put(states: Any, replica: Array, new: Any) -> Any:
        return jax.tree.map(lambda a, b: a.at[replica].set(b), states, new)

    return _Programs(
        jax.jit(zeros, static_argnums=0, out_shardings=many, compiler_options=QUICK),
        start,
        shard_scan(engine, gather, mesh),
        jax.jit(get, out_shardings=one),
        jax.jit(put, out_shardings=many, donate_argnums=0),
        jax.jit(get, out_shardings=many),
    )


def _zeros(count: int, leaf: jax.ShapeDtypeStruct) -> Array:
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return jax.random.split(jax.random.key(0), count)
    return jnp.zeros((count, *leaf.shape), leaf.dtype)
