"""Best model size, unique jets and epochs for a budget of simulation and training.

    min over N, U, E of L(N, D = E U, U)  with  E 6 n_p N U + s U = C,  1 <= E <= E_max

for U jets that cost s FLOPs each to simulate and E (real) epochs over them. Spending
the whole budget leaves log N and log E to search: the best point of a grid, then
L-BFGS-B from there (JAXopt). How the optimum moves with C is its implicit derivative.

Many such problems, differing in the law's parameters, costs or bounds on E, go through
one compiled program in chunks of one size.
"""

import warnings
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jetlab.laws.plans.budget import Costs, flops_per_parameter
from jetlab.laws.terms import Form

with warnings.catch_warnings():
    # JAXopt says at import that it is no longer maintained; its users cannot help it.
    warnings.simplefilter("ignore", DeprecationWarning)
    import jaxopt
    from jaxopt.linear_solve import solve_lu

HostOrDevice = Any  # JAX's arrays inside the program, NumPy's outside
Params = Mapping[str, Float[np.ndarray, "m"]]

CHUNK = 64  # problems a call
TOLERANCE = 1e-13  # of the gradient of log (L - L_inf) by log N and log E
CONVERGED = 1e-8
SIZES, EPOCHS = 49, 13  # grid from whose best point the solver starts
EDGE = 1e-6  # of log N: an optimum this close to a bound is none


class Problems(NamedTuple):
    """m problems: a form's parameters, and logarithms of the budget, of the FLOPs to
    simulate a jet, of the training FLOPs a parameter and jet (6 n_p), and of the bounds
    on the number of epochs."""

    theta: dict[str, Float[HostOrDevice, "*m"]]
    budget: Float[HostOrDevice, "*m"]
    jet: Float[HostOrDevice, "*m"]
    step: Float[HostOrDevice, "*m"]
    min_epochs: Float[HostOrDevice, "*m"]
    max_epochs: Float[HostOrDevice, "*m"]

    def take(self, index: Int[np.ndarray, "some"]) -> "Problems":
        return jax.tree.map(lambda column: column[index], self)


def problems_of(
    form: Form, params: Params, costs: Costs, **logs: np.ndarray
) -> Problems:
    """One problem for each set of parameters; `logs` replaces fields of `Problems`
    entry by entry."""
    count = len(params["L_inf"])
    values = {
        "budget": costs.flops,
        "jet": costs.flops_per_jet,
        "step": flops_per_parameter(costs.particles),
        "min_epochs": costs.min_epochs,
        "max_epochs": costs.max_epochs,
    }
    full = {name: np.full(count, np.log(value)) for name, value in values.items()}
    theta = jax.tree.map(np.asarray, form.theta(params))
    return Problems(theta, **(full | logs))


def optimal_epochs(
    form: Form, params: Params, costs: Costs
) -> dict[str, Float[np.ndarray, "m"]]:
    """The best plan for each set of parameters of a form that reads N, D and U.

    Returns:
      Columns N, D (unique jets), epochs, loss, simulated (share of the budget), a,
      slope_D, slope_E (d log N, D, epochs / d log C) and gamma; NaN where there is no
      optimum inside the bounds of N.
    """
    with jax.enable_x64(True):
        problems = problems_of(form, params, costs)
        found, solved = solve(form, problems)
        log_loss, logs = _log_loss_and_columns(form, jnp.asarray(found.x), problems)
    columns = {
        "N": np.exp(logs["N"]),
        "D": np.exp(logs["U"]),
        "epochs": np.exp(found.x[:, 1]),
        "loss": np.exp(log_loss),
        "simulated": np.exp(logs["U"] + problems.jet - problems.budget),
        "a": found.slopes[:, 0],
        "slope_D": found.slopes[:, 1],
        "slope_E": found.slopes[:, 2],
        "gamma": -found.slopes[:, 3],
    }
    return {name: np.where(solved, v, np.nan) for name, v in columns.items()}


