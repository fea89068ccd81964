"""One run as pure functions; the only place where a gradient is taken."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int, Key

from jetlab.training.optimizer import (
    Averaged,
    Hyperparams,
    adamw,
    annealed,
    averaged,
    set_hyperparams,
)
from jetlab.types import ModelConfig

Loss = Callable[[Any, Any, nnx.Rngs], Float[Array, ""]]
"""(module, batch, rngs for dropout) -> the number to minimise."""


class TrainState(NamedTuple):
    """All that a run carries from step to step: one pytree."""

    params: Any
    opt_state: Any
    key: Key[Array, ""]  # of the run; step i uses fold_in(key, i)
    step: Int[Array, ""]


class Engine(NamedTuple):
    """Pure functions of a run, to be jitted, scanned, vmapped and sharded.

    `step` is `update` after `gradient`; a batch of several micro-batches adds up their
    gradients first. `module(params)` is the Flax module with these parameters.
    """

    init: Callable[[Key[Array, ""], Hyperparams], TrainState]
    gradient: Callable[[TrainState, Any], tuple[Float[Array, ""], Any]]
    update: Callable[[TrainState, Any], TrainState]
    module: Callable[[Any], Any]

    def step(self, state: TrainState, batch: Any) -> tuple[TrainState, Array]:
        """One step of training, and the loss before it."""
        value, grads = self.gradient(state, batch)
        return self.update(state, grads), value


def make_engine(
    model: ModelConfig,
    loss: Loss,
    compute: DTypeLike = jnp.float32,
    averaging: float = 0.0,
    annealing: bool = False,
) -> Engine:
    """Training of any model under any loss with AdamW; with `annealing` the rate falls
    at the end, with `averaging` weights are averaged (`jetlab.training.optimizer`).

    The module's static part is taken once; the state is a plain pytree that can be
    scanned, vmapped, sharded and saved. Parameters, gradients and optimizer are kept
    in float32; the loss is computed with parameters rounded to `compute`.
    """
    tx = annealed(adamw()) if annealing else adamw()
    tx = averaged(tx, averaging) if averaging else tx
    abstract = nnx.eval_shape(lambda: model.build(nnx.Rngs(0)))
    graphdef, _ = nnx.split(abstract, nnx.Param)

    def init(key: Key[Array, ""], hyperparams: Hyperparams) -> TrainState:
        weights, noise = jax.random.split(key)
        params = nnx.as_pure(nnx.state(model.build(nnx.Rngs(weights)), nnx.Param))
        opt_state = set_hyperparams(tx.init(params), hyperparams)
        return TrainState(params, opt_state, noise, jnp.zeros((), jnp.int32))

    def module(params: Any) -> Any:
        rounded = jax.tree.map(lambda p: p.astype(compute), params)
        return nnx.merge(graphdef, rounded)

    def gradient(state: TrainState, batch: Any) -> tuple[Float[Array, ""], Any]:
        key = jax.random.fold_in(state.key, state.step)

        def objective(params: Any) -> Float[Array, ""]:
            return loss(module(params), batch, nnx.Rngs(dropout=key))

        return jax.value_and_grad(objective)(state.params)

    def update(state: TrainState, grads: Any) -> TrainState:
        updates, opt_state = tx.update(grads, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        return TrainState(params, opt_state, state.key, state.step + 1)

    return Engine(init, gradient, update, module)


def average_of(state: TrainState) -> Any:
    """The averaged parameters of a run, or those after its last step where it averages
    none."""
    own = state.opt_state
    return own.average if isinstance(own, Averaged) else state.params


def abstract_params(model: ModelConfig) -> Any:
    """The shapes and types of a model's parameters, as a pytree."""
    abstract = nnx.eval_shape(lambda: model.build(nnx.Rngs(0)))
    return nnx.as_pure(nnx.state(abstract, nnx.Param))


@lru_cache(256)
def num_params(model: ModelConfig) -> int:
    """N: all parameters of a model, embeddings, norms and head included."""
    return sum(leaf.size for leaf in jax.tree.leaves(abstract_params(model)))
