"""One run as a pair of pure functions; the only place where a gradient is taken."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import Array, Float, Int, Key

from jetlab.training.optimizer import Rates, adamw, set_rates


@runtime_checkable
class Model(Protocol):
    """A frozen config that builds a Flax module."""

    def build(self, rngs: nnx.Rngs) -> nnx.Module: ...


Loss = Callable[[Any, Any, nnx.Rngs], Float[Array, ""]]
"""(module, batch, rngs for dropout) -> the number to make small."""


class TrainState(NamedTuple):
    """All that a run carries from step to step: one pytree."""

    params: Any
    opt_state: Any
    key: Key[Array, ""]  # of the run; step i uses fold_in(key, i)
    step: Int[Array, ""]


class Info(NamedTuple):
    """What a step shows and nobody needs to go on."""

    loss: Float[Array, ""]
    grad_norm: Float[Array, ""]


class Engine(NamedTuple):
    """`init(key, rates) -> state` and `step(state, batch) -> (state, info)`.

    `module(params)` is the Flax module of some parameters, for reading it.
    """

    init: Callable[[Key[Array, ""], Rates], TrainState]
    step: Callable[[TrainState, Any], tuple[TrainState, Info]]
    module: Callable[[Any], Any]


def make_engine(model: Model, loss: Loss) -> Engine:
    """Training of any model under any loss with AdamW.

    The module's static part is taken once; the state is a plain pytree that can be
    scanned, vmapped, sharded and saved.
    """
    tx = adamw()
    abstract = nnx.eval_shape(lambda: model.build(nnx.Rngs(0)))
    graphdef, _ = nnx.split(abstract, nnx.Param)

    def init(key: Key[Array, ""], rates: Rates) -> TrainState:
        weights, noise = jax.random.split(key)
        params = nnx.as_pure(nnx.state(model.build(nnx.Rngs(weights)), nnx.Param))
        opt_state = set_rates(tx.init(params), rates)
        return TrainState(params, opt_state, noise, jnp.zeros((), jnp.int32))

    def module(params: Any) -> Any:
        return nnx.merge(graphdef, params)

    def objective(params: Any, batch: Any, key: Key[Array, ""]) -> Float[Array, ""]:
        return loss(module(params), batch, nnx.Rngs(dropout=key))

    def step(state: TrainState, batch: Any) -> tuple[TrainState, Info]:
        key = jax.random.fold_in(state.key, state.step)
        value, grads = jax.value_and_grad(objective)(state.params, batch, key)
        updates, opt_state = tx.update(grads, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        following = TrainState(params, opt_state, state.key, state.step + 1)
        return following, Info(value, optax.tree.norm(grads))

    return Engine(init, step, module)
