"""Figures of physics performance: arXiv:2602.15781, Figs. 5 and 6."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jetlab.data.shower.bayes_limit import KnownRejection
from jetlab.laws.plot_style import axes, styled
from jetlab.laws.rejection import rejection_at
from jetlab.studies.performance.rejection_laws import RejectionLaw
from jetlab.studies.repetition.inputs_figures import COLORS, LABELS

CLASSES = mpl.colormaps["tab10"]


class Curve(NamedTuple):
    """A ROC: rejection and its interval at each signal efficiency."""

    efficiency: Float[np.ndarray, "e"]
    value: Float[np.ndarray, "e"]
    low: Float[np.ndarray, "e"]
    high: Float[np.ndarray, "e"]


@styled
def rejection_against_loss(
    found: Mapping[str, RejectionLaw],
    floor: float | None,
    ideal: Mapping[str, KnownRejection],
    published: Mapping[str, float],
) -> Figure:
    """Rejection of each signal class against the loss, with R(L) down to the `floor`
    where its runs decide it, what no tagger can beat there (stars), and ParT on
    JetClass (dashes at the left). Open stars and arrows are lower limits (Fig. 5)."""
    figure, ax = axes(6.4, 4.8)
    losses = np.concatenate([one.points["loss"] for one in found.values()])
    least = min(losses.min(), floor or np.inf)
    width = losses.max() - least
    for number, (signal, one) in enumerate(found.items()):
        color = CLASSES(number)
        _points(ax, one, color, f"{signal}, {100 * one.efficiency:g} %")
        _curve(ax, one, least, color)
        if floor is not None and signal in ideal:
            value, _, high = ideal[signal]
            face = "none" if high is None else color
            ax.plot(floor, value, "*", mfc=face, mec=color, ms=9, mew=0.8)
        if signal in published:
            ends = [least - 0.16 * width, least - 0.06 * width]
            ax.plot(ends, [published[signal]] * 2, "--", color=color, lw=1.6)
    if floor is not None:
        ax.axvline(floor, color="tab:red", lw=1, label="known limit")
    if ideal:
        ax.plot([], [], "*", color="w", mec="k", ms=9, label="ideal tagger")
    if published:
        ax.plot([], [], "--", color="0.3", label="ParT, JetClass, 100M")
    ax.set(yscale="log", xlabel="validation loss [nats]", ylabel="QCD rejection")
    seen = [*published.values(), *(known[0] for known in ideal.values())]
    seen += [one.points["R"].max() for one in found.values()]
    ax.set_ylim(0.8, 10 * max(seen))
    figure.legend(loc="outside right upper", fontsize=7)
    return figure


@styled
def roc(
    reached: Mapping[str, Curve],
    foretold: Mapping[str, Curve],
    ideal: Mapping[str, Curve],
    signal: str,
) -> Figure:
    """Rejection against signal efficiency by inputs: of the best run (solid), foretold
    at the floor of the loss (dashed), and of the ideal tagger (dotted; Fig. 6a)."""
    figure, ax = axes(6.0, 4.4)
    for name, curve in reached.items():
        color = COLORS[name]
        ax.plot(curve.efficiency, curve.value, color=color, label=LABELS[name])
        ax.fill_between(
            curve.efficiency, curve.low, curve.high, color=color, alpha=0.15, lw=0
        )
    for curves, look in ((foretold, "--"), (ideal, ":")):
        for name, curve in curves.items():
            ax.plot(curve.efficiency, curve.value, look, color=COLORS[name])
    ax.plot([], [], color="0.4", label="best run")
    if foretold:
        ax.plot([], [], "--", color="0.4", label="foretold at the floor of the loss")
    if ideal:
        ax.plot([], [], ":", color="0.4", label="ideal tagger")
    ax.set(yscale="log", xlabel=f"{signal} efficiency", ylabel="QCD rejection")
    ax.legend(fontsize=7)
    return figure


@styled
def rejection_by_inputs(found: Mapping[str, RejectionLaw], signal: str) -> Figure:
    """Rejection at the working point of one signal class, against the loss and against
    the jets of a data set, by inputs (Fig. 6b)."""
    figure = Figure(figsize=(8.0, 3.8))
    left, right = figure.subplots(1, 2, sharey=True)
    for name, one in found.items():
        _points(left, one, COLORS[name], LABELS[name])
        _curve(left, one, one.points["loss"].min(), COLORS[name])
        _points(right, one, COLORS[name], LABELS[name], against="D")
    efficiency = next(iter(found.values())).efficiency
    left.set(yscale="log", xlabel="validation loss [nats]")
    left.set_ylabel(f"QCD rejection at {100 * efficiency:g} % {signal}")
    right.set(xscale="log", xlabel="unique jets $D$")
    for look, label in (("o", "single pass"), ("s", "repeated"), ("^", "lower limit")):
        right.plot([], [], look, ms=4, mfc="none", color="0.4", label=label)
    left.legend(fontsize=7)
    right.legend(fontsize=7)
    return figure


def _points(
    ax: Axes,
    one: RejectionLaw,
    color: Sequence[float] | str,
    label: str,
    against="loss",
) -> None:
    """Runs with their 68 % intervals, squares where they saw their jets often; an arrow
    up where only a limit is known."""
    points = one.points
    x, R, only = points[against], points["R"], points["limit"]
    bars = np.abs(np.stack([points["low"], points["high"]]) - R)
    for look, own in (("o", ~points["repeated"]), ("s", points["repeated"])):
        told = own & ~only
        ax.errorbar(
            x[told], R[told], bars[:, told], fmt=look, ms=3.5, lw=0.7, color=color
        )
    ax.plot([], [], "o", ms=4, color=color, label=label)
    ax.plot(x[only], R[only], "^", ms=5, mfc="none", color=color)


def _curve(
    ax: Axes, one: RejectionLaw, least: float, color: Sequence[float] | str
) -> None:
    """R(L) from a loss up to the highest of the runs, dotted and no lower than the
    lowest where the runs do not decide it."""
    if not np.isfinite(one.law.objective):
        return
    losses = np.linspace(least, one.points["loss"].max(), 100)
    if one.told:
        ax.plot(losses, rejection_at(one.law, losses), color=color, lw=1)
        return
    within = losses[losses >= one.points["loss"].min()]
    ax.plot(within, rejection_at(one.law, within), ":", color=color, lw=1)
