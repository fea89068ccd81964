"""Figures of a fit: loss and law, residuals, profiles, draws, contours."""

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from jetlab.laws.evidence.intervals import CONFIDENCE_LEVEL, ends_of
from jetlab.laws.evidence.profile import Profile
from jetlab.laws.plans.allocation import optima
from jetlab.laws.plans.plan_certainty import params_and_draws
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
from jetlab.records import TableLike

BAND = 400  # draws that make the band of the optimal path
SHOWN = 4.0  # of sqrt(W): a profile is drawn up to it
LISTED = 10  # sizes in a legend; more have a colour bar
FAINTEST = 1e-4  # of the upper end of 68 %: smaller draws are drawn there


def loss_figure(law: FitResult) -> Figure:
    """The figure of `FitResult.plot`.

    Raises:
      ValueError: for a fit without parameters, or a form of other columns.
    """
    if not np.isfinite(law.objective):
        raise ValueError(f"there is no law to draw: {law.message}")
    if set(law.form.columns) == {"N", "D"}:
        return loss_against_data(law)
    if len(law.form.columns) == 1:
        return _loss_against_column(law)
    raise ValueError(
        f"{law.form.name} has columns {', '.join(law.form.columns)}: figures are of N"
        " and D, or of one column"
    )


@styled
def loss_against_data(
    law: FitResult,
    left_out: TableLike | None = None,
    limit: tuple[float, float] | None = None,
    foretold: Sequence[tuple[float, float, float]] = (),
    *,
    xlabel: str = "$D$",
    ylabel: str = "loss",
) -> Figure:
    """Loss against D, a colour for each N, with the law's curves and its floor.

    Args:
      left_out: a table of runs that were not fitted, drawn as open circles.
      limit: the known lowest loss (value, error).
      foretold: N, D and loss of runs outside the fit, drawn as stars on the law's curve
        of their N.
    """
    figure, ax = axes(5.2, 4.8)
    rows, D = law.table, spread(law.table["D"], 3.0)
    sizes = np.unique(rows["N"])
    if left_out is not None:
        sizes = np.union1d(sizes, left_out["N"])
    shades = SIZES(np.linspace(0, 0.9, len(sizes)))
    if len(sizes) > LISTED:
        shades = SIZES(LogNorm(*ends(sizes))(sizes))
    for size, shade in zip(sizes, shades, strict=True):
        own = rows["N"] == size
        name = f"N = {size:,.0f}" if len(sizes) <= LISTED else None
        ax.plot(rows["D"][own], rows["L"][own], "o", ms=4, color=shade, label=name)
        if own.any() and len(sizes) <= LISTED:
            ax.plot(D, law.predict({"N": np.full(len(D), size), "D": D}), color=shade)
        if left_out is not None:
            own = left_out["N"] == size
            ax.plot(
                left_out["D"][own], left_out["L"][own], "o", ms=4, mfc="none",
                color=shade,
            )  # fmt: skip
    if len(sizes) > LISTED:
        _many_sizes(figure, ax, law, sizes, D)
    for N, at, loss in foretold:
        curve = law.predict({"N": np.full(len(D), N), "D": D})
        ax.plot(D, curve, ":", color="tab:orange")
        label = f"foretold: N = {N:,.0f}"
        ax.plot([at], [loss], "*", ms=11, color="tab:orange", label=label, zorder=4)
    _floor(ax, law)
    if limit is not None:
        error = f" ± {limit[1]:.3f}" if limit[1] else ""
        text = f"known floor = {limit[0]:.3f}{error}"
        ax.axhline(limit[0], color="tab:red", lw=1, ls="--", label=text)
    ax.set(xscale="log", yscale="log", xlim=ends(D), xlabel=xlabel, ylabel=ylabel)
    plain_ticks(ax.yaxis)
    decades(ax.xaxis)
    figure.legend(ncols=3, loc="outside lower center", fontsize=7)
    return figure


