"""What a training step costs by four counts, over 6 N n_p of arXiv:2602.15781.

    python benchmarks/flops.py --quick --plot flops.png

By width, on jets of the shower: the matrix products that the model needs
(`jetlab.models.flops.products`), XLA's count of the plain model, and the time of the
engine's step turned into the FLOPs that a large matrix product does in it. XLA counts
elementwise work too, and jets that all have the mean number of particles: their pairs
of tokens are fewer than those of real jets, whose number varies. The last layer's rows
that nobody reads are in 6 N n_p and in none of the others. `padded` is what the
products would be, were all jets 128 particles long. Times are of the process on a CPU,
by the clock elsewhere.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from tabulate import tabulate
from tqdm import tqdm

from benchmarks.baselines import BATCH, shower_jets
from benchmarks.ceilings import flops_of_product, product
from benchmarks.engine import chosen_lanes, engine_contender, packing_of
from benchmarks.timing import race
from jetlab.laws.plot_style import axes, styled
from jetlab.models import flops, scaling
from jetlab.types import FlatJets

WIDTHS, QUICK = (4, 8, 16, 32, 64, 96, 128), (4, 16, 64)
BATCHES = 16  # over and over
MOST = 128  # particles
COUNTS = {
    "products": "matrix products",
    "xla": "XLA's count, jets of mean length",
    "padded": "matrix products, padded to 128",
    "time": "time, in FLOPs of a large product",
}


def counts(width: int, jets: FlatJets) -> dict[str, float]:
    """FLOPs of training on a jet, over 6 N n_p."""
    model, particles = scaling.tagger(width), np.asarray(jets.counts, float)
    n, squared = float(particles.mean()), float((particles**2).mean())
    base = flops.estimate(model, n)
    return {
        "products": flops.products(model, n, squared).training / base,
        "xla": flops.measured(model, round(n)) / flops.estimate(model, round(n)),
        "padded": flops.products(model, MOST, MOST**2).training / base,
    }


@styled
def figure(table: Sequence[dict[str, float]]) -> Figure:
    """Every count over 6 N n_p against N."""
    drawn, ax = axes()
    sizes = [row["N"] for row in table]
    for name, label in COUNTS.items():
        ax.plot(sizes, [row[name] for row in table], "o-", ms=4, label=label)
    ax.axhline(1, color="0.3", lw=0.8, ls=":")
    ax.set(xscale="log", yscale="log", xlabel="parameters $N$")
    ax.set(ylabel=r"FLOPs of training on a jet / $6\,N\,n_p$")
    ax.legend()
    return drawn


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer widths and rounds")
    parser.add_argument("--plot", type=Path, metavar="FILE.png")
    args = parser.parse_args(argv)
    widths, repeats = (QUICK, 3) if args.quick else (WIDTHS, 7)
    jets = shower_jets(BATCHES)
    packing, n = packing_of(jets), float(np.mean(jets.counts))
    racing = {"product": product()}
    for width in widths:
        lanes = chosen_lanes(width, packing)
        engine = engine_contender(scaling.tagger(width), jets, packing, lanes=lanes)
        racing[str(width)] = engine
    times = {name: taken.fair for name, taken in race(racing, repeats, 0.5).items()}
    speed = flops_of_product() / times["product"]
    table = []
    for width in tqdm(widths, "XLA's count", disable=None):
        model = scaling.tagger(width)
        N, base = flops.parameters(model).total, flops.estimate(model, n)
        spent = times[str(width)] * speed / BATCH
        row = {"d": width, "N": N, "6 N n_p": base} | counts(width, jets)
        table.append(row | {"time": spent / base})
    print(f"n_p = {n:.1f}; a large product runs at {speed / 1e9:,.0f} GFLOP/s")
    print(tabulate(table, headers="keys", floatfmt=".3g", intfmt=","))
    if args.plot:
        figure(table).savefig(args.plot)
        print(f"wrote {args.plot}")


if __name__ == "__main__":
    main()
