"""The best learning rate of every cell (N, D): its value, its power law in width and
steps, and the selection bias of the lowest of noisy losses."""

from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Bool, Float, Int

from jetlab.laws.evidence.intervals import percentiles, student_factor
from jetlab.laws.formatting import with_interval
from jetlab.records import Table
from jetlab.runs.report import TextTable
from jetlab.studies import published

WIDTH, STEPS = 64, 2048  # at which the law of the best rate quotes its value
NEAR = 1.1  # times the lowest loss of a cell: rates that may be the best
DRAWS = 1000


@dataclass(frozen=True, kw_only=True)
class Scan:
    """Losses of every cell at every rate of a grid, by seed; NaN for runs that did not
    finish."""

    rates: Float[np.ndarray, "rate"]  # rising
    N: Float[np.ndarray, "cell"]
    D: Float[np.ndarray, "cell"]
    width: Float[np.ndarray, "cell"]
    steps: Float[np.ndarray, "cell"]
    losses: Float[np.ndarray, "cell rate seed"]

    @property
    def seeds(self) -> Int[np.ndarray, "cell"]:
        """Number of seeds of each cell."""
        return np.isfinite(self.losses).any(axis=1).sum(axis=1)

    @property
    def loss(self) -> Float[np.ndarray, "cell rate"]:
        """Mean over the seeds of a cell; NaN at a rate at which one did not finish."""
        seen = np.isfinite(self.losses).any(axis=1, keepdims=True)
        return np.where(seen, self.losses, 0).sum(axis=2) / seen.sum(axis=2)

    @property
    def best(self) -> Int[np.ndarray, "cell"]:
        """Index of the rate of the lowest mean loss."""
        return np.nanargmin(self.loss, axis=1)

    @property
    def lowest(self) -> Float[np.ndarray, "cell"]:
        """The lowest mean loss over seeds."""
        return np.nanmin(self.loss, axis=1)

    @property
    def at_low_end(self) -> Bool[np.ndarray, "cell"]:
        return np.equal(self.best, 0)

    @property
    def at_high_end(self) -> Bool[np.ndarray, "cell"]:
        return np.equal(self.best, len(self.rates) - 1)

    @property
    def inside(self) -> Bool[np.ndarray, "cell"]:
        """Whether the grid has a lower and a higher rate than the best."""
        return ~self.at_low_end & ~self.at_high_end

    @property
    def optimum(self) -> Float[np.ndarray, "cell"]:
        """The rate at the vertex of the parabola in log rate through the best and its
        neighbours; NaN at an end of the grid and where a neighbour did not finish."""
        x, loss, best = np.log(self.rates), self.loss, self.best
        found = np.full(len(self.N), np.nan)
        for cell in np.flatnonzero(self.inside):
            around = slice(best[cell] - 1, best[cell] + 2)
            found[cell] = np.exp(_vertex(x[around], loss[cell, around]))
        return found

    def of(self, chosen: Bool[np.ndarray, "cell"]) -> "Scan":
        """A part of the cells."""
        names = [f.name for f in fields(self) if f.name != "rates"]
        return Scan(
            rates=self.rates, **{name: getattr(self, name)[chosen] for name in names}
        )


def scan(rows: Table, rates: Float[np.ndarray, "rate"]) -> Scan:
    """The cells of rows with columns N, D, width, batch, seed, learning_rate (one of
    `rates`) and L. Cells without a rate at which every seed finished are left out."""
    label = rows.cells()
    first = np.unique(label, return_index=True)[1]
    seeds, seed = np.unique(rows["seed"], return_inverse=True)
    losses = np.full((len(first), len(rates), len(seeds)), np.nan)
    losses[label, np.searchsorted(rates, rows["learning_rate"]), seed] = rows["L"]
    columns = rows | {"steps": rows["D"] / rows["batch"]}
    points = {
        name: columns[name][first].astype(float)
        for name in ("N", "D", "width", "steps")
    }
    found = Scan(rates=rates, losses=losses, **points)
    return found.of(np.asarray(np.isfinite(found.loss).any(axis=1)))


def _vertex(x: Float[np.ndarray, "3"], y: Float[np.ndarray, "3"]) -> float:
    """Where the slope, linear through those of the two halves, is zero."""
    left, right = np.diff(y) / np.diff(x)
    middles = (x[1:] + x[:-1]) / 2
    return float(middles[0] - left * (middles[1] - middles[0]) / (right - left))


@dataclass(frozen=True, kw_only=True)
class RateLaw:
    """eta* = at (d / 64)^-p (T / 2048)^-q: width d, steps T; 68 % intervals."""

    params: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    cells: int


def rate_law(found: Scan, *, draws: int = DRAWS, seed: int = 0) -> RateLaw:
    """The power law of the best rate, by least squares of its logarithm over the cells
    whose `optimum` is known. Intervals resample cells and are widened to Student's t
    (arXiv:1411.5279, Section 5).

    Raises:
      ValueError: where these cells do not determine p and q.
    """
    known = np.isfinite(found.optimum)
    count = int(known.sum())
    logs = [found.width[known] / WIDTH, found.steps[known] / STEPS]
    design = np.stack([np.ones(count), *(-np.log(logs))], axis=1)
    target = np.log(found.optimum[known])
    free = design.shape[1]
    if count <= free or np.linalg.matrix_rank(design) < free:
        raise ValueError(
            f"{count} cells have their best rate inside the grid; p and q need more"
            f" than {free}, of two widths and two lengths at least"
        )
    best = np.linalg.lstsq(design, target)[0]
    chosen = np.random.default_rng(seed).integers(0, count, (draws, count))
    whole = np.linalg.matrix_rank(design[chosen]) == free
    others = np.array([np.linalg.lstsq(design[c], target[c])[0] for c in chosen[whole]])
    wider = student_factor(count - free)
    ends = percentiles(best + wider * (others - best))
    return RateLaw(
        params=_physical(best),
        intervals={
            name: (low, high)
            for (name, low), high in zip(
                _physical(ends[0]).items(), _physical(ends[1]).values(), strict=True
            )
        },
        cells=count,
    )


