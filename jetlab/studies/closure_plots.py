"""Figure of the closure test: L_inf and omega against the reach of the grid."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from jetlab.laws.plot_style import styled
from jetlab.studies.floor_estimates import Interval
from jetlab.studies.joint_law import Floor

if TYPE_CHECKING:
    from jetlab.studies.closure import Closure, GridFloor
    from jetlab.studies.omega_by_reach import GridOmega

LOOKS = {"bootstrap": ("o", "tab:blue"), "profile": ("s", "tab:green")}
CUTS = {"D": ("o", "single passes cut"), "U": ("s", "repeated sets cut")}
FLOORS = {False: ("tab:blue", "fitted"), True: ("0.2", "known")}
APART = 0.035  # decades between the markers of one grid, at most


@styled
def closure(found: "Closure") -> Figure:
    """L_inf by estimator against the largest N and the largest D of the runs kept, with
    the known floor and the lowest loss; and omega against the largest data set kept."""
    figure = Figure(figsize=(12.0, 4.6))
    panels = figure.subplots(1, 3)
    for ax, grids, label in (
        (panels[0], found.by_n, "largest $N$ of the runs kept [parameters]"),
        (panels[1], found.by_d, "largest $D$ of the runs kept [jets]"),
    ):
        _floors(ax, grids, found.floor)
        ax.set(xlabel=label)
    panels[1].sharey(panels[0])
    _heights(panels[0], [*found.by_n, *found.by_d], found.floor)
    panels[0].set_ylabel(r"fitted $L_\infty$ [nats]")
    _omega(panels[2], found.omegas)
    figure.legend(
        handles=_handles(found), loc="outside lower left", ncols=4, fontsize=8
    )
    return figure


def _floors(ax: Axes, grids: Sequence["GridFloor"], floor: Floor | None) -> None:
    if floor is not None:
        value, error = floor
        ax.axhspan(value - error, value + error, color="tab:red", alpha=0.2, lw=0)
        ax.axhline(value, color="tab:red", lw=1)
    ax.set(xscale="log")
    if not grids:
        ax.text(0.5, 0.5, "too few sizes", ha="center", transform=ax.transAxes)
        return
    at = [grid.end for grid in grids]
    ax.plot(at, [grid.lowest for grid in grids], "_-", color="0.6", ms=14)
    apart = _apart(at)
    for i, (name, (marker, color)) in enumerate(LOOKS.items()):
        shift = 10 ** ((i - (len(LOOKS) - 1) / 2) * apart)
        for grid in grids:
            one = grid.estimates[name]
            look = {"color": color, "marker": marker, "filled": one.reliable}
            _point(ax, grid.end * shift, one.value, one.interval, **look)
    _sizes(ax, at)


def _apart(at: Sequence[float]) -> float:
    """Decades between the markers of one grid, so that grids do not overlap."""
    steps = np.abs(np.diff(np.log10(at)))
    return min([APART, *(steps / (len(LOOKS) + 3)).tolist()])


def _point(
    ax: Axes,
    x: float,
    value: float,
    interval: Interval | None,
    *,
    color: str,
    marker: str,
    filled: bool,
) -> None:
    if interval is not None:
        ax.vlines(x, *interval, color=color, lw=1.2)
    face: Any = color if filled else "white"
    ax.plot(x, value, marker, color=color, mfc=face, ms=5, clip_on=False, zorder=3)


def _heights(ax: Axes, grids: Sequence["GridFloor"], floor: Floor | None) -> None:
    """From below the lowest end of an interval of the default estimator to above the
    highest of the lowest losses, as a loss that was reached is an upper bound of L_inf.
    Longer intervals of other estimators are cut off."""
    if not grids:
        return
    values = [grid.lowest for grid in grids]
    high = max(values)
    for grid in grids:
        values += [one.value for one in grid.estimates.values()]
        values += grid.estimates[next(iter(LOOKS))].interval or ()
    values += [floor[0]] if floor else []
    low = min(values)
    ax.set_ylim(max(0.0, low - 0.05 * (high - low)), high + 0.1 * (high - low))


def _sizes(ax: Axes, at: Sequence[float]) -> None:
    """The ends of the grids as ticks."""
    ax.minorticks_off()
    ax.set_xticks(at, [f"{end:,.0f}" if end < 1e6 else f"{end:.1e}" for end in at])
    ax.tick_params(axis="x", labelrotation=30)
    low, high = min(at), max(at)
    ax.set_xlim(low / 1.5, high * 1.5)


def _omega(ax: Axes, omegas: Sequence["GridOmega"]) -> None:
    """omega of the largest data set by grid, cut in D or in U."""
    ax.set(xlabel="largest data set of the runs kept [jets]")
    if not omegas:
        ax.text(0.5, 0.5, "no $\\omega$", ha="center", transform=ax.transAxes)
        ax.set(xticks=[], yticks=[])
        return
    ax.set(ylabel=rf"$\omega$ of {omegas[0].sizes[1]:,.0f} jets", xscale="log")
    known = [one for one in omegas if one.known]
    if known and known[0].omegas[1].interval:
        ax.axhspan(*known[0].omegas[1].interval, color="tab:red", alpha=0.15, lw=0)
    if known:
        ax.axhline(known[0].omegas[1].omega, color="tab:red", lw=1)
    for one in omegas:
        marker, _ = CUTS[one.cut]
        color, _ = FLOORS[one.known]
        look = {"color": color, "marker": marker, "filled": True}
        shift = 1.04 if one.known else 1 / 1.04
        value, interval = one.omegas[1]
        _point(ax, one.end * shift, value, interval, **look)
    ax.axhline(1, color="0.5", lw=0.8, ls=":")
    _bound(ax, omegas)
    ax.legend(
        handles=_omega_handles(bool(known)),
        fontsize=7,
        loc="upper left",
        frameon=True,
        framealpha=0.9,
    )


def _bound(ax: Axes, omegas: Sequence["GridOmega"]) -> None:
    """The height is set by the values; a long interval is cut off."""
    values = np.array([one.omegas[1].omega for one in omegas])
    tops = [one.omegas[1].interval or (0.0, 0.0) for one in omegas]
    highest = max([1.0, *values[np.isfinite(values)]])
    most = max(high for _, high in tops)
    ax.set_ylim(0, max(1.7 * highest, 1.1 * min(most, 2.5 * highest)))


def _omega_handles(known: bool) -> list[Line2D]:
    cuts = [
        Line2D([], [], ls="", color="0.5", marker=marker, label=label)
        for marker, label in CUTS.values()
    ]
    floors = [
        Line2D([], [], color=color, label=rf"$L_\infty$ {label}")
        for is_known, (color, label) in FLOORS.items()
        if known or not is_known
    ]
    line = Line2D([], [], color="tab:red", label="known, whole grid (68 %)")
    return [*cuts, *floors, *([line] if known else [])]


def _handles(found: "Closure") -> list[Line2D]:
    hollow: Any = {"ls": "", "color": "0.4", "marker": "o", "mfc": "white"}
    handles = [
        *(
            Line2D([], [], color=color, marker=marker, ms=5, label=name)
            for name, (marker, color) in LOOKS.items()
        ),
        Line2D([], [], color="0.6", marker="_", ms=14, label="lowest loss of the runs"),
        Line2D([], [], label="not reliable", **hollow),
    ]
    if found.floor is None:
        return handles
    value, error = found.floor
    text = f"known floor {value:.3f}" + (f" ± {error:.3f}" if error else "")
    return [*handles, Line2D([], [], color="tab:red", label=text)]
