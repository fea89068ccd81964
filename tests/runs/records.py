"""Specs and records of runs that were never trained."""

from typing import Any

from jetlab.models.tagger import Tagger
from jetlab.records import Record
from jetlab.tasks.tagging import Tagging
from jetlab.training.run_config import RunConfig


def make_run(seed: int = 0, **fields: Any) -> RunConfig:
    defaults: dict[str, Any] = dict(
        source="test", task=Tagging(), inputs="full-10", model=Tagger(width=4),
        pool=256, num_train=256, num_valid=100, seed=seed,
    )  # fmt: skip
    return RunConfig(**(defaults | fields))


def make_record(id: str, status: str = "done", **fields: Any) -> Record:
    defaults: dict[str, Any] = dict(
        id=id, status=status, study="s", source="x", inputs="full-10", width=4, N=10,
        D=128, epochs=1, C=1.0, n_p=30.0, seed=0, batch=128, learning_rate=1e-3,
        weight_decay=0.01, num_valid=10, seconds=1.0, device="cpu", version="0",
    )  # fmt: skip
    return Record(**(defaults | fields))
