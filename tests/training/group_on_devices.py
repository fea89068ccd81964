"""Records of groups of runs on eight devices, as JSON; run by test_devices.

    python -m tests.training.group_on_devices STORE FOLDER

It also leaves the checkpoints of an interrupted group in FOLDER.
"""

import itertools
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

from jetlab.data.store import Store
from jetlab.models.tagger import Tagger
from jetlab.tasks.tagging import Tagging
from jetlab.training import trainer
from jetlab.training.dataset import open_dataset
from jetlab.training.run_config import RunConfig
from jetlab.training.trainer import Trainer

RUN = RunConfig(
    source="test",
    task=Tagging(),
    inputs="full-10",
    model=Tagger(width=4, layers=2),
    pool=768,
    num_train=256,
    num_valid=100,
    learning_rate=1e-4,  # low: steps amplify rounding
)


def seeds(number: int, **fields) -> list[RunConfig]:
    return [replace(RUN, seed=seed, **fields) for seed in range(number)]


NINE = [replace(run, epochs=20 + 10 * run.seed) for run in seeds(9)]
CASES = {
    "one device per run": NINE,
    "one run on all devices": seeds(1),
    "two devices per run, two idle": seeds(3, epochs=15, patience=2),
}


def dataset_of(path: str):
    return open_dataset(Store(Path(path)), RUN)


class Killed(Exception):
    pass


def interrupt(group: Trainer, scans: int) -> None:
    """Train a group and raise after a number of scans."""
    train_scan, count = group._train_scan, itertools.count()

    def scan():
        if next(count) == scans:
            raise Killed
        return train_scan()

    group._train_scan = scan
    try:
        list(group)
    except Killed:
        return
    raise AssertionError("the group ended before the interruption")


def main(path: str, folder: str) -> None:
    dataset = dataset_of(path)
    found = {name: list(Trainer(runs, dataset, "")) for name, runs in CASES.items()}
    streamed = dataset._replace(train=Store(Path(path)))
    found["streamed"] = list(Trainer(seeds(2), streamed, ""))
    trainer.CHECKPOINT_INTERVAL = 0.0
    interrupt(Trainer(NINE, dataset, "", folder=Path(folder) / "here"), 2)
    found["resumed"] = list(Trainer(NINE, dataset, "", folder=Path(folder) / "here"))
    interrupt(Trainer(NINE, dataset, "", folder=Path(folder) / "there"), 2)
    print(json.dumps({name: list(map(asdict, each)) for name, each in found.items()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
