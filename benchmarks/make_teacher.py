"""The teacher of the source "taught": a tagger that comes with jetlab.

    python -m benchmarks.make_teacher --out DIR

A tagger of two layers and width 32 that reads the ten hardest particles, trained on
32,768 jets of the shower until its loss is near 1.75: it has found what is quickly
learned and little else. Students find that within 50,000 jets, whereas teachers that
were trained on more jets are found in steps, each after a plateau, and along these no
law holds. Its outputs are multiplied (`jetlab.runs.sources.SCALE`), which lowers the
floor. experiments/LOG.md, 2026-11-28, has what else was tried.

The file's name is the hash of its content; `jetlab/data/teacher` has the one in use.
Another processor may round differently and so make another file. DIR takes 600,000 jets
(0.4 GB) and is not needed after.
"""

import argparse
from pathlib import Path

from jetlab.data.shower.source import BLOCK, Shower
from jetlab.data.store import Store
from jetlab.data.store_writer import write
from jetlab.runs.api import train
from jetlab.runs.grid import grid
from jetlab.runs.trained_model import load_model

JETS, SEED = 600_000, 5  # of the shower: no study trains on its jets
WIDTH, LAYERS, NUM_TRAIN, POOL = 32, 2, 2**15, 2**17
RATE = 3e-3 * (16 / WIDTH) ** 0.8


def shower_jets(path: Path) -> Store:
    """The jets of `jetlab simulate shower --jets 600000 --seed 5`."""
    source = Shower(seed=SEED)
    blocks = (source.train(i, i + BLOCK) for i in range(0, JETS, BLOCK))
    origin = {"simulator": source.simulator, "seed": SEED}
    write(blocks, path, expected=JETS, origin=origin, seed=SEED)
    return Store(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    out: Path = parser.parse_args().out
    runs = grid(
        shower_jets(out / "jets"),
        inputs="full-10",
        width=WIDTH,
        layers=LAYERS,
        num_train=NUM_TRAIN,
        pool=POOL,
        num_valid=2_000,
        learning_rate=RATE,
        averaging=0.0,
    )
    table = train(runs, out / "runs", keep="all")
    teacher = load_model(out / "runs", table)
    print(f"{teacher}: {next((out / 'runs' / 'weights').iterdir())}")


if __name__ == "__main__":
    main()
