"""Jets per second from files to a store, to the host, to the device and to the model.

    python benchmarks/pipeline.py --quick

The first table has the throughput of each stage: conversion of JetClass files (20 of
their branches, ROOT with ZLIB) to a store; reading of random batches through Grain; the
same with the transfer to the device and the schedule of the steps; and the schedule
alone, for jets on the device. The second table has the cost of loading relative to a
step of each width; the target is at most 5 %. Batches have 128 shower jets, inputs
full-128; files are in the page cache. On a CPU times are of the process, so rates are
per core; elsewhere they are wall times, during which loading and device overlap.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import awkward as ak
import jax

from benchmarks.baselines import BATCH, shower_jets
from benchmarks.engine import chosen_lanes, engine_contender, packing_of
from benchmarks.timing import Contender, lined_up, parser, race
from jetlab.data.features import INPUTS
from jetlab.data.jetclass.convert import convert
from jetlab.data.loader import batches
from jetlab.data.shower.source import Shower
from jetlab.data.store import Store
from jetlab.data.store_writer import write
from jetlab.models import scaling
from jetlab.tasks.tagging import Tagging
from jetlab.training.dataset import Dataset, batches_of, open_dataset
from jetlab.training.run_config import RunConfig
from jetlab.training.scan import SCAN_LENGTH
from tests.data.jetclass_files import branches, write_tree

WIDTHS, QUICK = (4, 16, 64, 128), (4, 64)
INPUT = "full-128"
EPOCHS = 10**6  # more than any measurement needs
VALID = 100  # jets
FILES, GRAIN = ("ROOT to store", "Parquet to store"), "store to host, Grain"
STREAMED, SCHEDULED = "store to device, Grain", "schedule of jets on the device"


def conversion(file: Path) -> Contender:
    """Converts the file into a new store at each call."""
    fresh = count()

    def run() -> int:
        out = file.with_name(f"{file.name}-{next(fresh)}")
        return int(convert([file], out)["jets"])

    return run


def files(folder: Path, jets: int) -> dict[str, Contender]:
    data, paths = branches(jets), (folder / "jets.root", folder / "jets.parquet")
    write_tree(paths[0], data)
    ak.to_parquet(ak.Array(data), paths[1])
    return dict(zip(FILES, map(conversion, paths), strict=True))


def to_host(store: Store, num_train: int) -> Contender:
    stream = batches(
        store,
        INPUTS[INPUT].particles,
        batch=BATCH,
        pool=num_train,
        num_train=num_train,
        epochs=EPOCHS,
        seed=0,
        batches_per_read=SCAN_LENGTH,
    )
    return lambda: len(next(stream).counts)


def spec(source: Store, num_train: int) -> RunConfig:
    return RunConfig(
        source=source.identity,
        task=Tagging(),
        inputs=INPUT,
        model=scaling.tagger(4),
        pool=num_train,
        num_train=num_train,
        num_valid=VALID,
        epochs=EPOCHS,
        batch=BATCH,
    )


def to_device(dataset: Dataset, run_config: RunConfig) -> Contender:
    """Scan after scan as a run asks for them."""
    coming = batches_of(dataset, dataset.packing(run_config), run_config)
    begin = 0

    def run() -> int:
        nonlocal begin
        chunk = coming.scan(begin, begin + SCAN_LENGTH)
        jax.block_until_ready(chunk.jets)
        begin += chunk.batches
        return chunk.batches * BATCH

    return run


def loading(folder: Path, jets: int) -> dict[str, Contender]:
    """The stages from files to the device."""
    path = folder / "store"
    parts = map(partial(_block, jets // 10), range(10))
    write(parts, path, expected=jets, origin={})
    store = Store(path)
    num_train = store.size // BATCH * BATCH
    run = spec(store, num_train)
    resident = open_dataset(store, run)
    return files(folder, jets) | {
        GRAIN: to_host(store, num_train),
        STREAMED: to_device(resident._replace(train=store), run),
        SCHEDULED: to_device(resident, run),
    }


def _block(size: int, number: int):
    return Shower().train(number * size, (number + 1) * size)


def model(width: int) -> Contender:
    """Training, counted in jets."""
    jets = shower_jets(16)
    packing = packing_of(jets)
    lanes = chosen_lanes(width, packing)
    steps = engine_contender(scaling.tagger(width), jets, packing, lanes=lanes)
    return lambda: BATCH * steps()


def report(seconds: Mapping[str, float], widths: Sequence[int]) -> None:
    names = (*FILES, GRAIN, STREAMED, SCHEDULED)
    rates = [[name, f"{1 / seconds[name]:,.0f}"] for name in names]
    print(lined_up(rates, ["stage", "jets/s"]), end="\n\n")
    rows = [
        [d, f"{1 / seconds[f'd = {d}']:,.0f}"]
        + [
            f"{seconds[name] / seconds[f'd = {d}']:.1%}"
            for name in (SCHEDULED, STREAMED)
        ]
        for d in widths
    ]
    of_step = ["loading from the device / step", "loading from a store / step"]
    print(lined_up(rows, ["d", "jets/s trained", *of_step]))


def main(argv: Sequence[str] | None = None) -> None:
    args = parser(__doc__, quick="fewer widths, jets").parse_args(argv)
    jets, repeats, seconds = (10_000, 3, 0.3) if args.quick else (100_000, 7, 2.0)
    widths = args.widths or (QUICK if args.quick else WIDTHS)
    with TemporaryDirectory() as folder:
        racing = loading(Path(folder), jets)
        racing |= {f"d = {width}": model(width) for width in widths}
        times = race(racing, repeats, seconds)
    report({name: taken.fair for name, taken in times.items()}, widths)


if __name__ == "__main__":
    main()
