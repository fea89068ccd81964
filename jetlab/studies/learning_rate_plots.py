"""Figures of learning rates: the best one by width and length, and the parameters of
the law by arm."""

from collections.abc import Mapping

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from jetlab.laws.plot_style import decades, plain_ticks, styled
from jetlab.laws.result import FitResult
from jetlab.studies.best_rate import Scan
from jetlab.studies.joint_law import FIXED, FREE
from jetlab.studies.published import Value

LENGTHS = mpl.colormaps["plasma_r"]
ACROSS = 4  # panels in a row
Look = tuple[float, str, str, str]
"""Shift, marker, colour and label."""

KINDS: dict[str, Look] = {
    FREE: (0.12, "o", "tab:blue", "free"),
    FIXED: (-0.12, "s", "tab:orange", r"$L_\infty$ fixed to the known floor"),
}
NAMES = {"alpha": r"$\alpha$", "beta": r"$\beta$", "a": "$a$", "L_inf": r"$L_\infty$"}


@styled
def loss_against_rate(found: Scan, rule: Mapping[float, float]) -> Figure:
    """Loss against rate: one panel a width, one line a D, its lowest point marked, with
    an open circle at an end of the grid. `rule` is the width rule's rate by width."""
    widths = np.unique(found.width)
    across = min(ACROSS, len(widths))
    down = -(-len(widths) // across)
    size = (2.4 * across + 1.4, 2.6 * down + 0.4)
    figure = Figure(figsize=size)
    panels = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False)
    shades = LogNorm(found.D.min() / 1.5, found.D.max() * 1.5)
    for ax, width in zip(panels.flat, widths, strict=False):
        _panel(ax, found.of(found.width == width), shades)
        ax.axvline(rule[float(width)], ls="--", lw=1, color="0.4")
        ax.set_title(f"$d$ = {width:.0f}", fontsize=9)
    for ax in panels.flat[len(widths) :]:
        ax.set_visible(False)
    for ax in panels[:, 0]:
        ax.set_ylabel("validation loss [nats]")
    for ax in panels.flat:
        ax.set(xscale="log", yscale="log", xlabel="learning rate")
        ax.minorticks_off()  # whose labels overlap within a decade
        ax.set_xticks(found.rates, [f"{rate:.1g}" for rate in found.rates])
        ax.tick_params(labelbottom=True)  # a hidden panel below has none
        ax.tick_params(axis="x", labelrotation=60)
    plain_ticks(panels[0, 0].yaxis)
    _key(panels[0, 0])
    bar = ScalarMappable(norm=shades, cmap=LENGTHS)
    shown = figure.colorbar(bar, ax=list(panels.flat), label="training jets $D$")
    decades(shown.ax.yaxis)
    return figure


def _panel(ax: Axes, found: Scan, shades: LogNorm) -> None:
    loss, best = found.loss, found.best
    for cell in np.argsort(found.D):
        color = LENGTHS(shades(found.D[cell]))
        ax.plot(found.rates, loss[cell], ".-", color=color, lw=1, ms=4)
        face = color if found.inside[cell] else "white"
        ax.plot(
            found.rates[best[cell]],
            found.lowest[cell],
            "o",
            color=color,
            mfc=face,
            ms=6,
        )


def _key(ax: Axes) -> None:
    ax.plot([], [], "o", color="0.3", label="lowest")
    ax.plot([], [], "o", color="0.3", mfc="white", label="lowest, at an end")
    ax.plot([], [], "--", color="0.4", lw=1, label="width rule")
    ax.legend(fontsize=7)


@styled
def parameters(
    laws: Mapping[str, Mapping[str, FitResult]],
    paper: Mapping[str, Value],
    floor: tuple[float, float] | None,
) -> Figure:
    """Parameters and exponents of the law by arm, with 68 % intervals: reliable fits of
    each arm, by "free" and "L_inf fixed"; the paper's as a band, or the known floor."""
    figure = Figure(figsize=(10.0, 1.6 + 0.5 * len(laws)))
    panels = figure.subplots(1, len(NAMES), sharey=True)
    for ax, name in zip(panels, NAMES, strict=True):
        if name in paper and floor is None:  # the paper's are of JetClass
            _published(ax, *paper[name])
        for place, fits in enumerate(laws.values()):
            for kind, law in fits.items():
                if law.reliable and name not in law.fixed:
                    _estimate(ax, law, name, place, KINDS[kind])
        ax.set(xlabel=NAMES[name], ylim=(len(laws) - 0.5, -0.5))
    panels[-1].set_xlabel(NAMES["L_inf"] + " [nats]")
    if floor is not None:
        panels[-1].axvline(floor[0], color="tab:red", lw=1, label="known floor")
    panels[0].set_yticks(range(len(laws)), list(laws))
    entries = {
        label: handle
        for ax in panels
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)
    }
    figure.legend(
        list(entries.values()), list(entries), loc="outside lower center", ncols=4
    )
    return figure


def _estimate(ax: Axes, law: FitResult, name: str, place: int, look: Look) -> None:
    """A value with its interval, on the line of its arm."""
    shift, marker, color, label = look
    value = (law.params | law.derived)[name]
    ax.plot(value, place + shift, marker, color=color, ms=5, label=label)
    if law.intervals:
        ends = law.interval(name)
        ax.plot(ends, (place + shift, place + shift), color=color)


def _published(ax: Axes, value: float, ends: tuple[float, float] | None) -> None:
    ax.axvline(value, color="0.4", ls="--", lw=1, label="paper (JetClass)")
    if ends is not None:
        ax.axvspan(*ends, color="0.85", lw=0)
