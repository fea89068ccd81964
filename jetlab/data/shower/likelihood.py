"""The exact likelihood of simulated jets, class by class.

In increasing t = ln(jet pT / pT), that is decreasing pT, a jet is a realisation of a
marked Hawkes process in t, y = (deta, dphi) and the marks m. In configuration u of
class c the intensity given the history H_t is

    lambda(t, y, m | H_t) = sum_p rho_p h_p(t + ln zeta_p) N(y; Y_p, sigma_p(t)) pi_p(m)
        + background, the same in every class
        + eta sum_{t_j < t} kappa exp(-kappa (t - t_j)) N(y; y_j, s) pi(m | m_j)

and at most one particle is the lepton of a leptonic decay, with density f and
efficiency epsilon. With Lambda the integral of lambda up to `stop`,

    p(jet | c, u) = prod_i lambda_i exp(-Lambda)
        [1 - epsilon F(stop) + epsilon sum_i f_i / lambda_i] / p(not empty | c, u)

and p(jet | c) is the mean over u. If only the n hardest particles are observed, `stop`
is the t of the n-th, or the end of the shower for jets with fewer. Momenta do not
depend on marks, so omitting the factors of the marks marginalises over them.
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
    Observation,
    compensator,
    log_intensity,
    log_lepton_factor,
)
from jetlab.data.shower.marks import displaced, log_mark_density
from jetlab.data.shower.sampling import Showers

CHUNK = 16  # jets evaluated together: they fit the caches of a processor


class ObservedVariables(NamedTuple):
    """The part of a jet that is observed: momenta of the `particles` hardest particles,
    with or without their marks."""

    particles: int
    marks: bool


OBSERVED = {
    "kinematics-40": ObservedVariables(40, marks=False),
    "full-10": ObservedVariables(10, marks=True),
    "full-40": ObservedVariables(40, marks=True),
    "full-128": ObservedVariables(128, marks=True),
}
"""Observed variables of the four input configurations of arXiv:2602.15781."""


@partial(jax.jit, static_argnames="variables")
def log_prob(showers: Showers, variables: ObservedVariables) -> Float[Array, "b 10"]:
    """log p(jet | class) of the observed variables, a density in t, y and, with marks,
    d0 and dz.

    Factors that are equal in all classes are omitted: the densities of the errors of
    the impact parameters and of the jet axis.
    """

    def mixture(shower: Showers) -> Float[Array, "10"]:
        joint = _per_configuration(shower, variables)
        return logsumexp(joint, axis=1) - np.log(fixed.CONFIGURATIONS)

    return jax.lax.map(mixture, showers, batch_size=CHUNK)


@partial(jax.jit, static_argnames="variables")
def log_prob_by_configuration(
    showers: Showers, variables: ObservedVariables
) -> Float[Array, "b 10 u"]:
    """log p(jet | class, configuration), as `log_prob`."""
    per_jet = partial(_per_configuration, variables=variables)
    return jax.lax.map(per_jet, showers, batch_size=CHUNK)


def _per_configuration(
    shower: Showers, variables: ObservedVariables
) -> Float[Array, "10 u"]:
    observed, common = _observe(shower, variables)
    intensity = log_intensity(observed)
    product = jnp.where(observed.mask[:, None, None], intensity, 0.0).sum(0)
    integral = compensator(observed.t, observed.mask, observed.stop)
    not_empty = jnp.asarray(np.log1p(-fixed.empty_probability()), observed.t.dtype)
    lepton = log_lepton_factor(observed, intensity)
    return common + product - integral + lepton - not_empty


def _observe(
    shower: Showers, variables: ObservedVariables
) -> tuple[Observation, Float[Array, ""]]:
    """The observed part of a jet, and a term of log p common to all configurations."""
    t, y, marks, mask = jax.tree.map(
        lambda v: v[: variables.particles],
        (shower.t, shower.y, shower.marks, shower.mask),
    )
    density, far = log_mark_density(marks), displaced(marks)
    if not variables.marks:
        density, far = jnp.zeros_like(density), jnp.zeros_like(far)
    most = density.max(-1)
    stop = t[-1]  # END for jets with fewer particles
    observed = Observation(t, y, mask, density - most[:, None], far, stop)
    return observed, jnp.where(mask, most, 0.0).sum()
