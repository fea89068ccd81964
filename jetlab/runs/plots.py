"""House style, and the figures of a law in N and D; the only file that knows
matplotlib's drawing."""

from collections.abc import Callable, Sequence
from typing import Any

import matplotlib as mpl
import matplotlib.ticker as ticker
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from jetlab.laws.result import FitResult
from jetlab.records import Table

STYLE: dict[Any, Any] = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.linewidth": 1.4,
    "savefig.dpi": 160,
    "figure.constrained_layout.use": True,
}
BUDGETS = mpl.colormaps["plasma"]
LOSSES = mpl.colormaps["viridis"]


def axes(width: float = 5.2, height: float = 4.0) -> tuple[Figure, Axes]:
    """An empty figure in the house style; sizes in inches."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width, height))
        return figure, figure.add_subplot()


def styled(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """Draw in the house style, which is then reset."""

    def drawn(*args, **kwargs) -> Figure:
        with mpl.rc_context(STYLE):
            return draw(*args, **kwargs)

    drawn.__doc__ = draw.__doc__
    return drawn


@styled
def loss_surface(rows: Table, law: FitResult, path: Table, n_p: float) -> Figure:
    """L(N, D) over the runs: iso-loss contours, iso-FLOP lines and the compute-optimal
    `path` (arXiv:2602.15781, Fig. 1a)."""
    figure, ax = axes(6.0, 4.4)
    D, N = (_spread(rows[name], 2.0) for name in ("D", "N"))
    surface = law.predict({"N": np.repeat(N, len(D)), "D": np.tile(D, len(N))})
    surface = surface.reshape(len(N), len(D))
    least, most = min(rows["L"].min(), surface.min()), rows["L"].max()
    norm, levels = LogNorm(least, most), np.geomspace(least, most, 12)
    ax.set(xscale="log", yscale="log", xlim=_ends(D), ylim=_ends(N))  # before labels
    lines = ax.contour(D, N, surface, levels, cmap=LOSSES, norm=norm, linewidths=1.2)
    ax.clabel(lines, fmt="%.2f", fontsize=7)
    budgets = LogNorm(path["C"].min(), path["C"].max())
    for C in path["C"]:
        ax.plot(D, C / (6 * n_p * D), color=BUDGETS(budgets(C)), lw=0.7, alpha=0.7)
    points = ax.scatter(
        rows["D"], rows["N"], c=rows["L"], cmap=LOSSES, norm=norm, s=34,
        edgecolors="white", linewidths=0.6, zorder=3,
    )  # fmt: skip
    ax.plot(path["D"], path["N"], "--", color="tab:blue", lw=2, label="optimal")
    ax.set(xlabel="training jets $D$", ylabel="parameters $N$")
    bar = figure.colorbar(points, label="validation loss [nats]")
    plain_ticks(bar.ax)
    ax.legend(loc="upper left")
    return figure


@styled
def iso_flops(rows: Table, law: FitResult, path: Table, n_p: float) -> Figure:
    """Loss against N at fixed compute, with the compute-optimal `path` through the
    minima (arXiv:2602.15781, Fig. 1b). Points are the runs, coloured by compute."""
    figure, ax = axes(6.0, 4.4)
    budgets = LogNorm(path["C"].min(), path["C"].max())
    spread = _spread(rows["N"], 3.0)
    reach = rows["D"].min() / 4, rows["D"].max() * 4
    for C in path["C"]:
        D = C / (6 * n_p * spread)
        near = (reach[0] < D) & (reach[1] > D)
        curve = law.predict({"N": spread[near], "D": D[near]})
        ax.plot(spread[near], curve, color=BUDGETS(budgets(C)))
    points = ax.scatter(
        rows["N"], rows["L"], c=rows["C"], cmap=BUDGETS, norm=budgets, s=26,
        edgecolors="white", linewidths=0.5, zorder=3,
    )  # fmt: skip
    ax.plot(path["N"], path["loss"], "--", color="tab:blue", lw=2, label="optimal")
    ax.set(xscale="log", yscale="log", xlabel="parameters $N$")
    ax.set(ylabel="validation loss [nats]", xlim=_ends(spread))
    low, high = rows["L"].min(), rows["L"].max()
    ax.set_ylim(low * (low / high) ** 0.08, high * (high / low) ** 0.08)
    plain_ticks(ax)
    figure.colorbar(points, label=r"compute $C = 6\,n_p N D$ [FLOPs]")
    ax.legend(loc="upper right")
    return figure


@styled
def loss_against_data(
    rows: Table,
    left_out: Table,
    law: FitResult,
    floor: tuple[float, float] | None,
) -> Figure:
    """Loss against D, one colour a model size, with the law, its L_inf, and the known
    `floor` (value, error) where there is one. Open circles were not fitted."""
    figure, ax = axes()
    sizes = np.unique(rows["N"])
    shades = mpl.colormaps["cividis"](np.linspace(0, 0.9, len(sizes)))
    D, least = _spread(rows["D"], 3.0), rows["L"].min()
    for N, shade in zip(sizes, shades, strict=True):
        of_size = rows["N"] == N
        ax.plot(
            rows["D"][of_size], rows["L"][of_size], "o", ms=4, color=shade,
            label=f"N = {N:,}",
        )  # fmt: skip
        ax.plot(D, law.predict({"N": np.full(len(D), N), "D": D}), color=shade)
        own = left_out.where(N=N)
        ax.plot(own["D"], own["L"], "o", ms=4, mfc="none", color=shade)
    fitted, note = law.params["L_inf"], "" if law.reliable else " (not reliable)"
    text = rf"fitted $L_\infty$ = {fitted:.3f}{note}"
    if fitted < least / 4:  # too far below the runs to be drawn beside them
        ax.plot([], [], ls=":", color="0.3", label=text)
    else:
        ax.axhline(fitted, ls=":", color="0.3", label=text)
    if floor is not None:
        text = f"Bayes limit = {floor[0]:.3f} ± {floor[1]:.3f}"
        ax.axhline(floor[0], color="tab:red", lw=1, label=text)
    ax.set(xscale="log", yscale="log", xlim=_ends(D))
    ax.set(xlabel="training jets $D$", ylabel="validation loss [nats]")
    plain_ticks(ax)
    ax.legend(ncols=2, loc="best", fontsize=7)
    return figure


@styled
def residuals(rows: Table, law: FitResult) -> Figure:
    """Loss of each run above the law, against its compute."""
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


def plain_ticks(ax: Axes) -> None:
    """Losses as 0.5, 1, 2: less than a decade needs no powers of ten."""
    low, high = ax.get_ylim()
    marks = np.array([1, 1.25, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8]) / 10
    marks = np.concatenate([marks, 10 * marks])
    shown = marks[(marks >= low) & (marks <= high)]
    if len(shown) < 3:  # a narrow range
        shown = ticker.MaxNLocator(6).tick_values(low, high)
    ax.yaxis.set_major_locator(ticker.FixedLocator(list(shown)))
    ax.yaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_minor_locator(ticker.NullLocator())


def decades(axis: Axis) -> None:
    """Labels at 1, 2 and 5 of each decade: those between run into each other."""
    axis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(ticker.FuncFormatter(_plain))
    axis.set_minor_formatter(ticker.NullFormatter())


def _plain(value: float, _: int) -> str:
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"


def _spread(values: np.ndarray, factor: float) -> Float[np.ndarray, "n"]:
    """Points from below the least to above the largest value, at equal ratios."""
    return np.geomspace(values.min() / factor, values.max() * factor, 120)


def _ends(values: Sequence[float] | np.ndarray) -> tuple[float, float]:
    return float(values[0]), float(values[-1])
