"""Colours and names of input configurations, and Fig. 4 of arXiv:2602.15781."""

from collections.abc import Sequence
from itertools import cycle
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from jetlab.laws.plot_style import axes, plain_ticks, styled
from jetlab.studies.joint_law import preferred

if TYPE_CHECKING:
    from jetlab.studies.inputs import InputsResult


class InputsStyle(NamedTuple):
    """Colour and name of an input configuration in figures."""

    color: str
    name: str


PAPER_STYLES = {
    "kinematics-40": InputsStyle(
        "tab:green", r"$\Delta\eta, \Delta\phi, \log p_T$, 40 particles"
    ),
    "full-10": InputsStyle("tab:orange", "21 features, 10 particles"),
    "full-40": InputsStyle("tab:blue", "21 features, 40 particles"),
    "full-128": InputsStyle("tab:purple", "21 features, 128 particles"),
}
OTHER_COLORS = ("tab:red", "tab:brown", "tab:pink", "tab:cyan", "tab:olive", "tab:gray")


def inputs_styles(labels: Sequence[str]) -> dict[str, InputsStyle]:
    """The style of each label; own inputs have their label as name, and the next
    colour that the paper's four do not have."""
    colors = cycle(OTHER_COLORS)
    return {
        label: PAPER_STYLES.get(label) or InputsStyle(next(colors), label)
        for label in labels
    }


@styled
def loss_by_inputs(results: Sequence["InputsResult"]) -> Figure:
    """Lowest loss of runs that overfit against unique jets, by inputs: Eq. 4 dashed,
    the known floors as lines at the right (Fig. 4)."""
    figure, ax = axes(6.0, 4.4)
    least = min(one.envelope["D"].min() for one in results) / 1.5
    most = max(one.envelope["D"].max() for one in results) * 30
    D = np.geomspace(least, most, 100)
    styles = inputs_styles([one.label for one in results])
    for one in results:
        color, name = styles[one.label]
        ax.plot(one.envelope["D"], one.envelope["L"], "o", color=color, label=name)
        law = preferred(one.fits)
        if np.isfinite(law.objective):
            line = "--" if law.reliable else ":"
            ax.plot(D, law.predict({"D": D}), line, color=color, lw=1)
        if one.floor is not None:
            ax.plot([most / 4, most], [one.floor[0]] * 2, color=color, lw=2)
    ax.plot([], [], "--", color="0.4", lw=1, label="Eq. 4")
    ax.plot([], [], ":", color="0.4", lw=1, label="Eq. 4, not reliable")
    if any(one.floor is not None for one in results):
        ax.plot([], [], color="0.4", lw=2, label="known floor")
    ax.set(xscale="log", yscale="log", xlabel="unique jets $D$", xlim=(least, most))
    ax.set(ylabel="lowest validation loss [nats]")
    plain_ticks(ax.yaxis)
    ax.legend(fontsize=7)
    return figure
