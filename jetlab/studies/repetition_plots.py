"""Figures of repeated data: arXiv:2602.15781, Figs. 2 and 3."""

from collections.abc import Sequence
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
from jetlab.records import Record, Table

SIZES = mpl.colormaps["cividis"]
KINDS: dict[str, dict[str, Any]] = {
    "underfits": {"marker": "o", "color": "tab:blue"},
    "overfits": {"marker": "x", "color": "tab:red"},
    "undecided": {"marker": "o", "color": "0.6", "mfc": "none"},
}


class OmegaCurve(NamedTuple):
    """omega of data sets of `unique` jets, and its 68 % band, None without one."""

    unique: Float[np.ndarray, "n"]
    omega: Float[np.ndarray, "n"]
    low: Float[np.ndarray, "n"] | None
    high: Float[np.ndarray, "n"] | None


@styled
def loss_against_compute(
    runs: Table, single: Table | None, lowest: Table, *, reliable: bool
) -> Figure:
    """Lowest validation loss against the compute up to it: a line a data set, coloured
    by model size; the compute-optimal path of `single` passes, by a law that is
    `reliable` or not, and the envelope (Figs. 2a and 2b)."""
    figure, ax = axes(6.0, 4.4)
    shades = LogNorm(runs["N"].min(), runs["N"].max())
    lines = ["-", "--", "-.", ":"]
    for i, unique in enumerate(np.unique(runs["U"])):
        own = runs.where(U=unique).best(by="N")  # of the seeds
        own = own.take(np.argsort(own["N"]))
        label = f"{unique:,.0f} jets"
        ax.plot(own["C"], own["L"], lines[i % 4], color="0.6", lw=1, label=label)
    points = ax.scatter(
        runs["C"], runs["L"], c=runs["N"], cmap=SIZES, norm=shades, s=26
    )
    if single is not None:
        label = "best single pass" + ("" if reliable else " (law not reliable)")
        ax.plot(single["C"], single["loss"], "--", color="tab:blue", label=label)
    if lowest.rows:
        look: Any = {"mfc": "none", "color": "tab:red", "label": "envelope"}
        ax.plot(lowest["C"], lowest["L"], "o-", **look)
    ax.set(xscale="log", yscale="log", xlabel=r"compute $6\,n_p N D$ to it [FLOPs]")
    ax.set(ylabel="lowest validation loss [nats]")
    plain_ticks(ax.yaxis)
    decades(figure.colorbar(points, label="parameters $N$").ax.yaxis)
    ax.legend(fontsize=7)
    return figure


@styled
def loss_against_data(
    lowest: Table,
    repeated: FitResult | None,
    single: FitResult,
    floor: tuple[float, float] | None,
    omega: OmegaCurve | None,
) -> Figure:
    """The envelope against its unique jets, with Eq. 4 through it, and one pass of an
    infinite model over as many (Fig. 2c); beside it omega (Eq. 5) with its band."""
    figure = Figure(figsize=(8.6 if omega else 5.2, 4.0))
    ax = figure.add_subplot(1, 2 if omega else 1, 1)
    U = np.geomspace(lowest["U"].min() / 2, lowest["U"].max() * 10, 100)
    ax.plot(lowest["U"], lowest["L"], "o", color="0.1", label="repeated, lowest loss")
    if repeated is not None:
        ax.plot(U, repeated.predict({"D": U}), color="0.1", lw=1, label="Eq. 4")
    p = single.params
    once = p["L_inf"] + p["B"] / U ** p["beta"]
    ax.plot(U, once, "--", color="tab:blue", label=r"one pass, $N \to \infty$")
    if floor is not None:
        text = f"known floor {floor[0]:.3f}" + (
            f" ± {floor[1]:.3f}" if floor[1] else ""
        )
        ax.axhline(floor[0], color="tab:red", lw=1, label=text)
    ax.set(xscale="log", yscale="log", xlabel="unique jets")
    ax.set(ylabel="validation loss [nats]")
    plain_ticks(ax.yaxis)
    ax.legend()
    if omega is not None:
        _omega(figure.add_subplot(1, 2, 2), omega)
    return figure


def _omega(ax: Axes, omega: OmegaCurve) -> None:
    ax.plot(omega.unique, omega.omega, color="0.1")
    if omega.low is not None and omega.high is not None:
        ax.fill_between(
            omega.unique, omega.low, omega.high, color="0.1", alpha=0.2, lw=0
        )
    ax.axhline(1, color="0.4", lw=0.8, ls=":")
    ax.set(xscale="log", yscale="log", xlabel="unique jets $D$")
    ax.set(ylabel=r"$\omega$: jets seen once per repeated jet")
    decades(ax.yaxis)


@styled
def overfitting(runs: Table, line: OverfittingThreshold | None) -> Figure:
    """Which runs overfit, in N and unique jets, and the threshold (Fig. 3)."""
    figure, ax = axes()
    for kind, look in KINDS.items():
        own = runs.where(curve=kind)
        ax.plot(own["U"], own["N"], ls="", ms=6, label=kind, **look)
    U = np.geomspace(runs["U"].min() / 2, runs["U"].max() * 2, 50)
    if line is not None:
        label = rf"$N \propto D^{{{line.exponent:.2f}}}$"
        ax.plot(U, line.size(U), color="tab:green", label=label)
        if line.intervals:
            low, high = line.band(U)
            ax.fill_between(U, low, high, color="tab:green", alpha=0.2, lw=0)
    ax.set(xscale="log", yscale="log", xlabel="unique jets $D$")
    ax.set(ylabel="parameters $N$", ylim=(runs["N"].min() / 3, runs["N"].max() * 3))
    decades(ax.xaxis)
    decades(ax.yaxis)
    figure.legend(loc="outside upper center", ncols=4)
    return figure


@styled
def validation_curves(records: Sequence[Record]) -> Figure:
    """Validation loss against epochs, one panel a data set."""
    sizes, N = np.unique([r.D for r in records]), [r.N for r in records]
    figure = Figure(figsize=(2.6 * len(sizes), 2.9))
    panels = np.atleast_1d(figure.subplots(1, len(sizes), sharey=True))
    shades = LogNorm(min(N), max(N))
    for ax, unique in zip(panels, sizes, strict=True):
        for record in records:
            if record.D == unique:
                steps, losses = np.array(record.valid_curve, float).T
                epochs = steps * record.batch / unique
                ax.plot(epochs, losses, color=SIZES(shades(record.N)), lw=1)
        ax.set(xscale="log", yscale="log", xlabel="epochs")
        decades(ax.xaxis)
        ax.set_title(f"{unique:,.0f} jets", fontsize=9)
    panels[0].set_ylabel("validation loss [nats]")
    plain_ticks(panels[0].yaxis)
    bar = ScalarMappable(norm=shades, cmap=SIZES)
    shown = figure.colorbar(bar, ax=list(panels), label="parameters $N$")
    decades(shown.ax.yaxis)
    return figure
