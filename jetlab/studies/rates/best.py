"""The best learning rate of every cell (N, D): where it lies, how it moves with width
and length, and what choosing it by noisy losses does to them."""

from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Bool, Float, Int

from jetlab.laws.bootstrap import student_quantile
from jetlab.laws.result import LEVEL, percentiles
from jetlab.records import Table, TableLike

WIDTH, STEPS = 64, 2048  # where the law of the best rate quotes its value
DEMO = {"at": 0.00535, "p": 0.374, "q": 0.617}
"""That law in a demonstration by the group of arXiv:2602.15781 (scaling-laws-demo,
2026), on another task."""

NEAR = 1.1  # times the lowest loss of a cell: rates that might have won
DRAWS = 1000


@dataclass(frozen=True, kw_only=True)
class Scan:
    """Losses of every cell at every rate of a grid, by seed; NaN where none is."""

    rates: Float[np.ndarray, "rate"]  # rising
    N: Float[np.ndarray, "cell"]
    D: Float[np.ndarray, "cell"]
    width: Float[np.ndarray, "cell"]
    steps: Float[np.ndarray, "cell"]
    losses: Float[np.ndarray, "cell rate seed"]

    @property
    def seeds(self) -> Int[np.ndarray, "cell"]:
        """How many seeds a cell has."""
        return np.isfinite(self.losses).any(axis=1).sum(axis=1)

    @property
    def loss(self) -> Float[np.ndarray, "cell rate"]:
        """Mean over the seeds of a cell; NaN at a rate at which one did not finish."""
        seen = np.isfinite(self.losses).any(axis=1, keepdims=True)
        return np.where(seen, self.losses, 0).sum(axis=2) / seen.sum(axis=2)

    @property
    def best(self) -> Int[np.ndarray, "cell"]:
        """The number of the rate of the lowest mean loss."""
        return np.nanargmin(self.loss, axis=1)

    @property
    def lowest(self) -> Float[np.ndarray, "cell"]:
        return np.nanmin(self.loss, axis=1)

    @property
    def at_low_end(self) -> Bool[np.ndarray, "cell"]:
        return np.equal(self.best, 0)

    @property
    def at_high_end(self) -> Bool[np.ndarray, "cell"]:
        return np.equal(self.best, len(self.rates) - 1)

    @property
    def inside(self) -> Bool[np.ndarray, "cell"]:
        """Whether the best rate has one below and one above it in the grid."""
        return ~self.at_low_end & ~self.at_high_end

    @property
    def optimum(self) -> Float[np.ndarray, "cell"]:
        """Where the parabola in log rate through the best and its neighbours is lowest;
        NaN at an end of the grid and where a neighbour did not finish."""
        x, loss, best = np.log(self.rates), self.loss, self.best
        found = np.full(len(self.N), np.nan)
        for cell in np.flatnonzero(self.inside):
            around = slice(best[cell] - 1, best[cell] + 2)
            found[cell] = np.exp(_vertex(x[around], loss[cell, around]))
        return found

    def of(self, chosen: Bool[np.ndarray, "cell"]) -> "Scan":
        """Some of the cells."""
        names = [f.name for f in fields(self) if f.name != "rates"]
        return Scan(
            rates=self.rates, **{name: getattr(self, name)[chosen] for name in names}
        )


def scan(rows: TableLike, rates: Float[np.ndarray, "rate"]) -> Scan:
    """The cells of rows with columns N, D, width, steps, seed, rate and L, their rates
    all in `rates`. Cells without a rate at which every seed finished are left out."""
    label = Table(rows).cells()
    first = np.unique(label, return_index=True)[1]
    seeds, seed = np.unique(rows["seed"], return_inverse=True)
    losses = np.full((len(first), len(rates), len(seeds)), np.nan)
    losses[label, np.searchsorted(rates, rows["rate"]), seed] = rows["L"]
    points = {
        name: rows[name][first].astype(float) for name in ("N", "D", "width", "steps")
    }
    found = Scan(rates=rates, losses=losses, **points)
    return found.of(np.asarray(np.isfinite(found.loss).any(axis=1)))


def _vertex(x: Float[np.ndarray, "3"], y: Float[np.ndarray, "3"]) -> float:
    """Where the slope, a straight line through those of the two halves, is zero."""
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
    whose `optimum` is known; cells are drawn anew for the intervals, which are widened
    to Student's t for few (arXiv:1411.5279, Section 5).

    Raises:
      ValueError: where the cells are too few or too alike to tell p and q.
    """
    known = np.isfinite(found.optimum)
    count = int(known.sum())
    logs = [found.width[known] / WIDTH, found.steps[known] / STEPS]
    design = np.stack([np.ones(count), *(-np.log(logs))], axis=1)
    target = np.log(found.optimum[known])
    free = design.shape[1]
    if count <= free or np.linalg.matrix_rank(design) < free:
        raise ValueError(
            f"{count} cells have a best rate inside the grid; p and q want more than"
            f" {free}, of two widths and two lengths at least"
        )
    best = np.linalg.lstsq(design, target)[0]
    chosen = np.random.default_rng(seed).integers(0, count, (draws, count))
    whole = np.linalg.matrix_rank(design[chosen]) == free
    others = np.array([np.linalg.lstsq(design[c], target[c])[0] for c in chosen[whole]])
    wider = student_quantile(LEVEL, count - free) / student_quantile(LEVEL, np.inf)
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
    """Standard deviation of log L that differs between the rates of a seed.

    What a seed has in common at all rates (its jets and first weights, and for all runs
    the jets they are judged by) moves no choice of a rate: it is taken out with the
    means of seeds and of rates. Rates within 10 % of the lowest loss of their cell
    count. NaN where no cell has two seeds at two such rates.
    """
    squares, freedom = 0.0, 0
    for cell in range(len(found.N)):
        logs = _near(found, cell)
        rates, seeds = logs.shape
        rest = logs - logs.mean(0) - logs.mean(1, keepdims=True) + logs.mean()
        squares += float(np.sum(rest**2))
        freedom += (rates - 1) * (seeds - 1)
    return float(np.sqrt(squares / freedom)) if freedom else np.nan


def luck(found: Scan, scatter: float, *, draws: int = DRAWS) -> Float[np.ndarray, "c"]:
    """How far the choice of the lowest lowers log L in each cell, by chance alone.

    The losses seen are taken for the true ones and scattered again by `scatter` a run:
    the mean of the lowest, less the lowest of the means. Never above 0.
    """
    rng = np.random.default_rng(0)
    fallen = []
    for cell in range(len(found.N)):
        logs = _near(found, cell).mean(axis=1)
        noise = rng.normal(size=(draws, len(logs))) * scatter
        noise = noise / np.sqrt(found.seeds[cell])
        fallen.append(np.mean(np.min(logs + noise, axis=1)) - logs.min())
    return np.minimum(fallen, 0.0)


def _near(found: Scan, cell: int) -> Float[np.ndarray, "rate seed"]:
    """log L of the seeds of a cell at the rates that might have won."""
    near = found.loss[cell] <= NEAR * found.lowest[cell]
    losses = found.losses[cell][near]
    return np.log(losses[:, np.isfinite(losses).all(axis=0)])
