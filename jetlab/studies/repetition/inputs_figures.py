"""Figure of input configurations: arXiv:2602.15781, Fig. 4."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from jetlab.laws.plot_style import axes, plain_ticks, styled

if TYPE_CHECKING:
    from jetlab.studies.repetition.inputs import Configuration

LABELS = {
    "kinematics-40": r"$\Delta\eta, \Delta\phi, \log p_T$, 40 particles",
    "full-10": "21 features, 10 particles",
    "full-40": "21 features, 40 particles",
    "full-128": "21 features, 128 particles",
}
COLORS = {
    "kinematics-40": "tab:green",
    "full-10": "tab:orange",
    "full-40": "tab:blue",
    "full-128": "tab:purple",
}


@styled
def loss_by_inputs(found: Sequence["Configuration"]) -> Figure:
    """Lowest loss of runs that overfit against unique jets, by inputs: Eq. 4 dashed,
    the known limits as lines at the right (Fig. 4)."""
    figure, ax = axes(6.0, 4.4)
    least = min(one.rows["D"].min() for one in found) / 1.5
    most = max(one.rows["D"].max() for one in found) * 30
    D = np.geomspace(least, most, 100)
    for one in found:
        color = COLORS[one.name]
        ax.plot(one.rows["D"], one.rows["L"], "o", color=color, label=LABELS[one.name])
        law = one.best
        if np.isfinite(law.objective):
            sure = law.identified and law.converged
            ax.plot(D, law.predict({"D": D}), "--" if sure else ":", color=color, lw=1)
        if one.limit is not None:
            ax.plot([most / 4, most], [one.limit[0]] * 2, color=color, lw=2)
    ax.plot([], [], "--", color="0.4", lw=1, label="Eq. 4")
    ax.plot([], [], ":", color="0.4", lw=1, label="Eq. 4, not identified")
    if any(one.limit is not None for one in found):
        ax.plot([], [], color="0.4", lw=2, label="known limit")
    ax.set(xscale="log", yscale="log", xlabel="unique jets $D$", xlim=(least, most))
    ax.set(ylabel="lowest validation loss [nats]")
    plain_ticks(ax)
    ax.legend(fontsize=7)
    return figure
