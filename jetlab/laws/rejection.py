"""From the loss to what an analysis sees: background rejection R(L) = A e^(-B L) + C.

The mapping of arXiv:2602.15781, Section 4 (there with B < 0), fitted to runs of any
size and then read at the loss that a law foretells. In X = e^L it is a floor and a
power, so that everything made for laws of the loss serves it as it is:

    law, runs = fit_rejection(losses, rejections, errors)
    law = replace(law, draws=bootstrap(law))
"""

from collections.abc import Mapping
from math import log
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.optimize import brentq
from scipy.special import polygamma
from scipy.stats import gamma

from jetlab.laws import forms
from jetlab.laws.fit import fit
from jetlab.laws.misfit import SQUARES
from jetlab.laws.result import LEVEL, FitResult, percentiles
from jetlab.laws.table_io import without_logarithm
from jetlab.records import TableLike

NOTHING = 1e-9
"""A C that is none: no rejection is below one."""

ROUNDS = 3  # of fitting and weighing anew


def rows(
    loss: Float[np.ndarray, "n"],
    rejection: Float[np.ndarray, "n"],
    error: Float[np.ndarray, "n"],
) -> TableLike:
    """The table for `forms.rejection` of runs with losses in nats; `error` is that of
    log R.

    Raises:
      ValueError: for a rejection or an error that is not positive and finite.
    """
    for name, column in (("rejection", rejection), ("error", error)):
        bad = without_logarithm(column)
        if bad.size:
            raise ValueError(
                f"{name} of row {bad[0]} is {column[bad[0]]}: for a limit give what"
                " `unpassed` makes of it"
            )
    return {"X": np.exp(loss), "L": np.asarray(rejection), "weight": 1 / error**2}


def unpassed(limit: float) -> tuple[float, float]:
    """A rejection and the error of its logarithm for a run that let no background jet
    pass, from its lower limit at 68 %. To leave such runs out would keep, of those that
    reject most, the ones that did by luck reject less.

    With Jeffreys' prior the number expected to pass has a gamma distribution of shape
    1/2: its median, and the spread of its logarithm, sqrt(psi'(1/2)).
    """
    most = -log(1 - LEVEL)  # expected to pass, at the limit
    return limit * most / float(gamma.ppf(0.5, 0.5)), float(np.sqrt(polygamma(1, 0.5)))


def fit_rejection(
    loss: Float[np.ndarray, "n"],
    rejection: Float[np.ndarray, "n"],
    error: Float[np.ndarray, "n"],
) -> tuple[FitResult, TableLike]:
    """R(L) by least squares of log R, and the table fitted; C is left out where the
    rows cannot tell it and are described as well without.

    A row counts by 1 / (error^2 + s^2) with s the scatter between runs for which the
    weighted squares are as many as degrees of freedom (Paule and Mandel, J. Res. Natl.
    Bur. Stand. 87 (1982) 377): runs of equal loss do not reject alike, and those with
    many background jets left would otherwise decide alone. Raises as `rows` does.
    """
    table = rows(loss, rejection, error)
    law = _plainest(table)
    for _ in range(ROUNDS):
        s = between(law, error)
        table = rows(loss, rejection, np.hypot(error, s))
        law = _plainest(table)
    return law, table


def between(law: FitResult, error: Float[np.ndarray, "n"]) -> float:
    """The scatter of log R between runs of equal loss, beyond their errors; none where
    the errors explain the residuals, or there are too few to tell."""
    freedom = law.rows - law.free
    if freedom < 1 or not np.isfinite(law.objective):
        return 0.0

    def excess(s: float) -> float:
        return float(np.sum(law.residuals**2 / (error**2 + s**2))) - freedom

    if excess(0.0) <= 0:
        return 0.0
    root: Any = brentq(excess, 0.0, 10 * np.abs(law.residuals).max())
    return float(root)


def _plainest(table: TableLike) -> FitResult:
    law = _fitted(table, {})
    if law.identified or law.rows < law.free + 2:
        return law
    bare = _fitted(table, {"C": NOTHING})
    told = bare.identified and bare.objective < law.objective * (1 + 2 / law.rows)
    return bare if told else law


def _fitted(table: TableLike, fixed: Mapping[str, float]) -> FitResult:
    return fit(forms.rejection, table, fixed=fixed, misfit=SQUARES, weight="weight")


def rejection_at(
    law: FitResult, loss: Float[np.ndarray, "n"]
) -> Float[np.ndarray, "n"]:
    """R at losses in nats."""
    return law.predict({"X": np.exp(loss)})


def foretold(
    law: FitResult, losses: Float[np.ndarray, "m"], common: float = 0.0
) -> tuple[float, float]:
    """68 % interval of R where the loss is known by draws: each is read by a draw of
    R(L), the two being independent. `common` is the error of log R that all runs share,
    having been judged by the same background jets: no scatter between them shows it.
    That of one run is more than the law's, so that intervals are rather too wide.

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
    low, high = percentiles(read * np.exp(common * rng.normal(size=count)))
    return float(low), float(high)
