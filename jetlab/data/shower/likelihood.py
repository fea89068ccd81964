"""The exact likelihood of simulated jets, class by class.

A jet is read in rising t = ln(jet pT / pT), the order of falling pT, as one draw of a
marked Hawkes process in t, y = (deta, dphi) and the marks m. In configuration u of
class c the intensity after the history H_t is

    lambda(t, y, m | H_t) = sum_p rho_p h_p(t + ln zeta_p) N(y; Y_p, sigma_p(t)) pi_p(m)
        + background, the same in every class
        + eta sum_{t_j < t} kappa exp(-kappa (t - t_j)) N(y; y_j, s) pi(m | m_j)

and one particle at most is the lepton of a leptonic decay, with density f and
efficiency epsilon. With Lambda the integral of lambda up to `stop`,

    p(jet | c, u) = prod_i lambda_i exp(-Lambda)
        [1 - epsilon F(stop) + epsilon sum_i f_i / lambda_i] / p(not empty | c, u)

and p(jet | c) is the mean over u. Where only the hardest n particles are read, `stop`
is the t of the n-th if there is one; otherwise it is the end of the shower. Marks do
not act on the momenta, so leaving out their factors is integrating over them.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp
from jaxtyping import Array, Float

from jetlab.data.shower import parameters as fixed
from jetlab.data.shower.intensity import (
    Seen,
    compensator,
    log_intensity,
    log_lepton_factor,
)
from jetlab.data.shower.marks import displaced, log_mark_density
from jetlab.data.shower.sampling import Showers

CHUNK = 16  # jets at a time: small enough for the caches of a processor


class View(NamedTuple):
    """What is read of a jet: the hardest `particles`, with or without their marks."""

    particles: int
    marks: bool


VIEWS = {
    "kinematics-40": View(40, marks=False),
    "full-10": View(10, marks=True),
    "full-40": View(40, marks=True),
    "full-128": View(128, marks=True),
}
"""The four input configurations of arXiv:2602.15781."""


@partial(jax.jit, static_argnames="view")
def log_prob(showers: Showers, view: View) -> Float[Array, "b 10"]:
    """log p(jet | class) of what `view` shows, per dt, d2y and, with marks, dd0 ddz.

    Factors that no class changes are left out: the errors of the impact parameters and
    the axis of the jet.
    """

    def mixture(shower: Showers) -> Float[Array, "10"]:
        joint = _per_configuration(shower, view)
        return logsumexp(joint, axis=1) - np.log(fixed.CONFIGURATIONS)

    return jax.lax.map(mixture, showers, batch_size=CHUNK)


@partial(jax.jit, static_argnames="view")
def log_prob_by_configuration(showers: Showers, view: View) -> Float[Array, "b 10 u"]:
    """log p(jet | class, configuration); see `log_prob`."""
    per_jet = partial(_per_configuration, view=view)
    return jax.lax.map(per_jet, showers, batch_size=CHUNK)


def _per_configuration(shower: Showers, view: View) -> Float[Array, "10 u"]:
    seen, common = _look(shower, view)
    intensity = log_intensity(seen)
    product = jnp.where(seen.mask[:, None, None], intensity, 0.0).sum(0)
    integral = compensator(seen.t, seen.mask, seen.stop)
    empty = jnp.asarray(np.log1p(-fixed.empty_probability()), seen.t.dtype)
    return common + product - integral + log_lepton_factor(seen, intensity) - empty


def _look(shower: Showers, view: View) -> tuple[Seen, Float[Array, ""]]:
    """What `view` shows, and a summand of log p that all configurations share."""
    t, y, marks, mask = jax.tree.map(
        lambda v: v[: view.particles], (shower.t, shower.y, shower.marks, shower.mask)
    )
    density, far = log_mark_density(marks), displaced(marks)
    if not view.marks:
        density, far = jnp.zeros_like(density), jnp.zeros_like(far)
    most = density.max(-1)
    stop = jnp.where(mask[-1], t[-1], fixed.END)
    seen = Seen(t, y, mask, density - most[:, None], far, stop)
    return seen, jnp.where(mask, most, 0.0).sum()
