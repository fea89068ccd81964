"""Figures of background rejection: arXiv:2602.15781, Figs. 5 and 6."""

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
from jetlab.physics.metrics import EFFICIENCIES
from jetlab.records import Record
from jetlab.studies.inputs_plots import inputs_styles
from jetlab.studies.rejection_laws import RejectionLaw

CLASSES = mpl.colormaps["tab10"]


class Roc(NamedTuple):
    """Rejection and its interval at each signal efficiency."""

    efficiency: Float[np.ndarray, "e"]
    value: Float[np.ndarray, "e"]
    low: Float[np.ndarray, "e"]
    high: Float[np.ndarray, "e"]


def measured_roc(record: Record, signal: str) -> Roc:
    """The ROC of a run, without efficiencies at which no background jet passed."""
    rows = [
        r[1:] for r in record.rejections if r.signal == signal and r.high is not None
    ]
    return Roc(*np.array(rows, float).reshape(-1, 4).T)


def ideal_roc(ideal: Mapping[tuple[str, float], KnownRejection], signal: str) -> Roc:
    """The ROC of the ideal tagger, without efficiencies with a lower limit only."""
    rows = [(e, *ideal[signal, e]) for e in EFFICIENCIES if (signal, e) in ideal]
    measured = [row for row in rows if row[3] is not None]
    return Roc(*np.array(measured, float).reshape(-1, 4).T)


@styled
def rejection_against_loss(
    laws: Mapping[str, RejectionLaw],
    floor: float | None,
    ideal: Mapping[str, KnownRejection],
    published: Mapping[str, float],
) -> Figure:
    """Rejection of each signal class against the loss, with R(L) down to the `floor`
    where it is reliable, the ideal tagger (stars) and ParT on JetClass (dashes at the
    left). Open stars and arrows are lower limits (Fig. 5)."""
    figure, ax = axes(6.4, 4.8)
    losses = np.concatenate([one.points["loss"] for one in laws.values()])
    least = min(losses.min(), floor or np.inf)
    width = losses.max() - least
    for number, (signal, one) in enumerate(laws.items()):
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
        ax.axvline(floor, color="tab:red", lw=1, label="floor of the loss")
    if ideal:
        ax.plot([], [], "*", color="w", mec="k", ms=9, label="ideal tagger")
    if published:
        ax.plot([], [], "--", color="0.3", label="ParT, JetClass, 100M")
    ax.set(yscale="log", xlabel="validation loss [nats]", ylabel="QCD rejection")
    seen = [*published.values(), *(known[0] for known in ideal.values())]
    seen += [one.points["R"].max() for one in laws.values()]
    ax.set_ylim(0.8, 10 * max(seen))
    figure.legend(loc="outside right upper", fontsize=7)
    return figure


@styled
def roc(
    reached: Mapping[str, Roc],
    predicted: Mapping[str, Roc],
    ideal: Mapping[str, Roc],
    signal: str,
) -> Figure:
    """Rejection against signal efficiency by inputs: best run (solid), R(L) at the
    floor of the loss (dashed), and ideal tagger (dotted; Fig. 6a)."""
    figure, ax = axes(6.0, 4.4)
    styles = inputs_styles(list(reached))
    for label, curve in reached.items():
        color, name = styles[label]
        ax.plot(curve.efficiency, curve.value, color=color, label=name)
        ax.fill_between(
            curve.efficiency, curve.low, curve.high, color=color, alpha=0.15, lw=0
        )
    for curves, look in ((predicted, "--"), (ideal, ":")):
        for label, curve in curves.items():
            ax.plot(curve.efficiency, curve.value, look, color=styles[label].color)
    ax.plot([], [], color="0.4", label="best run")
    if predicted:
        ax.plot([], [], "--", color="0.4", label="R(L) at the floor of the loss")
    if ideal:
        ax.plot([], [], ":", color="0.4", label="ideal tagger")
    ax.set(yscale="log", xlabel=f"{signal} efficiency", ylabel="QCD rejection")
    ax.legend(fontsize=7)
    return figure


@styled
def rejection_by_inputs(laws: Mapping[str, RejectionLaw], signal: str) -> Figure:
    """Rejection at the working point of one signal class, against the loss and against
    the jets of a data set, by inputs (Fig. 6b)."""
    figure = Figure(figsize=(8.0, 3.8))
    left, right = figure.subplots(1, 2, sharey=True)
    styles = inputs_styles(list(laws))
    for label, one in laws.items():
        color, name = styles[label]
        _points(left, one, color, name)
        _curve(left, one, one.points["loss"].min(), color)
        _points(right, one, color, name, against="D")
    efficiency = next(iter(laws.values())).efficiency
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
    """Runs with their 68 % intervals, repeated ones as squares; lower limits as arrows
    up."""
    repeated = one.points["arm"] == "repeated"
    for look, arm in (("o", ~repeated), ("s", repeated)):
        own = one.points.take(arm & ~one.points["is_limit"])
        bars = np.abs(np.stack([own["low"], own["high"]]) - own["R"])
        ax.errorbar(own[against], own["R"], bars, fmt=look, ms=3.5, lw=0.7, color=color)
    limits = one.points.where(is_limit=True)
    ax.plot([], [], "o", ms=4, color=color, label=label)
    ax.plot(limits[against], limits["R"], "^", ms=5, mfc="none", color=color)


def _curve(
    ax: Axes, one: RejectionLaw, least: float, color: Sequence[float] | str
) -> None:
    """R(L) from the loss `least` to the highest of the runs; where it is not reliable
    dotted, and from the lowest of the runs."""
    if not np.isfinite(one.law.objective):
        return
    losses = np.linspace(least, one.points["loss"].max(), 100)
    if one.law.reliable:
        ax.plot(losses, rejection_at(one.law, losses), color=color, lw=1)
        return
    within = losses[losses >= one.points["loss"].min()]
    ax.plot(within, rejection_at(one.law, within), ":", color=color, lw=1)
