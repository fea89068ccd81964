"""Figures of the law of a study in N and D."""

from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from jaxtyping import Float
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from jetlab.laws.plot_style import LOSSES, axes, ends, plain_ticks, spread, styled
from jetlab.laws.plots import loss_against_data as loss_against_data
from jetlab.laws.result import FitResult
from jetlab.records import TableLike

BUDGETS = mpl.colormaps["plasma"]


class Frontier(NamedTuple):
    """The compute-optimal trajectory: one entry a budget C in FLOPs."""

    C: Float[np.ndarray, "n"]
    N: Float[np.ndarray, "n"]
    D: Float[np.ndarray, "n"]
    loss: Float[np.ndarray, "n"]


@styled
def loss_surface(
    rows: TableLike, law: FitResult, frontier: Frontier, n_p: float
) -> Figure:
    """L(N, D) over the runs: iso-loss contours, iso-FLOP lines and the trajectory
    (arXiv:2602.15781, Fig. 1a)."""
    figure, ax = axes(6.0, 4.4)
    D, N = (spread(rows[name], 2.0) for name in ("D", "N"))
    surface = law.predict({"N": np.repeat(N, len(D)), "D": np.tile(D, len(N))})
    surface = surface.reshape(len(N), len(D))
    least, most = min(rows["L"].min(), surface.min()), rows["L"].max()
    norm, levels = LogNorm(least, most), np.geomspace(least, most, 12)
    ax.set(xscale="log", yscale="log", xlim=ends(D), ylim=ends(N))  # before labels
    lines = ax.contour(D, N, surface, levels, cmap=LOSSES, norm=norm, linewidths=1.2)
    ax.clabel(lines, fmt="%.2f", fontsize=7)
    budgets = LogNorm(frontier.C.min(), frontier.C.max())
    for C in frontier.C:
        ax.plot(D, C / (6 * n_p * D), color=BUDGETS(budgets(C)), lw=0.7, alpha=0.7)
    points = ax.scatter(
        rows["D"], rows["N"], c=rows["L"], cmap=LOSSES, norm=norm, s=34,
        edgecolors="white", linewidths=0.6, zorder=3,
    )  # fmt: skip
    ax.plot(frontier.D, frontier.N, "--", color="tab:blue", lw=2, label="optimal")
    ax.set(xlabel="training jets $D$", ylabel="parameters $N$")
    bar = figure.colorbar(points, label="validation loss [nats]")
    plain_ticks(bar.ax)
    ax.legend(loc="upper left")
    return figure


@styled
def iso_flops(
    rows: TableLike, law: FitResult, frontier: Frontier, n_p: float
) -> Figure:
    """Loss against N at fixed compute, with the trajectory through the minima
    (arXiv:2602.15781, Fig. 1b). Points are the runs, coloured by their own budget."""
    figure, ax = axes(6.0, 4.4)
    budgets = LogNorm(frontier.C.min(), frontier.C.max())
    N = spread(rows["N"], 3.0)
    reach = rows["D"].min() / 4, rows["D"].max() * 4
    for C in frontier.C:
        D = C / (6 * n_p * N)
        near = (reach[0] < D) & (reach[1] > D)
        curve = law.predict({"N": N[near], "D": D[near]})
        ax.plot(N[near], curve, color=BUDGETS(budgets(C)))
    points = ax.scatter(
        rows["N"], rows["L"], c=rows["C"], cmap=BUDGETS, norm=budgets, s=26,
        edgecolors="white", linewidths=0.5, zorder=3,
    )  # fmt: skip
    ax.plot(frontier.N, frontier.loss, "--", color="tab:blue", lw=2, label="optimal")
    ax.set(xscale="log", yscale="log", xlabel="parameters $N$")
    ax.set(ylabel="validation loss [nats]", xlim=ends(N))
    low, high = rows["L"].min(), rows["L"].max()
    ax.set_ylim(low * (low / high) ** 0.08, high * (high / low) ** 0.08)
    plain_ticks(ax)
    figure.colorbar(points, label=r"compute $C = 6\,n_p N D$ [FLOPs]")
    ax.legend(loc="upper right")
    return figure


@styled
def residuals(rows: TableLike, law: FitResult) -> Figure:
    """How far each run lies from the law, against its compute."""
    figure, ax = axes(5.2, 3.0)
    sizes = np.unique(rows["N"])
    shades = mpl.colormaps["cividis"](np.linspace(0, 0.9, len(sizes)))
    for N, shade in zip(sizes, shades, strict=True):
        of_size = rows["N"] == N
        off = 100 * np.expm1(-law.residuals[of_size])
        ax.plot(rows["C"][of_size], off, "o", ms=4, color=shade, label=f"N = {N:,}")
    ax.axhline(0, color="0.3", lw=0.8)
    ax.set(xscale="log", xlabel=r"compute $C = 6\,n_p N D$ [FLOPs]")
    ax.set(ylabel="loss above the law [%]")
    ax.legend(ncols=3, fontsize=7)
    return figure
