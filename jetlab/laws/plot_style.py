"""House style of all figures: axes, ticks and colours."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.ticker as ticker
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure

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
LOSSES = mpl.colormaps["viridis"]
SIZES = mpl.colormaps["cividis"]


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


def write_figure(figure: Figure, target: Path | BytesIO, kind: str) -> None:
    """A figure as "png", "svg" or "pdf"; the same figure as SVG is the same file."""
    with mpl.rc_context({"svg.hashsalt": "jetlab"}):
        metadata = {"Date": None} if kind == "svg" else None
        figure.savefig(target, format=kind, metadata=metadata)


def plain_ticks(axis: Axis) -> None:
    """Losses as 0.5, 1, 2: less than a decade needs no powers of ten."""
    low, high = sorted(axis.get_view_interval())
    marks = np.array([1, 1.25, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8]) / 10
    marks = np.concatenate([marks, 10 * marks])
    shown = marks[(marks >= low) & (marks <= high)]
    if len(shown) < 3:  # a narrow range
        shown = ticker.MaxNLocator(6).tick_values(low, high)
    axis.set_major_locator(ticker.FixedLocator(list(shown)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_locator(ticker.NullLocator())


def decades(axis: Axis) -> None:
    """Labels at 1, 2 and 5 of each decade, of more than two decades at 1 alone, so that
    they do not overlap. Call it once everything is drawn."""
    low, high = axis.get_view_interval()
    subs = (1, 2, 5) if high < 100 * low else (1,)
    axis.set_major_locator(ticker.LogLocator(subs=subs))
    axis.set_major_formatter(ticker.FuncFormatter(_plain))
    axis.set_minor_formatter(ticker.NullFormatter())


def _plain(value: float, _: int) -> str:
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"


def spread(values: np.ndarray, factor: float) -> Float[np.ndarray, "n"]:
    """Points from below the least to above the largest value, at equal ratios."""
    return np.geomspace(values.min() / factor, values.max() * factor, 120)


def ends(values: np.ndarray) -> tuple[float, float]:
    """The least and the largest value."""
    return float(values.min()), float(values.max())
