"""Training jets a second: the engine against plain Flax and PyTorch loops, by width.

    python benchmarks/against_torch.py --quick

Every loop trains the same model (arXiv:2602.15781, Section 2) with AdamW, dropout and
batches of 128 jets of the shower, in turns on the same cores. Ratios are of time by the
clock; above 1 the engine is faster. The loops are in `baselines` and `baselines_torch`;
`torch.compile` takes long to compile and is left out with --quick.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from importlib.util import find_spec

import jax
from tabulate import tabulate
from tqdm import tqdm

from benchmarks.baselines import (
    BATCH,
    contender,
    flax_padded,
    padded_batches,
    shower_jets,
)
from benchmarks.engine import engine_contender, packing_of
from benchmarks.timing import Contender, Seconds, parser, race
from jetlab.models import scaling
from jetlab.types import FlatJets

WIDTHS = (4, 16, 64, 128)
BATCHES = 16  # over and over
RATIOS = {
    "over_padded_flax": "Flax, padded",
    "over_torch": "PyTorch, padded",
    "over_torch_cropped": "PyTorch, cropped",
    "over_torch_compiled": "PyTorch, compiled",
}
MISSING = """\
against_torch.py measures PyTorch, which is missing: pip install -e '.[benchmarks]'
"""


def contenders(width: int, jets: FlatJets, quick: bool) -> dict[str, Contender]:
    from benchmarks.baselines_torch import torch_compiled, torch_eager

    batches = padded_batches(jets)
    engine = engine_contender(scaling.tagger(width), jets, packing_of(jets))

    loops = {
        "Flax, padded": flax_padded(width),
        "PyTorch, padded": torch_eager(width),
        "PyTorch, cropped": torch_eager(width, cropped=True),
    }
    if not quick:
        loops["PyTorch, compiled"] = torch_compiled(width)
    steps = 1 if quick else 4
    racing = {name: contender(loop, batches, steps) for name, loop in loops.items()}
    return {"engine": engine} | racing


def result(width: int, times: Mapping[str, Seconds]) -> dict[str, float]:
    """Jets a second of the engine and its ratios to the others."""
    engine = times["engine"].wall
    ratios = {
        key: round(times[name].wall / engine, 3)
        for key, name in RATIOS.items()
        if name in times
    }
    return {"d": width, "jets_per_s": round(BATCH / engine, 1)} | ratios


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    options = parser(__doc__, quick="fewer steps, no compile")
    options.add_argument("--json", action="store_true", help="an object for each width")
    options.set_defaults(widths=WIDTHS)
    args = options.parse_args(argv)
    if find_spec("torch") is None:
        options.exit(2, MISSING)
    return args


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    from benchmarks.baselines_torch import use_all_cores

    cores, jets = use_all_cores(), shower_jets(BATCHES)
    repeats, seconds = (3, 0.5) if args.quick else (7, 3.0)
    rows, steps = [], []
    for width in tqdm(args.widths, "widths", disable=None):
        times = race(contenders(width, jets, args.quick), repeats, seconds)
        rows.append(result(width, times))
        steps.append({"d": width} | {n: _milliseconds(t) for n, t in times.items()})
        if args.json:
            print(json.dumps(rows[-1]), flush=True)
    if not args.json:
        print(f"threads of JAX and of PyTorch: {cores}, on {jax.default_backend()}\n")
        print(tabulate(rows, headers="keys"))
        print("\nMilliseconds a step by the clock (of all cores together)")
        print(tabulate(steps, headers="keys"))


def _milliseconds(times: Seconds) -> str:
    return f"{1e3 * times.wall:.1f} ({1e3 * times.cpu:.1f})"


if __name__ == "__main__":
    main()
