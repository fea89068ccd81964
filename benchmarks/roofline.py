"""Achieved FLOP/s and bytes/s of a training step over what the device does at most.

    python benchmarks/roofline.py --quick

By width, batches of 128 jets of the shower. FLOPs are those of the matrix products that
a model needs (`jetlab.models.flops.products`), bytes what XLA counts for the compiled
step, as if nothing stayed in a cache: above 100 % a cache did its work. The ceilings
are a large matrix product and a large array read and written, in turns with the steps.
Rates are by time of the process on a CPU (the rate of one core), by the clock
elsewhere. On an accelerator bfloat16 is raced too, with as many lanes as the engine
chooses there.
"""

import argparse
from collections.abc import Sequence

import jax
import numpy as np
from tqdm import tqdm

from benchmarks.baselines import BATCH, shower_jets
from benchmarks.ceilings import bytes_of_sweep, flops_of_product, product, sweep
from benchmarks.engine import chosen_lanes, engine_contender, loop, packing_of
from benchmarks.timing import lined_up, parser, race
from jetlab.models import flops, scaling
from jetlab.training.batching import Packing
from jetlab.training.run_config import PRECISIONS
from jetlab.types import FlatJets

WIDTHS, QUICK = (4, 16, 64, 128), (4, 64)
BATCHES = 16  # over and over


def step_flops(width: int, jets: FlatJets) -> float:
    """Of the matrix products of a step."""
    counts = np.asarray(jets.counts, float)
    each = flops.products(scaling.tagger(width), counts.mean(), (counts**2).mean())
    return BATCH * each.training


def step_bytes(width: int, precision: str, jets: FlatJets, packing: Packing) -> float:
    """That XLA counts for a step of one run."""
    made = loop(scaling.tagger(width), jets, packing, compute=PRECISIONS[precision])
    compiled = made.step.lower(made.state, made.store, made.entries[0]).compile()
    return float(compiled.cost_analysis()["bytes accessed"])


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    args = parser(__doc__, quick="fewer widths, shorter").parse_args(argv)
    widths = QUICK if args.quick else WIDTHS
    args.widths = args.widths or (widths if on_cpu() else (*widths, 512))
    return args


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    repeats, seconds = (3, 0.3) if args.quick else (7, 2.0)
    precisions = ("float32",) if on_cpu() else tuple(PRECISIONS)
    jets = shower_jets(BATCHES)
    packing = packing_of(jets)
    lanes = {width: chosen_lanes(width, packing) for width in args.widths}
    racing = {"sweep": sweep()} | {p: product(PRECISIONS[p]) for p in precisions}
    points = [(width, p) for width in args.widths for p in precisions]
    for width, precision in points:
        racing[f"{width} {precision}"] = engine_contender(
            scaling.tagger(width),
            jets,
            packing,
            lanes=lanes[width],
            compute=PRECISIONS[precision],
        )
    times = {name: taken.fair for name, taken in race(racing, repeats, seconds).items()}
    most = {p: flops_of_product() / times[p] for p in precisions}
    memory = bytes_of_sweep() / times["sweep"]
    rows = []
    for width, precision in tqdm(points, "XLA's bytes", disable=None):
        step = times[f"{width} {precision}"]
        done = step_flops(width, jets) / step
        moved = step_bytes(width, precision, jets, packing) / step
        rates = [f"{done / 1e9:,.1f}", f"{done / most[precision]:.1%}"]
        rates += [f"{moved / 1e9:,.1f}", f"{moved / memory:.0%}"]
        rows.append([width, precision, lanes[width], *rates])
    for precision in precisions:
        print(f"large product, {precision}: {most[precision] / 1e9:,.0f} GFLOP/s")
    print(f"large array: {memory / 1e9:,.1f} GB/s\n")
    headers = ["d", "precision", "lanes", "GFLOP/s", "of product", "GB/s", "of memory"]
    print(lined_up(rows, headers))


def on_cpu() -> bool:
    return jax.default_backend() == "cpu"


if __name__ == "__main__":
    main()