def _log_loss_and_columns(
    form: Form, x: Float[Array, "m 2"], problems: Problems
) -> tuple[Float[np.ndarray, "m"], dict[str, Float[np.ndarray, "m"]]]:
    """log L and log N, D and U at each problem's optimum."""
    on_device = jax.tree.map(jnp.asarray, problems)
    logs = _logs(x.T, on_device)
    log_loss = np.asarray(form.log_loss(on_device.theta, logs))
    return log_loss, {name: np.asarray(column) for name, column in logs.items()}


class Solutions(NamedTuple):
    """Optima x = (log N, log E); `excess`, log (L - L_inf) there; `slopes` of log N,
    log U, log E and the excess in log C; `error`, the solver's."""

    x: Float[HostOrDevice, "*m 2"]
    excess: Float[HostOrDevice, "*m"]
    slopes: Float[HostOrDevice, "*m 4"]
    error: Float[HostOrDevice, "*m"]


def solve(form: Form, problems: Problems) -> tuple[Solutions, Bool[np.ndarray, "m"]]:
    """Solutions, and which of them converged to an optimum inside the bounds of N."""
    count = len(problems.budget)
    index = np.minimum(np.arange(-(-count // CHUNK) * CHUNK), count - 1)
    parts = [
        jax.tree.map(np.asarray, _solve_chunk(form, problems.take(some)))
        for some in index.reshape(-1, CHUNK)
    ]
    found = jax.tree.map(lambda *columns: np.concatenate(columns)[:count], *parts)
    largest = problems.budget - problems.step
    inside = (found.x[:, 0] > EDGE) & (found.x[:, 0] < largest - EDGE)
    return found, inside & (found.error < CONVERGED)


@partial(jax.jit, static_argnames="form")
def _solve_chunk(form: Form, problems: Problems) -> Solutions:
    return jax.vmap(partial(_solve_one, form))(problems)


def _solve_one(form: Form, problem: Problems) -> Solutions:
    low = jnp.stack([jnp.zeros_like(problem.min_epochs), problem.min_epochs])
    high = jnp.stack([problem.budget - problem.step, problem.max_epochs])
    start = _best_of_grid(form, problem, low, high)
    solver = jaxopt.LBFGSB(
        partial(_excess, form),
        tol=TOLERANCE,
        maxiter=60,
        implicit_diff_solve=solve_lu,  # pyright: ignore[reportArgumentType]
    )

    def optimum(budget: Array) -> tuple[Array, tuple[Array, Array]]:
        ours = problem._replace(budget=budget)
        x, state = solver.run(start, (low, high), ours)
        log_u = _logs(x, ours)["U"]
        excess = _excess(form, x, ours)
        return jnp.stack([x[0], log_u, x[1], excess]), (x, state.error)

    slopes, (x, error) = jax.jacrev(optimum, has_aux=True)(problem.budget)
    return Solutions(x, _excess(form, x, problem), slopes, error)


def _best_of_grid(
    form: Form, problem: Problems, low: Array, high: Array
) -> Float[Array, "2"]:
    """The best point of a grid inside the bounds."""
    shares = [(jnp.arange(n) + 0.5) / n for n in (SIZES, EPOCHS)]
    grid = jnp.stack(jnp.meshgrid(*shares), -1).reshape(-1, 2)
    points = low + (high - low) * grid
    excess = jax.vmap(lambda x: _excess(form, x, problem))(points)
    return jax.lax.stop_gradient(points[jnp.argmin(excess)])


def _excess(form: Form, x: Float[Array, "2"], problem: Problems) -> Float[Array, ""]:
    """log (L - L_inf)."""
    minus_inf = jnp.full_like(problem.theta["L_inf"], -jnp.inf)
    reducible = {**problem.theta, "L_inf": minus_inf}
    return form.log_loss(reducible, _logs(x, problem))


def _logs(x: Array, problem: Problems) -> dict[str, Array]:
    """log N, D and U that spend the budget: E 6 n_p N U + s U = C."""
    per_jet = jnp.logaddexp(problem.step + x[0] + x[1], problem.jet)
    log_u = problem.budget - per_jet
    return {"N": x[0], "U": log_u, "D": log_u + x[1]}
