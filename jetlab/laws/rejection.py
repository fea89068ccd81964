"""Background rejection as a function of the loss: R(L) = A e^(-B L) + C.

The mapping of arXiv:2602.15781, Section 4 (there with B < 0), fitted to runs of any
size and read at the loss that a law predicts. In X = e^L it is a constant and a power
law, so that everything made for laws of the loss applies:

    law, table = fit_rejection(losses, rejections, errors)
    law = replace(law, draws=bootstrap(law))
"""

from collections.abc import Mapping
from math import log
from typing import Any

import jax
import numpy as np
from jaxtyping import Float
from scipy.optimize import brentq
from scipy.special import polygamma
from scipy.stats import gamma

from jetlab.laws import forms
from jetlab.laws.evidence.intervals import CONFIDENCE_LEVEL, percentiles
from jetlab.laws.evidence.verdict import NARROW
from jetlab.laws.fit import fit
from jetlab.laws.fitting.information import covariance
from jetlab.laws.fitting.misfit import SQUARES
from jetlab.laws.result import FitResult
from jetlab.laws.tables.table_checks import without_logarithm
from jetlab.records import TableLike

NEGLIGIBLE = 1e-9
"""C is fixed to this where it is left out: no rejection is below 1."""

ROUNDS = 3  # of fitting and reweighting


def rejection_table(
    loss: Float[np.ndarray, "n"],
    rejection: Float[np.ndarray, "n"],
    error: Float[np.ndarray, "n"],
) -> TableLike:
    """The table for `forms.rejection`.

    Args:
      loss: in nats.
      error: of log R.

    Raises:
      ValueError: for a rejection or an error that is not positive and finite.
    """
    for name, column in (("rejection", rejection), ("error", error)):
        bad = without_logarithm(column)
        if bad.size:
            raise ValueError(
                f"{name} of row {bad[0]} is {column[bad[0]]}: for a lower limit give"
                " what `estimate_from_limit` returns"
            )
    return {"X": np.exp(loss), "L": np.asarray(rejection), "weight": 1 / error**2}


def estimate_from_limit(limit: float) -> tuple[float, float]:
    """R and the error of log R for a run that no background jet passed, from its lower
    limit at 68 %. Leaving such runs out would bias R low, as it drops the runs whose
    count fluctuated down.

    By Jeffreys' prior the expected count has a gamma distribution of shape 1/2: R is at
    its median, the error is the standard deviation of its logarithm, sqrt(psi'(1/2)).
    """
    count_at_limit = -log(1 - CONFIDENCE_LEVEL)
    median = float(gamma.ppf(0.5, 0.5))
    return limit * count_at_limit / median, float(np.sqrt(polygamma(1, 0.5)))


def fit_rejection(
    loss: Float[np.ndarray, "n"],
    rejection: Float[np.ndarray, "n"],
    error: Float[np.ndarray, "n"],
) -> tuple[FitResult, TableLike]:
    """R(L) by least squares of log R, and the table fitted.

    A row has weight 1 / (error^2 + s^2), s being the scatter between runs at which
    chi^2 equals the degrees of freedom (Paule and Mandel, J. Res. Natl. Bur. Stand. 87
    (1982) 377): by counting errors alone, the runs that reject least would dominate. C
    is left out where the rows do not show it and the fit is as good without.

    Args and Raises: as `rejection_table`.
    """
    table = rejection_table(loss, rejection, error)
    law = _fit_with_or_without_constant(table)
    for _ in range(ROUNDS):
        s = scatter_between_runs(law, error)
        table = rejection_table(loss, rejection, np.hypot(error, s))
        law = _fit_with_or_without_constant(table)
    return law, table


def scatter_between_runs(law: FitResult, error: Float[np.ndarray, "n"]) -> float:
    """Standard deviation of log R between runs of equal loss beyond their errors: 0
    where the errors explain the residuals, or no degree of freedom is left."""
    dof = law.rows - law.free
    if dof < 1 or not np.isfinite(law.objective):
        return 0.0

    def excess(s: float) -> float:
        return float(np.sum(law.residuals**2 / (error**2 + s**2))) - dof

    if excess(0.0) <= 0:
        return 0.0
    root: Any = brentq(excess, 0.0, 10 * np.abs(law.residuals).max())
    return float(root)


def _fit_with_or_without_constant(table: TableLike) -> FitResult:
    """Without C where the rows do not show it and Akaike's criterion prefers that."""
    law = _fitted(table, {})
    if law.rows < law.free + 2 or _shows_constant(law):
        return law
    bare = _fitted(table, {"C": NEGLIGIBLE})
    as_good = bare.objective < law.objective * (1 + 2 / law.rows)
    return bare if bare.converged and as_good else law


def _shows_constant(law: FitResult) -> bool:
    """Whether C is known to half its size, by the rough error of its logarithm: this is
    asked in every round of weights, where a verdict would cost ten refits."""
    if not law.converged:
        return False
    with jax.enable_x64(True):
        z = law.problem.space.coordinates(law.params)
        try:
            variance = covariance(law.problem, z)[law.free_names.index("C")]
        except np.linalg.LinAlgError:
            return False
    return bool(np.sqrt(variance[law.free_names.index("C")]) < NARROW)


def _fitted(table: TableLike, fixed: Mapping[str, float]) -> FitResult:
    return fit(forms.rejection, table, fixed=fixed, misfit=SQUARES, weight="weight")


def rejection_at(
    law: FitResult, loss: Float[np.ndarray, "n"]
) -> Float[np.ndarray, "n"]:
    """R at losses in nats."""
    return law.predict({"X": np.exp(loss)})


def rejection_interval(
    law: FitResult, losses: Float[np.ndarray, "m"], common_error: float = 0.0
) -> tuple[float, float]:
    """68 % interval of R where the loss is known by draws.

    Draws of the loss and of R(L) are paired at random, as independent.

    Args:
      losses: draws of the loss in nats.
      common_error: of log R, shared by all runs because they count the same background
        jets, so that the scatter between them does not show it. That of one run exceeds
        that of the fit, so intervals are conservative.

    Raises:
      ValueError: for a fit without draws, or no draw of the loss.
    """
    draws = law.draws.values if law.draws else {}
    if not draws or not len(losses):
        raise ValueError("an interval needs draws of the rejection law and of the loss")
    count = max(len(losses), len(draws["A"]))
    rng = np.random.default_rng(0)
    order = rng.permutation(count)
    A, B, C = (np.resize(draws[name], count)[order] for name in ("A", "B", "C"))
    read = A * np.exp(-B * np.resize(losses, count)) + C
    low, high = percentiles(read * np.exp(common_error * rng.normal(size=count)))
    return float(low), float(high)
