"""AdamW with its hyperparameters in the state, annealed rates, averaged weights, and
early stopping.

Hyperparameters are arrays of the optimizer's state, so one compiled program serves runs
that differ in them.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int


class Hyperparams(NamedTuple):
    """What may differ between runs of one compiled program; constant over a run."""

    learning_rate: Float[Array, ""] | float = 1e-4
    weight_decay: Float[Array, ""] | float = 1e-2
    steps: float = 1.0  # of the run
    annealing: float = 0.0  # share of them over which the rate falls


def adamw() -> optax.GradientTransformationExtraArgs:
    """AdamW (arXiv:1711.05101) with betas 0.9, 0.999; `set_hyperparams` before use.

    Decay acts on every parameter, biases and norms too, as PyTorch's default does.
    """
    make = optax.inject_hyperparams(
        optax.adamw, static_args=("b1", "b2", "eps", "eps_root", "nesterov")
    )
    return make(learning_rate=0.0, weight_decay=0.0)


def set_hyperparams(state: Any, hyperparams: Hyperparams) -> Any:
    """The state of `adamw()` with these hyperparameters."""
    if isinstance(state, Averaged):
        return state._replace(inner=set_hyperparams(state.inner, hyperparams))
    if isinstance(state, Annealed):
        return state._replace(
            inner=set_hyperparams(state.inner, hyperparams),
            end=jnp.asarray(hyperparams.steps, jnp.float32),
            fall=jnp.asarray(hyperparams.steps * hyperparams.annealing, jnp.float32),
        )
    rate, decay = hyperparams[:2]
    values = {"learning_rate": rate, "weight_decay": decay}.items()
    return state._replace(
        hyperparams={k: jnp.asarray(v, jnp.float32) for k, v in values}
    )


class Annealed(NamedTuple):
    """The state of an optimizer, the steps that it has taken, those of the run (`end`)
    and those over which the rate falls."""

    inner: Any
    done: Int[Array, ""]
    end: Float[Array, ""]
    fall: Float[Array, ""]


def annealed(
    inner: optax.GradientTransformationExtraArgs,
) -> optax.GradientTransformationExtraArgs:
    """An optimizer whose rate falls linearly over the last steps of a run and would be
    zero after the last (arXiv:2405.18392). The updates of AdamW are proportional to the
    rate, so they are scaled."""

    def init(params: Any) -> Annealed:
        one = jnp.ones((), jnp.float32)
        return Annealed(inner.init(params), jnp.zeros((), jnp.int32), one, one)

    def update(grads: Any, state: Any, params: Any = None, **more: Any) -> Any:
        updates, after = inner.update(grads, state.inner, params, **more)
        share = jnp.clip((state.end - state.done) / state.fall, 0.0, 1.0)
        updates = jax.tree.map(lambda u: share * u, updates)
        return updates, state._replace(inner=after, done=state.done + 1)

    return optax.GradientTransformationExtraArgs(init, update)  # pyright: ignore


class Averaged(NamedTuple):
    """The state of an optimizer, and the average of the weights after its steps."""

    inner: Any
    average: Any
    count: Int[Array, ""]


WIDEST_AVERAGE = 12**-0.5
"""The relative width of the mean of all steps, the widest power-law average."""


def power_of_average(width: float) -> float:
    """The power p of an average whose weight of step t rises as t^p, by its relative
    width: the standard deviation of that weight over the steps so far, as a share of
    their number.

    width^2 = (p + 1) / ((p + 2)^2 (p + 3)), the standard deviation of the density
    (p + 1) t^p on (0, 1), as in arXiv:2312.02696, Appendix C.
    """
    s = width**2
    roots = np.roots([s, 7 * s, 16 * s - 1, 12 * s - 1])
    return float(max(r.real for r in roots if abs(r.imag) < 1e-9))


def averaged(
    inner: optax.GradientTransformationExtraArgs, width: float
) -> optax.GradientTransformationExtraArgs:
    """An optimizer that also keeps the power-law average of the weights of a relative
    `width`. At every step it covers the same share of the run so far, so one trajectory
    serves runs of every length."""
    power = power_of_average(width)

    def init(params: Any) -> Averaged:
        zeros = jax.tree.map(jnp.zeros_like, params)
        return Averaged(inner.init(params), zeros, jnp.zeros((), jnp.int32))

    def update(grads: Any, state: Any, params: Any = None, **more: Any) -> Any:
        updates, after = inner.update(grads, state.inner, params, **more)
        count = state.count + 1
        share = 1 - (1 - 1 / count.astype(jnp.float32)) ** (power + 1)
        average = jax.tree.map(
            lambda a, p: a + share * (p - a),
            state.average,
            optax.apply_updates(params, updates),
        )
        return updates, Averaged(after, average, count)

    return optax.GradientTransformationExtraArgs(init, update)  # pyright: ignore


class Best(NamedTuple):
    """The parameters of the lowest validation loss, for early stopping."""

    params: Any
    loss: Float[Array, ""]
    step: Int[Array, ""]
    waited: Int[Array, ""]  # evaluations since


def no_best(params: Any) -> Best:
    """The state before the first evaluation."""
    zero = jnp.zeros((), jnp.int32)
    return Best(params, jnp.asarray(jnp.inf, jnp.float32), zero, zero)


def update_best(best: Best, params: Any, loss: Array, step: Array) -> Best:
    """These parameters in place of the best where their loss is lower; a NaN is not."""
    better = loss < best.loss

    def pick(new: Array, old: Array) -> Array:
        return jnp.where(better, new, old)

    return Best(
        jax.tree.map(pick, params, best.params),
        pick(jnp.asarray(loss, jnp.float32), best.loss),
        pick(step, best.step),
        jnp.where(better, 0, best.waited + 1),
    )
