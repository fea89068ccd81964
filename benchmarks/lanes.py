"""Training jets a second: many runs in lanes against the same runs one after the other.

    python benchmarks/lanes.py --quick

By width, in turns on the same device, with AdamW, dropout and batches of 128 jets of
the shower: the engine with its lanes; a Python loop over its jitted step on the
same packed batches; and a plain Flax loop on padded jets. Ratios are of time by the
clock; above 1 the engine is faster. `chosen` is the number of lanes that the engine
takes on this device when 64 runs wait; on a CPU only those are raced.

At the end, how many of the lanes' steps were useful in an early-stopped grid of 96
runs, simulated with the engine's own scheduler.
"""

from collections.abc import Sequence
from statistics import mean

import jax
from tqdm import tqdm

from benchmarks.baselines import (
    BATCH,
    contender,
    flax_padded,
    padded_batches,
    shower_jets,
)
from benchmarks.engine import (
    chosen_lanes,
    engine_contender,
    loop_contender,
    packing_of,
)
from benchmarks.occupancy import LANES, RUNS, naive, occupancy
from benchmarks.timing import Contender, Seconds, lined_up, parser, race
from jetlab.models import scaling
from jetlab.training.batching import Packing
from jetlab.types import FlatJets

WIDTHS, QUICK = (4, 16, 64, 128), (4, 64)
BATCHES = 16  # over and over


def lanes_to_race(chosen: int) -> list[int]:
    on_cpu = jax.default_backend() == "cpu"
    return sorted({chosen} if on_cpu else {1, 4, 16, 64, chosen})


def contenders(
    width: int, jets: FlatJets, packing: Packing, chosen: int, steps: int
) -> dict[str, Contender]:
    model = scaling.tagger(width)
    racing = {
        "loop": loop_contender(model, jets, packing),
        "flax": contender(flax_padded(width), padded_batches(jets), steps),
    }
    for lanes in lanes_to_race(chosen):
        racing[str(lanes)] = engine_contender(model, jets, packing, lanes=lanes)
    return racing


def rows(width: int, chosen: int, times: dict[str, Seconds]) -> list[list[object]]:
    loop, flax = times.pop("loop"), times.pop("flax")
    return [
        [
            width,
            f"{lanes} (chosen)" if lanes == str(chosen) else lanes,
            f"{BATCH / own.wall:,.0f}",
            f"{BATCH / own.cpu:,.0f}",
            f"{loop.wall / own.wall:.2f} ({loop.cpu / own.cpu:.2f})",
            f"{flax.wall / own.wall:.2f} ({flax.cpu / own.cpu:.2f})",
        ]
        for lanes, own in times.items()
    ]


def main(argv: Sequence[str] | None = None) -> None:
    args = parser(__doc__, quick="fewer widths, shorter").parse_args(argv)
    repeats, seconds, grids = (3, 0.5, 2) if args.quick else (7, 3.0, 10)
    widths = args.widths or (QUICK if args.quick else WIDTHS)
    jets = shower_jets(BATCHES)
    packing, table = packing_of(jets), []
    for width in tqdm(widths, "widths", disable=None):
        chosen = chosen_lanes(width, packing)
        racing = contenders(width, jets, packing, chosen, 1 if args.quick else 4)
        table += rows(width, chosen, race(racing, repeats, seconds))
    over = ["over the step loop (CPU)", "over padded Flax (CPU)"]
    headers = ["d", "lanes", "jets/s", "jets a CPU-second", *over]
    print(lined_up(table, headers))
    share, without = (mean(map(of, range(grids))) for of in (occupancy, naive))
    print(
        f"\nOf the steps of {LANES} lanes in a grid of {RUNS} early-stopped runs "
        f"{share:.0%} were useful; {without:.0%} where nobody refills a lane."
    )


if __name__ == "__main__":
    main()
