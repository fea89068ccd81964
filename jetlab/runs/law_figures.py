"""Figures of a fit to any table: residuals, profiles, draws, surface with its band."""

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from jetlab.laws.allocation import optima
from jetlab.laws.plan import params_and_draws
from jetlab.laws.profile import Profile
from jetlab.laws.result import FitResult
from jetlab.records import TableLike
from jetlab.runs.plots import LOSSES, axes, styled

BAND = 400  # draws that make the band of the optimal trajectory
SHOWN = 4.0  # of sqrt(W): a profile is drawn so far


@styled
def against_law(rows: TableLike, law: FitResult) -> Figure:
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
def profiles(found: Sequence[Profile], law: FitResult) -> Figure:
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
        ax.tick_params(axis="x", labelsize=7, rotation=30)
        if ax.get_xscale() == "linear":
            ax.locator_params(axis="x", nbins=4)
    panels[0].set_ylabel(r"$\sqrt{W}$")
    if not (law.converged and law.identified):
        figure.suptitle("not identified: a sketch", fontsize=9)
    return figure


@styled
def corner(law: FitResult) -> Figure:
    """The draws of every pair of free parameters, and each one's histogram."""
    draws = law.draws.values if law.draws else {}
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


@styled
def contours(rows: TableLike, law: FitResult) -> Figure:
    """Iso-loss contours over the rows, the optimal trajectory of N D = constant, and
    the band of those of the draws."""
    figure, ax = axes(6.0, 4.4)
    N, D = (np.geomspace(rows[n].min() / 3, rows[n].max() * 3, 80) for n in ("N", "D"))
    surface = law.predict({"N": np.repeat(N, len(D)), "D": np.tile(D, len(N))})
    surface = surface.reshape(len(N), len(D))
    ax.set(xscale="log", yscale="log", xlim=_ends(D), ylim=_ends(N))  # before labels
    levels = np.geomspace(surface.min(), surface.max(), 14)[1:-1]
    lines = ax.contour(D, N, surface, levels, cmap=LOSSES, linewidths=1.1)
    ax.clabel(lines, fmt="%.3g", fontsize=7)
    ax.plot(rows["D"], rows["N"], "o", ms=3, color="0.3", label="rows")
    products = np.geomspace(N[0] * D[0], N[-1] * D[-1], 30)
    params = {n: v[: 1 + BAND] for n, v in params_and_draws(law).items()}
    sizes = [optima(law.form, params, np.log(nd))["N"] for nd in products]
    best, others = np.array(sizes)[:, 0], np.array(sizes)[:, 1:]
    if np.isfinite(others).any(axis=1).all():
        low, high = np.nanquantile(others, (0.16, 0.84), axis=1)
        ax.fill(
            np.append(products / low, (products / high)[::-1]),
            np.append(low, high[::-1]),
            color="tab:blue", alpha=0.2, lw=0, label="68 % of the draws",
        )  # fmt: skip
    ax.plot(products / best, best, "--", color="tab:blue", label="optimal")
    ax.set(xlabel="$D$", ylabel="$N$")
    if not (law.converged and law.identified):
        ax.set_title("not identified: a sketch", fontsize=9)
    ax.legend(loc="best", frameon=True, framealpha=0.9)
    return figure


def _ends(values: np.ndarray) -> tuple[float, float]:
    return float(values.min()), float(values.max())


def _bins(values: np.ndarray, log: bool) -> np.ndarray:
    spaced = np.geomspace if log else np.linspace
    return spaced(values.min(), values.max(), 31)


def _wide(values: np.ndarray) -> bool:
    return bool(values.max() > 20 * values.min())
