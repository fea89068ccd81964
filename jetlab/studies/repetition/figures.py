"""Figures of repeated data: arXiv:2602.15781, Figs. 2 and 3."""

from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from jetlab.laws.overfitting import OverfittingThreshold
from jetlab.laws.plot_style import axes, decades, plain_ticks, styled
from jetlab.laws.result import FitResult
from jetlab.records import TableLike
from jetlab.runs.plots import Frontier
from jetlab.studies.repetition.repeated import Repeats

SIZES = mpl.colormaps["cividis"]
KINDS: dict[str, dict[str, Any]] = {
    "underfits": {"marker": "o", "color": "tab:blue"},
    "overfits": {"marker": "x", "color": "tab:red"},
    "undecided": {"marker": "o", "color": "0.6", "mfc": "none"},
}


class Gain(NamedTuple):
    """omega of data sets of `unique` jets, and its 68 % band, if there is one."""

    unique: Float[np.ndarray, "n"]
    omega: Float[np.ndarray, "n"]
    low: Float[np.ndarray, "n"] | None
    high: Float[np.ndarray, "n"] | None


@styled
def loss_against_compute(
    found: Repeats, single: Frontier | None, best: TableLike, *, sure: bool
) -> Figure:
    """Lowest validation loss against the compute up to it: a line a data set, coloured
    by model size; the best single pass, by a law that its rows decide or do not
    (`sure`), and the lower envelope (Figs. 2a and 2b)."""
    figure, ax = axes(6.0, 4.4)
    rows = found.rows
    shades = LogNorm(rows["N"].min(), rows["N"].max())
    lines = ["-", "--", "-.", ":"]
    for i, unique in enumerate(np.unique(rows["U"])):
        own = np.flatnonzero(rows["U"] == unique)
        own = own[np.argsort(rows["C"][own])]
        style = lines[i % len(lines)]
        label = f"{unique:,.0f} jets"
        ax.plot(rows["C"][own], rows["L"][own], style, color="0.6", lw=1, label=label)
    points = ax.scatter(
        rows["C"], rows["L"], c=rows["N"], cmap=SIZES, norm=shades, s=26
    )
    if single is not None:
        label = "best single pass" + ("" if sure else " (a sketch)")
        ax.plot(single.C, single.loss, "--", color="tab:blue", label=label)
    if len(best["L"]):
        ax.plot(
            best["C"], best["L"], "o-", mfc="none", color="tab:red", label="envelope"
        )
    ax.set(xscale="log", yscale="log", xlabel=r"compute $6\,n_p N D$ to it [FLOPs]")
    ax.set(ylabel="lowest validation loss [nats]")
    plain_ticks(ax)
    decades(figure.colorbar(points, label="parameters $N$").ax.yaxis)
    ax.legend(fontsize=7)
    return figure


@styled
def loss_against_data(
    best: TableLike,
    repeated: FitResult | None,
    single: FitResult,
    limit: tuple[float, float] | None,
    gain: Gain | None,
) -> Figure:
    """The envelope against its unique jets, with Eq. 4 through it, and one pass of an
    infinite model over as many (Fig. 2c); beside it omega (Eq. 5) with its band."""
    figure = Figure(figsize=(8.6 if gain else 5.2, 4.0))
    ax = figure.add_subplot(1, 2 if gain else 1, 1)
    U = np.geomspace(best["U"].min() / 2, best["U"].max() * 10, 100)
    ax.plot(best["U"], best["L"], "o", color="0.1", label="repeated, lowest loss")
    if repeated is not None:
        ax.plot(U, repeated.predict({"D": U}), color="0.1", lw=1, label="Eq. 4")
    p = single.params
    once = p["L_inf"] + p["B"] / U ** p["beta"]
    ax.plot(U, once, "--", color="tab:blue", label=r"one pass, $N \to \infty$")
    if limit is not None:
        text = f"known limit = {limit[0]:.3f} ± {limit[1]:.3f}"
        ax.axhline(limit[0], color="tab:red", lw=1, label=text)
    ax.set(xscale="log", yscale="log", xlabel="unique jets")
    ax.set(ylabel="validation loss [nats]")
    plain_ticks(ax)
    ax.legend()
    if gain is not None:
        _omega(figure.add_subplot(1, 2, 2), gain)
    return figure


def _omega(ax: Axes, gain: Gain) -> None:
    ax.plot(gain.unique, gain.omega, color="0.1")
    if gain.low is not None and gain.high is not None:
        ax.fill_between(gain.unique, gain.low, gain.high, color="0.1", alpha=0.2, lw=0)
    ax.axhline(1, color="0.4", lw=0.8, ls=":")
    ax.set(xscale="log", yscale="log", xlabel="unique jets $D$")
    ax.set(ylabel=r"$\omega$: jets seen once, for each repeated")
    decades(ax.yaxis)


@styled
def overfitting(found: Repeats, line: OverfittingThreshold | None) -> Figure:
    """Which runs overfit, in N and unique jets, and from where on (Fig. 3)."""
    figure, ax = axes()
    rows, said = found.rows, np.array(found.verdicts)
    for kind, look in KINDS.items():
        own = said == kind
        ax.plot(rows["U"][own], rows["N"][own], ls="", ms=6, label=kind, **look)
    U = np.geomspace(rows["U"].min() / 2, rows["U"].max() * 2, 50)
    if line is not None:
        label = rf"$N \propto D^{{{line.exponent:.2f}}}$"
        ax.plot(U, line.size(U), color="tab:green", label=label)
        if line.intervals:
            low, high = line.band(U)
            ax.fill_between(U, low, high, color="tab:green", alpha=0.2, lw=0)
    ax.set(xscale="log", yscale="log", xlabel="unique jets $D$")
    ax.set(ylabel="parameters $N$", ylim=(rows["N"].min() / 3, rows["N"].max() * 3))
    decades(ax.xaxis)
    decades(ax.yaxis)
    figure.legend(loc="outside upper center", ncols=4)
    return figure


@styled
def curves(found: Repeats) -> Figure:
    """Every validation curve against the passes seen, one panel a data set."""
    rows = found.rows
    sizes = np.unique(rows["U"])
    figure = Figure(figsize=(2.6 * len(sizes), 2.9))
    panels = np.atleast_1d(figure.subplots(1, len(sizes), sharey=True))
    shades = LogNorm(rows["N"].min(), rows["N"].max())
    for ax, unique in zip(panels, sizes, strict=True):
        for run in np.flatnonzero(rows["U"] == unique):
            steps, losses = _curve(found, int(run))
            per_pass = unique / (rows["D"][run] / _best_step(found, int(run)))
            color = SIZES(shades(rows["N"][run]))
            ax.plot(steps / per_pass, losses, color=color, lw=1)
        ax.set(xscale="log", yscale="log", xlabel="passes")
        decades(ax.xaxis)
        ax.set_title(f"{unique:,.0f} jets", fontsize=9)
    panels[0].set_ylabel("validation loss [nats]")
    plain_ticks(panels[0])
    bar = ScalarMappable(norm=shades, cmap=SIZES)
    shown = figure.colorbar(bar, ax=list(panels), label="parameters $N$")
    decades(shown.ax.yaxis)
    return figure


def _curve(
    found: Repeats, run: int
) -> tuple[Float[np.ndarray, "t"], Float[np.ndarray, "t"]]:
    steps, losses = np.array(found.curves[run], float).T
    return steps, losses


def _best_step(found: Repeats, run: int) -> float:
    steps, losses = _curve(found, run)
    return float(steps[np.argmin(losses)])
