"""The fit of the Chinchilla rows: ours against SciPy and optimistix.

    python benchmarks/fits.py --rows epoch_chinchilla_svg_extracted.csv

The optimum of Huber's objective (delta 1e-3) over 240 rows and 4,000 bootstrap refits,
in CPU-seconds of this process once everything is compiled. SciPy minimises from 4,500
starts as Epoch AI's notebook does (arXiv:2404.10102), with numeric or analytic
gradients, and refits from the optimum with BFGS. Optimistix is raced where it is
installed. Without `--rows` the table is synthetic, with the published parameters, 2 %
scatter and as many rows. With `--quick` SciPy takes one start or refit in fifty and its
time is multiplied.
"""

# pyright: reportMissingImports=false
# Optimistix is an extra that the checks do without
import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import minimize
from scipy.special import logsumexp

from benchmarks.timing import lined_up
from jetlab.laws import forms
from jetlab.laws.evidence.bootstrap import bootstrap
from jetlab.laws.fit import fit
from jetlab.laws.fitting import solver
from jetlab.laws.tables.csv_tables import read_csv
from jetlab.records import TableLike

DELTA, DRAWS = 1e-3, 4000
COLUMNS = {"N": "Model Size", "C": "Training FLOP", "L": "loss"}
PUBLISHED = {
    "L_inf": 1.8172,
    "A": 482.01,
    "alpha": 0.3478,
    "B": 2085.43,
    "beta": 0.3658,
}


def published_rows(path: Path | None) -> TableLike:
    """Epoch AI's rows without the five largest losses, or rows like them."""
    if path is None:
        rng = np.random.default_rng(0)
        size, ratio = 10 ** rng.uniform(7.6, 10.2, 240), 10 ** rng.uniform(0, 2.3, 240)
        rows = {"N": size, "D": size * ratio}
        exact = forms.additive.predict(PUBLISHED, rows)
        return rows | {"L": exact * np.exp(0.02 * rng.normal(size=240))}
    table = read_csv(path, particles=1, **COLUMNS)
    kept = np.sort(np.argsort(table["L"])[:-5])
    return {name: table[name][kept] for name in ("N", "D", "L")}


def huber(
    theta: np.ndarray, n: np.ndarray, d: np.ndarray, loss: np.ndarray, weight: Any
) -> tuple[float, np.ndarray]:
    """Objective and gradient at (a, b, e, alpha, beta), from logarithms."""
    a, b, e, alpha, beta = theta
    terms = np.stack([a - alpha * n, b - beta * d, np.full_like(n, e)])
    total = logsumexp(terms, axis=0)
    share, r = np.exp(terms - total), total - loss
    size = np.abs(r)
    value = np.where(size <= DELTA, r**2 / 2, DELTA * (size - DELTA / 2))
    pull = weight * np.clip(r, -DELTA, DELTA)
    slope = [share[0], share[1], share[2], -n * share[0], -d * share[1]]
    return float(np.sum(weight * value)), np.array([pull @ s for s in slope])


def starts() -> list[tuple[Any, ...]]:
    """The 4,500 of arXiv:2203.15556, Appendix D.3."""
    scales, exponents = np.arange(0, 30, 5), np.arange(0, 2.5, 0.5)
    return list(product(scales, scales, np.arange(-1, 1.5, 0.5), exponents, exponents))


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    begin = time.process_time()
    result = work()
    return time.process_time() - begin, result


