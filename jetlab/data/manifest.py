"""What a store says about itself, kept beside its shards as JSON."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jetlab.data.features import FEATURES
from jetlab.types import JET, MEASURED, SPECIES

SCHEMA = 1
NAME = "manifest.json"


@dataclass(frozen=True, kw_only=True)
class Shard:
    """One directory of columns."""

    name: str
    jets: int
    particles: int


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Counts, contents and origin of a store."""

    schema: int = SCHEMA
    hash: str  # sha256 over the columns in order, however they are sharded
    jets: int
    particles: int
    classes: dict[str, int]  # jets of each class, in the order of the labels
    mean_particles: dict[str, float]  # of the classes that have jets
    measured: tuple[str, ...] = MEASURED
    jet: tuple[str, ...] = JET
    species: tuple[str, ...] = SPECIES
    features: tuple[str, ...] = FEATURES  # computed on reading
    seed: int  # of the shuffle
    origin: Mapping[str, Any]  # input files and what was left out, or a simulator
    shards: tuple[Shard, ...]


def write(manifest: Manifest, directory: Path) -> None:
    content = vars(manifest) | {"shards": [asdict(shard) for shard in manifest.shards]}
    (directory / NAME).write_text(json.dumps(content, indent=1) + "\n")


def read(directory: Path) -> Manifest:
    """The manifest of a store. Raises ValueError where there is none of this schema."""
    path = directory / NAME
    if not path.is_file():
        raise ValueError(
            f"{directory} is not a store: {NAME} is missing; make one with "
            "'jetlab convert' or 'jetlab simulate'"
        )
    content = json.loads(path.read_text())
    if content.get("schema") != SCHEMA:
        raise ValueError(
            f"{path} has schema {content.get('schema')}, this version reads {SCHEMA}; "
            "convert the files again"
        )
    content["shards"] = [Shard(**shard) for shard in content["shards"]]
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in content.items()
    }
    return Manifest(**values)
