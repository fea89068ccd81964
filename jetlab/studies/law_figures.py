"""Figures of a fit to any table: residuals, profiles, draws, surface with its band."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from jetlab.laws.fitted import Fit
from jetlab.laws.intervals.profile import Profile
from jetlab.records import Table
from jetlab.studies.figures import LOSSES, axes, styled

SHOWN = 4.0  # of sqrt(W): a profile is drawn so far


@styled
def against_law(rows: Table, law: Fit) -> Figure:
    """Loss over the law's, in per cent, against the loss; outliers are named by their
    row."""
    figure, ax = axes(5.2, 3.2)
    off = 100 * np.expm1(-law.residuals)
    ax.plot(rows["L"], off, "o", ms=4, color="tab:blue", alpha=0.7)
    for row in law.outliers:
        ax.annotate(f" row {row}", (rows["L"][row], off[row]), fontsize=7)
    band = 100 * np.expm1(law.scatter)
    ax.axhspan(-band, band, color="0.9", zorder=0, label="robust scatter")
    ax.axhline(0, color="0.3", lw=0.8)
    ax.set(xscale="log", xlabel="loss", ylabel="loss above the law [%]")
    ax.legend(loc="best")
    return figure


@styled
def profiles(found: Sequence[Profile], law: Fit) -> Figure:
    """sqrt(W) by parameter, a V where a parabola describes it; a flat side stays under
    the line."""
    figure = Figure(figsize=(2.3 * len(found), 2.6))
    panels = np.atleast_1d(figure.subplots(1, len(found), sharey=True))
    for ax, one in zip(panels, found, strict=True):
        root = np.sqrt(one.statistic)
        near = root < SHOWN
        ax.plot(one.values[near], root[near], "-", color="tab:blue")
        ax.plot(law.params[one.name], 0, "o", ms=4, color="0.2")
        ax.axhline(one.limit, ls=":", color="0.4", lw=1)
        ax.axvspan(*np.clip(one.interval, *_ends(one.values[near])), color="0.92")
        if near.sum() and one.values[near].min() > 0 and _wide(one.values[near]):
            ax.set_xscale("log")
        ax.set(xlabel=one.name, ylim=(0, SHOWN))
        ax.tick_params(axis="x", labelsize=7)
    panels[0].set_ylabel(r"$\sqrt{W}$")
    return figure


@styled
def corner(law: Fit) -> Figure:
    """The draws of every pair of free parameters, and each one's histogram."""
    draws = law.draws.values if law.draws else {}
    names = [n for n, v in draws.items() if np.ptp(v) > 0]
    size = len(names)
    figure = Figure(figsize=(1.7 * size, 1.7 * size))
    panels: Any = figure.subplots(size, size, squeeze=False, sharex="col")
    for i, j in np.ndindex(size, size):
        ax = panels[i, j]
        ax.tick_params(labelsize=6)
        if j > i:
            ax.set_axis_off()
        elif i == j:
            ax.hist(draws[names[i]], bins=30, color="tab:blue", histtype="stepfilled")
            ax.axvline(law.params[names[i]], color="0.2", lw=1)
            ax.set_yticks([])
        else:
            x, y = draws[names[j]], draws[names[i]]
            ax.plot(x, y, ".", ms=1.5, alpha=0.4, rasterized=True)
            ax.plot(law.params[names[j]], law.params[names[i]], "+", color="tab:red")
        if i == size - 1:
            ax.set_xlabel(names[j])
        if j == 0 and i:
            ax.set_ylabel(names[i])
    return figure


@styled
def contours(rows: Table, law: Fit) -> Figure:
    """Iso-loss contours over the rows, the optimal trajectory of N D = constant, and
    the band of those of the draws."""
    figure, ax = axes(6.0, 4.4)
    N, D = (np.geomspace(rows[n].min() / 3, rows[n].max() * 3, 80) for n in ("N", "D"))
    surface = law.predict({"N": np.repeat(N, len(D)), "D": np.tile(D, len(N))})
    surface = surface.reshape(len(N), len(D))
    levels = np.geomspace(surface.min(), surface.max(), 14)[1:-1]
    lines = ax.contour(D, N, surface, levels, cmap=LOSSES, linewidths=1.1)
    ax.clabel(lines, fmt="%.3g", fontsize=7)
    ax.plot(rows["D"], rows["N"], "o", ms=3, color="0.3")
    product = np.geomspace(N[0] * D[0], N[-1] * D[-1], 60)
    draws = law.draws.values if law.draws else {}
    if draws:
        paths = np.array([best_size(draws, nd) for nd in product])
        low, high = np.nanquantile(paths, (0.16, 0.84), axis=1)
        ax.fill(
            np.append(product / low, (product / high)[::-1]),
            np.append(low, high[::-1]),
            color="tab:blue", alpha=0.2, lw=0, label="68 % of the draws",
        )  # fmt: skip
    best = np.array([best_size(law.params, nd) for nd in product])
    ax.plot(product / best, best, "--", color="tab:blue", label="optimal")
    ax.set(xscale="log", yscale="log", xlim=_ends(D), ylim=_ends(N))
    ax.set(xlabel="$D$", ylabel="$N$")
    ax.legend(loc="upper left")
    return figure


def best_size(params: Mapping[str, Any], product: float) -> np.ndarray:
    """N* at N D = product for the additive form, in closed form
    (arXiv:2203.15556, Eq. 4); NaN where a term does not fall."""
    A, alpha, B, beta = (np.asarray(params[n]) for n in ("A", "alpha", "B", "beta"))
    with np.errstate(all="ignore"):
        scale = (alpha * A / (beta * B)) ** (1 / (alpha + beta))
        found = scale * product ** (beta / (alpha + beta))
    return np.where((alpha > 0) & (beta > 0), found, np.nan)


def _ends(values: np.ndarray) -> tuple[float, float]:
    return float(values.min()), float(values.max())


def _wide(values: np.ndarray) -> bool:
    return bool(values.max() > 20 * values.min())