def _many_sizes(
    figure: Figure, ax: Axes, law: FitResult, sizes: np.ndarray, D: np.ndarray
) -> None:
    """Curves at five sizes, and a colour bar for all of them."""
    norm = LogNorm(*ends(sizes))
    for size in np.geomspace(*ends(law.table["N"]), 5):
        curve = law.predict({"N": np.full(len(D), size), "D": D})
        ax.plot(D, curve, color=SIZES(float(norm(size))))
    bar = ScalarMappable(norm, SIZES)
    figure.colorbar(bar, ax=ax, label="$N$")


@styled
def _loss_against_column(law: FitResult) -> Figure:
    figure, ax = axes()
    (column,) = law.form.columns
    x = spread(law.table[column], 3.0)
    ax.plot(law.table[column], law.table["L"], "o", ms=4, color="tab:blue")
    ax.plot(x, law.predict({column: x}), color="0.2", label=law.form.formula)
    _floor(ax, law)
    ax.set(xscale="log", yscale="log", xlim=ends(x), xlabel=f"${column}$")
    ax.set(ylabel="R" if law.form.name == "rejection" else "loss")
    plain_ticks(ax.yaxis)
    ax.legend(loc="best", fontsize=7)
    return figure


def _floor(ax: Axes, law: FitResult) -> None:
    """A line at L_inf, if the law has one within reach of the rows, and a band over its
    interval where it is decided."""
    floor = law.params.get("L_inf")
    if floor is None:
        return
    one = law.verdicts["L_inf"]
    text = rf"fitted $L_\infty$ = {floor:.3f}"
    if one.limit is not None:
        text = rf"$L_\infty$ < {one.limit:.3f} (95 %)"
    elif not one.known:
        text += " (undecided)"
    if floor < law.table["L"].min() / 4:  # too far below to be drawn
        ax.plot([], [], ls=":", color="0.3", label=text)
    else:
        ax.axhline(floor, ls=":", color="0.3", label=text)
        if one.interval and one.status == "decided":
            ax.axhspan(*one.interval, color="0.3", alpha=0.12, lw=0)


@styled
def residuals(law: FitResult) -> Figure:
    """Loss above the law, in per cent, against the loss; outliers are labelled by their
    row."""
    figure, ax = axes(5.2, 3.2)
    losses, off = law.table["L"], 100 * np.expm1(-law.residuals)
    ax.plot(losses, off, "o", ms=4, color="tab:blue", alpha=0.7)
    for row in law.outliers:
        ax.annotate(f" row {row}", (losses[row], off[row]), fontsize=7)
    band = 100 * np.expm1(law.scatter)
    ax.axhspan(-band, band, color="0.9", zorder=0, label="robust scatter")
    ax.axhline(0, color="0.3", lw=0.8)
    ax.set(xscale="log", xlabel="loss", ylabel="loss above the law [%]")
    plain_ticks(ax.xaxis)
    ax.legend(loc="best")
    return figure


@styled
def profiles(found: Sequence[Profile], law: FitResult) -> Figure:
    """sqrt(W) by parameter: a V for a parabola; a side that is open stays under the
    line."""
    figure = Figure(figsize=(2.3 * len(found), 2.6))
    panels = np.atleast_1d(figure.subplots(1, len(found), sharey=True))
    for ax, one in zip(panels, found, strict=True):
        root = np.sqrt(one.statistic)
        near = root < SHOWN
        ax.plot(one.values[near], root[near], "-", color="tab:blue")
        ax.plot(law.params[one.name], 0, "o", ms=4, color="0.2")
        ax.axhline(one.limit, ls=":", color="0.4", lw=1)
        ax.axvspan(*np.clip(one.interval, *ends(one.values[near])), color="0.92")
        if near.sum() and one.values[near].min() > 0 and _wide(one.values[near]):
            ax.set_xscale("log")
        ax.set(xlabel=one.name, ylim=(0, SHOWN))
        ax.tick_params(axis="x", labelsize=7, rotation=30)
        if ax.get_xscale() == "linear":
            ax.locator_params(axis="x", nbins=4)
    panels[0].set_ylabel(r"$\sqrt{W}$")
    if not law.reliable:
        figure.suptitle(law.summary.partition(":")[0], fontsize=9)
    return figure


