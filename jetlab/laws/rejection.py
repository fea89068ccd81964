"""From the loss to what an analysis sees: background rejection R(L) = A e^(-B L) + C.

The mapping of arXiv:2602.15781, Section 4 (there with B < 0), fitted to runs of any
size and then read at the loss that a law foretells. In X = e^L it is a floor and a
power, so that everything made for laws of the loss serves it as it is:

    runs = rows(losses, rejections, errors)
    law = fit(forms.rejection, runs, misfit=SQUARES, weight="weight")
    law = replace(law, draws=bootstrap(law, runs))
"""

import numpy as np
from jaxtyping import Float

from jetlab.laws.columns import without_logarithm
from jetlab.laws.fitted import Fit, percentiles
from jetlab.records import Table


def rows(
    loss: Float[np.ndarray, "n"],
    rejection: Float[np.ndarray, "n"],
    error: Float[np.ndarray, "n"],
) -> Table:
    """The table for `forms.rejection` of runs with losses in nats; `error` is that of
    log R. A lower limit is no row.

    Raises:
      ValueError: for a rejection or an error that is not positive and finite.
    """
    for name, column in (("rejection", rejection), ("error", error)):
        bad = without_logarithm(column)
        if bad.size:
            raise ValueError(
                f"{name} of row {bad[0]} is {column[bad[0]]}: leave limits out"
            )
    return {"X": np.exp(loss), "L": np.asarray(rejection), "weight": 1 / error**2}


def rejection_at(law: Fit, loss: Float[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
    """R at losses in nats."""
    return law.predict({"X": np.exp(loss)})


def foretold(law: Fit, losses: Float[np.ndarray, "m"]) -> tuple[float, float]:
    """68 % interval of R where the loss is known by draws: each is read by a draw of
    R(L), the two being independent.

    Raises:
      ValueError: for a fit without draws, or no draw of the loss.
    """
    draws = law.draws.values if law.draws else {}
    if not draws or not len(losses):
        raise ValueError("an interval needs draws of the rejection law and of the loss")
    count = max(len(losses), len(draws["A"]))
    order = np.random.default_rng(0).permutation(count)
    A, B, C = (np.resize(draws[name], count)[order] for name in ("A", "B", "C"))
    low, high = percentiles(A * np.exp(-B * np.resize(losses, count)) + C)
    return float(low), float(high)
