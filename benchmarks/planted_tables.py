"""Tables of runs with a planted law and a planted fault, for judging verdicts.

Grids of `side` x `side` sizes, N and D over 1.5 to 3 decades each, of a random law
L_inf + A/N^alpha + B/D^beta whose floor is 20, 50 or 80 % of the lowest loss, with
0.3 to 2 % of scatter. `KINDS` names the faults.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from jetlab.laws import forms
from jetlab.records import Table

START_N, START_D = 3e3, 1e4  # smallest sizes
SHARES = (0.2, 0.5, 0.8)  # of the floor in the lowest loss
SCATTERS = (0.003, 0.006, 0.01, 0.02)


class Planted(NamedTuple):
    """A table and its truth by quantity; a quantity is absent where no one law has
    it."""

    table: Table
    truth: dict[str, float]


class Law(NamedTuple):
    """The exact rows of a law on a grid, its parameters, and the scatter to add."""

    rows: Table
    params: dict[str, float]
    scatter: float


def planted(kind: str, side: int, seed: int) -> Planted:
    """A table of a kind with `side` sizes of N and of D."""
    rng = np.random.default_rng((seed, side, list(KINDS).index(kind)))
    return KINDS[kind](rng, _law(rng, side))


def _law(rng: np.random.Generator, side: int) -> Law:
    decades = rng.uniform(1.5, 3.0)
    N, D = (
        np.geomspace(start, start * 10**decades, side) for start in (START_N, START_D)
    )
    alpha, beta = rng.uniform(0.25, 0.7), rng.uniform(0.2, 0.6)
    middle = 10 ** (decades / 2)
    scales = {
        "A": float(np.exp(rng.uniform(-0.7, 0.7)) * (START_N * middle) ** alpha),
        "B": float((START_D * middle) ** beta),
    }
    lowest = scales["A"] * N[-1] ** -alpha + scales["B"] * D[-1] ** -beta
    share = rng.choice(SHARES)
    floor = float(lowest * share / (1 - share))
    params = {"L_inf": floor, "alpha": alpha, "beta": beta, **scales}
    points = {"N": np.repeat(N, side), "D": np.tile(D, side)}
    exact = forms.additive.predict(params, points)
    return Law(Table(points, L=exact), params, float(rng.choice(SCATTERS)))


def _with_scatter(law: Law, noise: np.ndarray, **more: np.ndarray) -> Planted:
    """The law times exp(scatter noise), with its whole truth."""
    table = law.rows | {"L": law.rows["L"] * np.exp(law.scatter * noise), **more}
    return Planted(table, _truth(law.params, ("L_inf", "alpha", "beta")))


def _truth(params: dict[str, float], names: tuple[str, ...]) -> dict[str, float]:
    found = {name: params[name] for name in names}
    if {"L_inf", "alpha", "beta"} <= set(names):
        found["a"] = params["beta"] / (params["alpha"] + params["beta"])
        found["gamma"] = found["a"] * params["alpha"]
    return found


def clean(rng: np.random.Generator, law: Law) -> Planted:
    """Normal scatter."""
    return _with_scatter(law, rng.normal(size=law.rows.rows))


def tails(rng: np.random.Generator, law: Law) -> Planted:
    """Student's t with two degrees of freedom."""
    return _with_scatter(law, rng.standard_t(2, size=law.rows.rows))


def outliers(rng: np.random.Generator, law: Law) -> Planted:
    """One row in twenty is 8 to 20 sigmas off."""
    noise = rng.normal(size=law.rows.rows)
    far = rng.uniform(8, 20, noise.size) * rng.choice([-1, 1], noise.size)
    return _with_scatter(law, noise + far * (rng.random(noise.size) < 0.05))


