"""Exponents that follow from the parameters of a law."""

from collections.abc import Mapping
from typing import Any


def optimal_exponents(params: Mapping[str, Any]) -> dict[str, Any]:
    """Exponents of the compute-optimal path of L_inf + A/N^alpha + B/D^beta
    (arXiv:2203.15556, Eq. 4):

        N* ~ C^a,  D* ~ C^a_D,  L* - L_inf ~ C^-gamma,
        a = beta / (alpha + beta),  a_D = 1 - a,  gamma = alpha beta / (alpha + beta)

    of values or of arrays of draws; empty for parameters of another law.
    """
    if not {"alpha", "beta", "L_inf"} <= params.keys():
        return {}
    alpha, beta = params["alpha"], params["beta"]
    a = beta / (alpha + beta)
    return {"a": a, "a_D": 1 - a, "gamma": alpha * a}