@styled
def corner(law: FitResult) -> Figure:
    """The draws of every pair of free parameters, and the histogram of each. Draws far
    outside the others lie at the edge."""
    values = law.draws.values if law.draws else {}
    draws = {n: _within_reach(v) for n, v in values.items()}
    names = [n for n, v in draws.items() if np.ptp(v) > 0]
    wide = {n for n in names if draws[n].min() > 0 and _wide(draws[n])}
    size = len(names)
    figure = Figure(figsize=(1.7 * size, 1.7 * size))
    panels: Any = figure.subplots(size, size, squeeze=False, sharex="col")
    for (i, below), (j, across) in product(enumerate(names), enumerate(names)):
        ax = panels[i, j]
        ax.tick_params(labelsize=6)
        if j > i:
            ax.set_axis_off()
            continue
        if across in wide:
            ax.set_xscale("log")
        if i == j:
            ax.hist(draws[across], bins=_bins(draws[across], across in wide))
            ax.axvline(law.params[across], color="0.2", lw=1)
            ax.set_yticks([])
        else:
            ax.plot(
                draws[across], draws[below], ".", ms=1.5, alpha=0.4, rasterized=True
            )
            ax.plot(law.params[across], law.params[below], "+", color="tab:red")
            if below in wide:
                ax.set_yscale("log")
        if i == size - 1:
            ax.set_xlabel(across)
        if j == 0 and i:
            ax.set_ylabel(below)
    return figure


def _within_reach(values: Float[np.ndarray, "draws"]) -> Float[np.ndarray, "draws"]:
    """Values clipped to 96 % of them, and positive ones to `FAINTEST`: a parameter that
    runs to zero goes on for hundreds of decades."""
    if not values.size:
        return values
    low, upper, high = np.quantile(values, (0.02, 0.84, 0.98))
    if values.min() > 0:
        low = max(low, FAINTEST * upper)
    return np.clip(values, low, high)


@styled
def contours(law: FitResult) -> Figure:
    """Iso-loss contours over the rows, the optimal path of N D = constant, and the band
    of the paths of the draws."""
    figure, ax = axes(6.0, 4.4)
    rows = law.table
    N, D = (np.geomspace(rows[n].min() / 3, rows[n].max() * 3, 80) for n in ("N", "D"))
    surface = law.predict({"N": np.repeat(N, len(D)), "D": np.tile(D, len(N))})
    surface = surface.reshape(len(N), len(D))
    ax.set(xscale="log", yscale="log", xlim=ends(D), ylim=ends(N))  # before labels
    levels = np.geomspace(surface.min(), surface.max(), 14)[1:-1]
    lines = ax.contour(D, N, surface, levels, cmap=LOSSES, linewidths=1.1)
    ax.clabel(lines, fmt="%.3g", fontsize=7)
    ax.plot(rows["D"], rows["N"], "o", ms=3, color="0.3", label="rows")
    products = np.geomspace(N[0] * D[0], N[-1] * D[-1], 30)
    params = {n: v[: 1 + BAND] for n, v in params_and_draws(law).items()}
    sizes = [optima(law.form, params, np.log(nd))["N"] for nd in products]
    best, others = np.array(sizes)[:, 0], np.array(sizes)[:, 1:]
    if np.isfinite(others).any(axis=1).all():
        low, high = np.nanquantile(others, ends_of(CONFIDENCE_LEVEL), axis=1)
        ax.fill(
            np.append(products / low, (products / high)[::-1]),
            np.append(low, high[::-1]),
            color="tab:blue", alpha=0.2, lw=0, label="68 % of the draws",
        )  # fmt: skip
    ax.plot(products / best, best, "--", color="tab:blue", label="optimal")
    ax.set(xlabel="$D$", ylabel="$N$")
    if not law.reliable:
        ax.set_title(law.summary.partition(":")[0], fontsize=9)
    ax.legend(loc="best", frameon=True, framealpha=0.9)
    return figure


def _bins(values: np.ndarray, log: bool) -> np.ndarray:
    spaced = np.geomspace if log else np.linspace
    return spaced(values.min(), values.max(), 31)


def _wide(values: np.ndarray) -> bool:
    return bool(values.max() > 20 * values.min())
