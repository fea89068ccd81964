"""Figures of L(N, D): arXiv:2602.15781, Figs. 1a and 1b, and the residuals."""

import matplotlib as mpl
import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from jetlab.laws.plot_style import (
    LOSSES,
    SIZES,
    axes,
    decades,
    ends,
    plain_ticks,
    spread,
    styled,
)
from jetlab.laws.result import FitResult
from jetlab.records import Table

BUDGETS = mpl.colormaps["plasma"]


@styled
def loss_surface(rows: Table, law: FitResult, path: Table) -> Figure:
    """L(N, D) over the runs: iso-loss contours, iso-FLOP lines and the compute-optimal
    `path` (arXiv:2602.15781, Fig. 1a)."""
    figure, ax = axes(6.0, 4.4)
    D, N = (spread(rows[name], 2.0) for name in ("D", "N"))
    surface = law.predict({"N": np.repeat(N, len(D)), "D": np.tile(D, len(N))})
    surface = surface.reshape(len(N), len(D))
    least, most = min(rows["L"].min(), surface.min()), rows["L"].max()
    norm, levels = LogNorm(least, most), np.geomspace(least, most, 12)
    ax.set(xscale="log", yscale="log", xlim=ends(D), ylim=ends(N))  # before labels
    lines = ax.contour(D, N, surface, levels, cmap=LOSSES, norm=norm, linewidths=1.2)
    ax.clabel(lines, fmt="%.2f", fontsize=7)
    budgets = LogNorm(path["C"].min(), path["C"].max())
    for C in path["C"]:
        ax.plot(
            D, C / (6 * law.particles * D), color=BUDGETS(budgets(C)), lw=0.7, alpha=0.7
        )
    points = ax.scatter(
        rows["D"], rows["N"], c=rows["L"], cmap=LOSSES, norm=norm, s=34,
        edgecolors="white", linewidths=0.6, zorder=3,
    )  # fmt: skip
    ax.plot(path["D"], path["N"], "--", color="tab:blue", lw=2, label="optimal")
    ax.set(xlabel="training jets $D$", ylabel="parameters $N$")
    bar = figure.colorbar(points, label="validation loss [nats]")
    plain_ticks(bar.ax.yaxis)
    decades(ax.xaxis)
    ax.legend(loc="upper left")
    return figure


@styled
def iso_flops(rows: Table, law: FitResult, path: Table) -> Figure:
    """Loss against N at fixed compute, with the compute-optimal `path` through the
    minima (arXiv:2602.15781, Fig. 1b). Points are the runs, coloured by compute."""
    figure, ax = axes(6.0, 4.4)
    budgets = LogNorm(path["C"].min(), path["C"].max())
    sizes = spread(rows["N"], 3.0)
    reach = rows["D"].min() / 4, rows["D"].max() * 4
    for C in path["C"]:
        D = C / (6 * law.particles * sizes)
        near = (reach[0] < D) & (reach[1] > D)
        curve = law.predict({"N": sizes[near], "D": D[near]})
        ax.plot(sizes[near], curve, color=BUDGETS(budgets(C)))
    points = ax.scatter(
        rows["N"], rows["L"], c=rows["C"], cmap=BUDGETS, norm=budgets, s=26,
        edgecolors="white", linewidths=0.5, zorder=3,
    )  # fmt: skip
    ax.plot(path["N"], path["loss"], "--", color="tab:blue", lw=2, label="optimal")
    ax.set(xscale="log", yscale="log", xlabel="parameters $N$")
    ax.set(ylabel="validation loss [nats]", xlim=ends(sizes))
    low, high = rows["L"].min(), rows["L"].max()
    ax.set_ylim(low * (low / high) ** 0.08, high * (high / low) ** 0.08)
    plain_ticks(ax.yaxis)
    figure.colorbar(points, label=r"compute $C = 6\,n_p N D$ [FLOPs]")
    ax.legend(loc="upper right")
    return figure


@styled
def residuals_against_compute(rows: Table, law: FitResult) -> Figure:
    """Loss of each run above the law, against its compute."""
    figure, ax = axes(5.2, 3.0)
    sizes = np.unique(rows["N"])
    shades = SIZES(np.linspace(0, 0.9, len(sizes)))
    for N, shade in zip(sizes, shades, strict=True):
        of_size = rows["N"] == N
        off = 100 * np.expm1(-law.residuals[of_size])
        ax.plot(rows["C"][of_size], off, "o", ms=4, color=shade, label=f"N = {N:,}")
    ax.axhline(0, color="0.3", lw=0.8)
    ax.set(xscale="log", xlabel=r"compute $C = 6\,n_p N D$ [FLOPs]")
    ax.set(ylabel="loss above the law [%]")
    ax.legend(ncols=3, fontsize=7)
    return figure