def by_scipy(table: TableLike, every: int) -> Iterator[list[str]]:
    """SciPy's lines: numeric and analytic gradients, and refits."""
    logs = [np.log(table[name]) for name in ("N", "D", "L")]
    tried = starts()[::every]
    for name, analytic in (("numeric", False), ("analytic", True)):

        def search(analytic: bool = analytic) -> list[Any]:
            def target(theta: np.ndarray) -> Any:
                found = huber(theta, *logs, weight=1.0)
                return found if analytic else found[0]

            return [minimize(target, s, jac=analytic, method="L-BFGS-B") for s in tried]

        seconds, found = timed(search)
        best = min(one.fun for one in found)
        yield line(f"SciPy, {name} gradients", every * seconds, best)
    optimum = min(found, key=lambda one: one.fun).x
    picks = np.random.default_rng(0).integers(0, len(logs[0]), (DRAWS, len(logs[0])))
    weights = [np.bincount(p, minlength=len(logs[0])) for p in picks[::every]]

    def refits() -> list[Any]:
        return [
            minimize(huber, optimum, (*logs, w), jac=True, method="BFGS")
            for w in weights
        ]

    seconds, _ = timed(refits)
    yield line("SciPy, refits", every * seconds, np.nan)


def by_jetlab(table: TableLike) -> Iterator[list[str]]:
    """Ours, once compiled, with and without jaxopt's last steps."""
    law = fit(forms.additive, table)
    yield line("jetlab", fastest(table), law.objective)
    finish = solver.finish
    solver.finish = lambda problem, *newton: newton
    yield line("jetlab, Newton alone", fastest(table), law.objective)
    solver.finish = finish
    bootstrap(law, draws=DRAWS)
    seconds, draws = timed(lambda: bootstrap(law, draws=DRAWS))
    yield line(f"jetlab, refits ({draws.message})", seconds, np.nan)


def fastest(table: TableLike) -> float:
    """CPU-seconds of the fastest of fifty fits."""
    return min(timed(lambda: fit(forms.additive, table))[0] for _ in range(50))


def by_optimistix(table: TableLike) -> Iterator[list[str]]:
    """BFGS under vmap from all starts, and from the optimum for the refits."""
    import optimistix

    solver = optimistix.BFGS(rtol=1e-9, atol=1e-9)
    with jax.enable_x64(True):
        n, d, loss = (jnp.log(jnp.asarray(table[name])) for name in ("N", "D", "L"))

        def target(theta: Any, weight: Any) -> Any:
            a, b, e, alpha, beta = theta
            terms = [a - alpha * n, b - beta * d, jnp.full_like(n, e)]
            r = jnp.abs(jax.nn.logsumexp(jnp.stack(terms), axis=0) - loss) / DELTA
            return jnp.sum(weight * jnp.where(r <= 1, r**2 / 2, r - 0.5))

        def search(start: Any, weight: Any) -> Any:
            found = optimistix.minimise(
                target, solver, start, weight, max_steps=500, throw=False
            )
            return found.value, target(found.value, weight)

        def race(starts: Any, weights: Any) -> tuple[float, Any]:
            many = jax.jit(jax.vmap(search))
            jax.block_until_ready(many(starts, weights))
            return timed(lambda: jax.block_until_ready(many(starts, weights)))

        begin = jnp.asarray(np.array(starts()))
        seconds, (theta, value) = race(begin, jnp.ones((len(begin), len(n))))
        best = int(np.nanargmin(value))
        yield line("optimistix", seconds, float(value[best]) * DELTA**2)
        rng = np.random.default_rng(0)
        weights = rng.multinomial(len(n), np.full(len(n), 1 / len(n)), DRAWS)
        again = jnp.tile(theta[best], (DRAWS, 1))
        seconds, _ = race(again, jnp.asarray(weights, float))
        yield line("optimistix, refits", seconds, np.nan)


def line(name: str, seconds: float, objective: float) -> list[str]:
    reached = "" if np.isnan(objective) else f"{objective:.11g}"
    return [name, f"{seconds:.4g}", reached]


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="SciPy takes 1 in 50")
    parser.add_argument("--rows", type=Path, metavar="CSV", help="Epoch AI's points")
    args = parser.parse_args(argv)
    table = published_rows(args.rows)
    lines = [*by_jetlab(table), *by_scipy(table, 50 if args.quick else 1)]
    if find_spec("optimistix"):
        lines += by_optimistix(table)
    print(lined_up(lines, ["240 rows", "CPU-seconds", "objective"]))


if __name__ == "__main__":
    main()