def trajectory(rng: np.random.Generator, law: Law) -> Planted:
    """Rows of one N are one run: their errors have a correlation of 0.9 from one D to
    the next."""
    names, run = np.unique(law.rows["N"], return_inverse=True)
    noise = rng.normal(size=(len(names), law.rows.rows // len(names)))
    for step in range(1, noise.shape[1]):
        noise[:, step] = 0.9 * noise[:, step - 1] + np.sqrt(0.19) * noise[:, step]
    return _with_scatter(law, noise.ravel(), run=run)


def unnamed_trajectory(rng: np.random.Generator, law: Law) -> Planted:
    """The same without the column that names the run."""
    table, truth = trajectory(rng, law)
    return Planted(Table({name: table[name] for name in ("N", "D", "L")}), truth)


def undertuned(rng: np.random.Generator, law: Law) -> Planted:
    """The loss is biased high towards large N and D, by four sigmas at the corner."""
    noise = rng.normal(size=law.rows.rows)
    return _with_scatter(law, noise + 4 * (_distance(law.rows) / 2) ** 2)


def _distance(rows: Table) -> np.ndarray:
    """0 at the smallest sizes, 2 at the largest."""
    logs = [np.log(rows[name] / rows[name].min()) for name in ("N", "D")]
    return sum(x / x.max() for x in logs)  # pyright: ignore


def onset(rng: np.random.Generator, law: Law) -> Planted:
    """The steep start of learning: the loss of the three smallest D is higher, by 0.6
    (D_3 / D)^2, up to that of chance."""
    D, L = law.rows["D"], law.rows["L"]
    third = np.unique(D)[2]
    late = L * (1 + 0.6 * (third / D) ** 2 * (third >= D))
    chance = max(2.3, L.max())
    noise = rng.normal(size=D.size)
    table = law.rows | {"L": np.minimum(chance, late) * np.exp(law.scatter * noise)}
    return Planted(table, _truth(law.params, ("L_inf", "alpha", "beta")))


def bent(rng: np.random.Generator, law: Law) -> Planted:
    """Past the middle D the loss falls more slowly: only alpha is as planted."""
    return _bent(law, rng.normal(size=law.rows.rows))


def _bent(law: Law, noise: np.ndarray) -> Planted:
    D = law.rows["D"]
    middle = np.unique(D)[len(np.unique(D)) // 2]
    term = law.params["B"] * middle ** -law.params["beta"]
    more = 0.15 * term * np.maximum(0, np.log(D / middle))
    table = law.rows | {"L": (law.rows["L"] + more) * np.exp(law.scatter * noise)}
    return Planted(table, _truth(law.params, ("alpha",)))


def seeds(rng: np.random.Generator, law: Law) -> Planted:
    """The same with three seeds a cell."""
    three = law.rows.take(np.repeat(np.arange(law.rows.rows), 3))
    noise = rng.normal(size=three.rows)
    table, truth = _bent(law._replace(rows=three), noise)
    return Planted(table | {"seed": np.resize([0, 1, 2], three.rows)}, truth)


def rates(rng: np.random.Generator, law: Law) -> Planted:
    """Three learning rates a cell: one on the law, two 4 and 12 % above on average."""
    rows = law.rows.take(np.repeat(np.arange(law.rows.rows), 3))
    above = np.resize([0.04, 0.0, 0.12], rows.rows) * rng.uniform(0.5, 1.5, rows.rows)
    noise = np.repeat(rng.normal(size=law.rows.rows), 3) + above / law.scatter
    rate = np.resize([1e-4, 1e-3, 1e-2], rows.rows)
    return _with_scatter(law._replace(rows=rows), noise, rate=rate)


def pooled(rng: np.random.Generator, law: Law) -> Planted:
    """Two experiments: the second with another floor and 1.44 times the loss."""
    other = law.params | {"L_inf": 1.3 * law.params["L_inf"]}
    second = 1.44 * forms.additive.predict(other, law.rows)
    rows = law.rows.take(np.resize(np.arange(law.rows.rows), 2 * law.rows.rows))
    loss = np.append(law.rows["L"], second)
    noise = np.exp(law.scatter * rng.normal(size=rows.rows))
    group = np.repeat(["one", "two"], law.rows.rows)
    return Planted(rows | {"L": loss * noise, "group": group}, {})


def no_floor(rng: np.random.Generator, law: Law) -> Planted:
    """L_inf is a hundredth of the lowest loss."""
    without = law.rows["L"] - law.params["L_inf"]
    params = law.params | {"L_inf": 0.01 * float(without.min())}
    rows = law.rows | {"L": without + params["L_inf"]}
    return clean(rng, law._replace(rows=rows, params=params))


KINDS: dict[str, Callable[[np.random.Generator, Law], Planted]] = {
    one.__name__: one
    for one in (
        clean, tails, outliers, trajectory, unnamed_trajectory, undertuned, onset, bent,
        seeds, rates, pooled, no_floor,
    )
}  # fmt: skip
"""Each kind of table by its name."""
