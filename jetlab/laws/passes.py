"""The best model, jets and passes for a budget: the optimum behind a simulation's plan.

Lanes are plans that differ in the law's parameters, in costs or in the passes allowed;
they go through one compiled program in chunks of one size.
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jetlab.laws.terms import Form

with warnings.catch_warnings():
    # JAXopt says at import that it is no longer maintained; its users cannot help it.
    warnings.simplefilter("ignore", DeprecationWarning)
    import jaxopt
    from jaxopt.linear_solve import solve_lu

HostOrDevice = Any  # of JAX inside the program, of NumPy outside
Params = Mapping[str, Float[np.ndarray, "m"]]

CHUNK = 64
TOLERANCE = 1e-13  # of the slope of log (L - L_inf) along log N and log E
CONVERGED = 1e-8
SIZES, PASSES = 49, 13  # the grid from whose best point the solver starts


class Lane(NamedTuple):
    """Parameters, and logarithms of the budget, of the costs of a jet's simulation and
    of 6 n_p, and of the fewest and most passes."""

    theta: dict[str, Float[HostOrDevice, "*m"]]
    budget: Float[HostOrDevice, "*m"]
    jet: Float[HostOrDevice, "*m"]
    step: Float[HostOrDevice, "*m"]
    fewest: Float[HostOrDevice, "*m"]
    most: Float[HostOrDevice, "*m"]

    def take(self, index: Int[np.ndarray, "some"]) -> "Lane":
        return jax.tree.map(lambda column: column[index], self)


@dataclass(frozen=True, kw_only=True)
class Terms:
    """Where the money goes, all in FLOPs: in all, for a jet, for one parameter and one
    particle's jet (6 n_p); and the passes allowed."""

    budget: float
    jet_cost: float
    particles: float
    fewest: float = 1.0
    most: float = 1.0

    def lanes(self, form: Form, params: Params, **logs: np.ndarray) -> Lane:
        """One lane for each set of parameters; `logs` replaces fields lane by lane."""
        count = len(params["L_inf"])
        terms = {
            "budget": self.budget,
            "jet": self.jet_cost,
            "step": 6 * self.particles,
            "fewest": self.fewest,
            "most": self.most,
        }
        full = {name: np.full(count, np.log(value)) for name, value in terms.items()}
        theta = jax.tree.map(np.asarray, form.theta(params))
        return Lane(theta, **(full | logs))


def best_passes(
    form: Form, params: Params, terms: Terms
) -> dict[str, Float[np.ndarray, "m"]]:
    """The best plan for each set of parameters of a form that reads N, D and U.

    Columns N, D (unique), E, loss, simulated (share of the budget), a and slope_D,
    slope_E (d log / d log C), gamma; NaN where there is no optimum inside.
    """
    with jax.enable_x64(True):
        lanes = terms.lanes(form, params)
        found, sound = solved(form, lanes)
        log_loss, logs = _reported(form, jnp.asarray(found.x), lanes)
    columns = {
        "N": np.exp(logs["N"]),
        "D": np.exp(logs["U"]),
        "E": np.exp(found.x[:, 1]),
        "loss": np.exp(log_loss),
        "simulated": np.exp(logs["U"] + lanes.jet - lanes.budget),
        "a": found.slopes[:, 0],
        "slope_D": found.slopes[:, 1],
        "slope_E": found.slopes[:, 2],
        "gamma": -found.slopes[:, 3],
    }
    return {name: np.where(sound, v, np.nan) for name, v in columns.items()}


def _reported(
    form: Form, x: Float[Array, "m 2"], lanes: Lane
) -> tuple[Float[np.ndarray, "m"], dict[str, Float[np.ndarray, "m"]]]:
    """log L and the columns of each lane's plan."""
    on_device = jax.tree.map(jnp.asarray, lanes)
    logs = _logs(x.T, on_device)
    log_loss = np.asarray(form.log_loss(on_device.theta, logs))
    return log_loss, {name: np.asarray(column) for name, column in logs.items()}


class Found(NamedTuple):
    """x is (log N, log E); excess log (L - L_inf); slopes those of log N, U, E and the
    excess against log C; error the solver's."""

    x: Float[HostOrDevice, "*m 2"]
    excess: Float[HostOrDevice, "*m"]
    slopes: Float[HostOrDevice, "*m 4"]
    error: Float[HostOrDevice, "*m"]


def solved(form: Form, lanes: Lane) -> tuple[Found, Bool[np.ndarray, "m"]]:
    """All lanes, and which of them have an optimum inside that was found."""
    count = len(lanes.budget)
    index = np.minimum(np.arange(-(-count // CHUNK) * CHUNK), count - 1)
    parts = [
        jax.tree.map(np.asarray, _chunk(form, lanes.take(some)))
        for some in index.reshape(-1, CHUNK)
    ]
    found = jax.tree.map(lambda *columns: np.concatenate(columns)[:count], *parts)
    most = lanes.budget - lanes.step
    inside = (found.x[:, 0] > 1e-6) & (found.x[:, 0] < most - 1e-6)
    return found, inside & (found.error < CONVERGED)


@partial(jax.jit, static_argnames="form")
def _chunk(form: Form, lanes: Lane) -> Found:
    return jax.vmap(partial(_one, form))(lanes)


def _one(form: Form, lane: Lane) -> Found:
    low = jnp.stack([jnp.zeros_like(lane.fewest), lane.fewest])
    high = jnp.stack([lane.budget - lane.step, lane.most])
    start = _start(form, lane, low, high)
    solver = jaxopt.LBFGSB(
        partial(_excess, form),
        tol=TOLERANCE,
        maxiter=60,
        implicit_diff_solve=solve_lu,  # pyright: ignore[reportArgumentType]
    )

    def outcome(budget: Array) -> tuple[Array, tuple[Array, Array]]:
        ours = lane._replace(budget=budget)
        x, state = solver.run(start, (low, high), ours)
        log_u = _logs(x, ours)["U"]
        excess = _excess(form, x, ours)
        return jnp.stack([x[0], log_u, x[1], excess]), (x, state.error)

    slopes, (x, error) = jax.jacrev(outcome, has_aux=True)(lane.budget)
    return Found(x, _excess(form, x, lane), slopes, error)


def _start(form: Form, lane: Lane, low: Array, high: Array) -> Float[Array, "2"]:
    """The best point of a grid inside the box."""
    shares = [(jnp.arange(n) + 0.5) / n for n in (SIZES, PASSES)]
    grid = jnp.stack(jnp.meshgrid(*shares), -1).reshape(-1, 2)
    points = low + (high - low) * grid
    excess = jax.vmap(lambda x: _excess(form, x, lane))(points)
    return jax.lax.stop_gradient(points[jnp.argmin(excess)])


def _excess(form: Form, x: Float[Array, "2"], lane: Lane) -> Float[Array, ""]:
    """log (L - L_inf)."""
    reducible = {**lane.theta, "L_inf": jnp.full_like(lane.theta["L_inf"], -jnp.inf)}
    return form.log_loss(reducible, _logs(x, lane))


def _logs(x: Array, lane: Lane) -> dict[str, Array]:
    """Columns of a plan that spends the budget: E 6 n_p N U + s U = C."""
    log_u = lane.budget - jnp.logaddexp(lane.step + x[0] + x[1], lane.jet)
    return {"N": x[0], "U": log_u, "D": log_u + x[1]}