def _physical(z: Float[np.ndarray, "3"]) -> dict[str, float]:
    return {"at": float(np.exp(z[0])), "p": float(z[1]), "q": float(z[2])}


def scatter_of_seeds(found: Scan) -> float:
    """Standard deviation of log L between the rates of a seed.

    The means over rates and over seeds are subtracted: what the runs of a seed share
    (training jets, first weights, validation jets) does not change which rate is best.
    Only rates within 10 % of the lowest loss of their cell enter. NaN where no cell has
    two seeds at two such rates.
    """
    squares, freedom = 0.0, 0
    for cell in range(len(found.N)):
        logs = _near(found, cell)
        rates, seeds = logs.shape
        rest = logs - logs.mean(0) - logs.mean(1, keepdims=True) + logs.mean()
        squares += float(np.sum(rest**2))
        freedom += (rates - 1) * (seeds - 1)
    return float(np.sqrt(squares / freedom)) if freedom else np.nan


def selection_bias(
    found: Scan, scatter: float, *, draws: int = DRAWS
) -> Float[np.ndarray, "cell"]:
    """Bias of log L of the lowest of noisy losses in each cell, at most 0.

    The measured losses are taken as true and scattered by `scatter` a run: mean of the
    lowest minus lowest of the means.
    """
    rng = np.random.default_rng(0)
    bias = []
    for cell in range(len(found.N)):
        logs = _near(found, cell).mean(axis=1)
        noise = rng.normal(size=(draws, len(logs))) * scatter
        noise = noise / np.sqrt(found.seeds[cell])
        bias.append(np.mean(np.min(logs + noise, axis=1)) - logs.min())
    return np.minimum(bias, 0.0)


def _near(found: Scan, cell: int) -> Float[np.ndarray, "rate seed"]:
    """log L of the seeds of a cell at the rates that may be the best."""
    near = found.loss[cell] <= NEAR * found.lowest[cell]
    losses = found.losses[cell][near]
    return np.log(losses[:, np.isfinite(losses).all(axis=0)])


def best_rate_table(rates: Scan, largest_scatter: float) -> TextTable:
    """eta* = at (d / 64)^-p (T / 2048)^-q, T = D / batch, the cells that it is fitted
    to, and the selection bias of the tuned losses. `largest_scatter` of log L is taken
    where seeds do not measure it."""
    try:
        law = rate_law(rates)
        here = {n: with_interval(v, law.intervals[n]) for n, v in law.params.items()}
    except ValueError as error:
        here = {"at": f"none: {error}"}
    names = {"at": f"eta* at d = {WIDTH}, T = {STEPS:,}", "p": "p", "q": "q"}
    rows = [
        [label, f"{published.BEST_RATE[name]:g}", here.get(name, "")]
        for name, label in names.items()
    ]
    counts = {
        "cells that have learned": len(rates.N),
        "best at the lowest rate": int(rates.at_low_end.sum()),
        "best at the highest rate": int(rates.at_high_end.sum()),
        "unfinished beside the best": int(
            (rates.inside & np.isnan(rates.optimum)).sum()
        ),
        "used for p and q": int(np.isfinite(rates.optimum).sum()),
    }
    rows += [[label, "", str(count)] for label, count in counts.items()]
    rows += _bias_rows(rates, largest_scatter)
    return TextTable(
        ["eta* = k d^-p T^-q", "demonstration (2026)", "here (68 %)"], rows
    )


def rate_lines(rates: Scan) -> tuple[list[str], list[str]]:
    """What is known and what is not of the best rate, in one line each."""
    try:
        law = rate_law(rates)
    except ValueError as error:
        return [], [f"The best rate by width and steps: {error}."]
    at, p, q = (with_interval(law.params[n], law.intervals[n]) for n in law.params)
    return [
        f"The best rate is eta* (d / {WIDTH})^-p (T / {STEPS:,})^-q for width d and T"
        f" steps, eta* = {at}, p = {p}, q = {q}, from {law.cells} cells."
    ], []


def end_sentences(rates: Scan) -> list[str]:
    """A sentence on cells whose best rate is at an end of the grid; none without."""
    low, high = int(rates.at_low_end.sum()), int(rates.at_high_end.sum())
    if not low + high:
        return []
    return [
        f"In {low + high} of {len(rates.N)} cells the best rate is at an end of the"
        f" grid ({low} at the lowest, {high} at the highest). They are left out of p"
        " and q, which biases these towards 0: add rates."
    ]


def _bias_rows(rates: Scan, largest_scatter: float) -> list[list[str]]:
    """The scatter between rates, by seeds or at most that about the tuned law, and how
    far the lowest of noisy losses lies below the true one."""
    if not len(rates.N):
        return []
    scatter, source = scatter_of_seeds(rates), "measured by seeds"
    if np.isnan(scatter):
        scatter = largest_scatter
        source = "at most: that about the tuned law, misfit included"
    if np.isnan(scatter):
        return [["scatter of log L between rates", "", "unknown: take two seeds"]]
    bias = 100 * selection_bias(rates, scatter)
    return [
        ["scatter of log L between rates", "", f"{100 * scatter:.2f} %, {source}"],
        [
            "selection bias of the tuned losses, mean (lowest, highest of the cells)",
            "",
            f"{bias.mean():.2f} % ({bias.min():.2f}, {bias.max():.2f})",
        ],
    ]
