"""Laws of one variable X other than a power with a floor: saturating, broken and
exponential curves.

X may be N, D, C or steps. Rows that an exponential fits as well as a power law with a
floor (`data_only`) have not shown a power law.
"""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from jetlab.laws.terms import FLOOR, Form, Logs, Parameter, Theta, log_sum

BISECTIONS = 40  # of the logit of the loss between its ends, from -40 to 40
NEWTON_STEPS = 2  # from there: second derivatives need two

INITIAL = Parameter(name="L_0", positive=True, starts=(1.5, 3.0), unit=(("L", 1.0),))


def _saturating(theta: Theta, logs: Logs) -> Array:
    """log L of (L - L_inf) / (L_0 - L)^omega = K / X^gamma, which has one root between
    L_inf and L_0: with L = L_inf + (L_0 - L_inf) s, the logit u of s solves
    log s - omega log(1 - s) + (1 - omega) log(L_0 - L_inf) = log K - gamma log X."""
    height = theta["L_0"] + jnp.log1p(
        -jnp.exp(jnp.minimum(theta["L_inf"] - theta["L_0"], -1e-9))
    )
    omega = jnp.exp(theta["omega"])
    right = theta["K"] - theta["gamma"] * logs["X"] - (1 - omega) * height

    def excess(u: Array) -> Array:
        return jax.nn.log_sigmoid(u) - omega * jax.nn.log_sigmoid(-u) - right

    def halved(_: Array, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = ends
        middle = (low + high) / 2
        above = excess(middle) > 0
        return jnp.where(above, low, middle), jnp.where(above, middle, high)

    start = jnp.full_like(right, -40.0), jnp.full_like(right, 40.0)
    low, high = lax.fori_loop(0, BISECTIONS, halved, lax.stop_gradient(start))
    u = lax.stop_gradient((low + high) / 2)
    for _ in range(NEWTON_STEPS):
        slope = jax.nn.sigmoid(-u) + omega * jax.nn.sigmoid(u)
        u = u - excess(u) / slope
    return log_sum(theta["L_inf"], height + jax.nn.log_sigmoid(u))


saturating = Form(
    name="saturating",
    formula="(L - L_inf) / (L_0 - L)^omega = K / X^gamma",
    source="arXiv:2209.06640, M4",
    columns=("X",),
    parameters=(
        FLOOR,
        INITIAL,
        Parameter(name="omega", positive=True, starts=(0.3, 1.0)),
        Parameter(name="K", positive=True, starts=(0.2, 1.0), unit=(("X", "gamma"),)),
        Parameter(name="gamma", positive=False, starts=(0.3, 0.7, 1.5)),
    ),
    log_loss=_saturating,
)


def _broken(theta: Theta, logs: Logs) -> Array:
    """A power whose exponent turns from c_0 to c_0 + c_1 about X_1, over a factor of
    about exp(f_1) either way."""
    width = jnp.exp(theta["f_1"])
    bend = jax.nn.softplus((logs["X"] - theta["X_1"]) / width)
    power = theta["B"] - theta["c_0"] * logs["X"] - theta["c_1"] * width * bend
    return log_sum(theta["L_inf"], power)


broken = Form(
    name="broken",
    formula="L_inf + B / X^c_0 (1 + (X / X_1)^(1 / f_1))^(-c_1 f_1)",
    source="arXiv:2210.14891, Eq. 1 with one break",
    columns=("X",),
    parameters=(
        FLOOR,
        Parameter(
            name="B", positive=True, starts=(0.1, 0.4), unit=(("L", 1.0), ("X", "c_0"))
        ),
        Parameter(name="c_0", positive=False, starts=(0.1, 0.5)),
        Parameter(name="X_1", positive=True, starts=(0.3, 1.0, 3.0), unit=(("X", 1),)),
        Parameter(name="c_1", positive=False, starts=(-0.3, 0.3, 1.0)),
        Parameter(name="f_1", positive=True, starts=(0.1, 0.5)),
    ),
    log_loss=_broken,
)

exponential = Form(
    name="exponential",
    formula="L_inf + B exp(-X / X_0)",
    source="arXiv:2103.10948, Table 1, EXP3",
    columns=("X",),
    parameters=(
        FLOOR,
        Parameter(name="B", positive=True, starts=(0.3, 1.0), unit=(("L", 1.0),)),
        Parameter(name="X_0", positive=True, starts=(0.3, 1.0, 3.0), unit=(("X", 1),)),
    ),
    log_loss=lambda theta, logs: log_sum(
        theta["L_inf"], theta["B"] - jnp.exp(logs["X"] - theta["X_0"])
    ),
)
