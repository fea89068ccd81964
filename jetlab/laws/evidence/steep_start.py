"""Rows in the steep start of learning, which are on no power law.

A model that has seen few jets is still close to chance; then its loss falls steeply
towards the law. Such rows are outliers above the law at the smallest D of their N.
"""

import numpy as np
from jaxtyping import Bool

from jetlab.laws.result import FINEST, OUTLYING, FitResult

ABOVE = 0.05  # of the loss above the law, at least


def steep_start(law: FitResult) -> Bool[np.ndarray, "n"]:
    """The rows that lie above the law by more than five robust sigmas and a twentieth,
    at the smallest D of their trajectory, with none of its rows on the law below them;
    of their N where the trajectories are not known. None for a law without D."""
    found = np.zeros(law.rows, bool)
    if "D" not in law.form.columns or not law.scatter > FINEST:
        return found
    D = law.table["D"]
    curves = law.table["N"] if "N" in law.form.columns else np.ones(law.rows)
    if law.clusters is not None:  # two seeds of one N begin at different D
        pairs = np.stack([curves, law.clusters], axis=1)
        curves = np.unique(pairs, axis=0, return_inverse=True)[1].reshape(-1)
    above = -law.residuals > max(OUTLYING * law.scatter, ABOVE)
    for curve in np.unique(curves):
        own = np.flatnonzero(curves == curve)
        for examples in np.unique(D[own]):
            rows = own[D[own] == examples]
            if not above[rows].all():
                break
            found[rows] = True
    return found if not found.all() else np.zeros(law.rows, bool)


def sentence(law: FitResult) -> str:
    """Which rows they are; empty if there are none."""
    rows = np.flatnonzero(steep_start(law))
    if not rows.size:
        return ""
    named = ", ".join(f"{i} ({100 * np.expm1(-law.residuals[i]):+.3g} %)" for i in rows)
    noun = "row is" if rows.size == 1 else "rows are"
    of = "N" if law.clusters is None else "trajectory"
    return (
        f"{rows.size} {noun} in the steep start of learning, far above the law at the"
        f" smallest D of their {of}: {named}; the fit has them, the tests of the law do"
        " not; leave them out"
    )
