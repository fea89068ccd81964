"""Throughput of writing and reading a store, in jets per second.

    python benchmarks/store.py --quick

All rows are measured in one run; the ratio is relative to one process that reads random
blocks of 128 jets. Files are in the page cache, as in the second epoch of a training.
"""

import argparse
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from tabulate import tabulate

from jetlab.data.store import Store
from jetlab.data.store_writer import write
from jetlab.types import SPECIES, Jets

BLOCK = 128


def random_jets(count: int, seed: int) -> Jets:
    """Random numbers with the multiplicities of JetClass: only the size matters."""
    rng = np.random.default_rng(seed)
    counts = np.clip(rng.gamma(7.0, 5.6, count), 1, 128).astype(np.int32)
    total = int(counts.sum())
    return Jets(
        label=rng.integers(0, 10, count).astype(np.int16),
        counts=counts,
        jet=rng.uniform(1, 2, (count, 4)).astype(np.float32),
        measured=rng.uniform(0.01, 2, (total, 8)).astype(np.float16),
        charge=rng.integers(-1, 2, total).astype(np.int8),
        species=rng.integers(0, len(SPECIES), total).astype(np.int8),
    )


def read(path: Path, blocks: int, seed: int) -> int:
    """Read random blocks; the number of jets read."""
    store, rng = Store(path), np.random.default_rng(seed)
    for _ in range(blocks):
        store.take(rng.integers(0, store.size, BLOCK))
    return blocks * BLOCK


def rate(work: Callable[[], int]) -> float:
    begin = time.perf_counter()
    return work() / (time.perf_counter() - begin)


def together(work: Callable[[int], int], processes: int) -> float:
    """Jets per second of several processes that read concurrently."""
    with ProcessPoolExecutor(processes) as pool:
        list(pool.map(abs, range(processes)))  # starts the processes before the clock
        return rate(lambda: sum(pool.map(work, range(processes))))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the jets")
    quick = parser.parse_args().quick
    jets, blocks = (20_000, 400) if quick else (200_000, 4000)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "store"
        chunk = partial(random_jets, jets // 10)

        def fill() -> int:
            return write(map(chunk, range(10)), path, expected=jets, origin={}).jets

        rates = {"write, shuffled": rate(fill)}
        work = partial(read, path, blocks)
        rates["read, 1 process"] = rate(partial(work, 0))
        rates["read, 2 processes"] = together(work, 2)
    base = rates["read, 1 process"]
    rows = [(name, f"{r:,.0f}", f"{r / base:.2f}") for name, r in rates.items()]
    print(tabulate(rows, ["random blocks of 128", "jets/s", "ratio"]))


if __name__ == "__main__":
    main()
