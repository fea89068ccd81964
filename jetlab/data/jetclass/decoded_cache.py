"""Jets of one input file, decoded and written down for another process to read."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from jetlab.data.atomic import whole_file
from jetlab.types import Jets


def save(path: Path, blocks: Iterable[Jets], skipped: Counter[str]) -> None:
    """Write `blocks` one after the other, whole or not at all, and at the end what
    `skipped` has counted by then: jets left out, by reason."""
    with whole_file(path) as partial, partial.open("wb") as file:
        for jets in blocks:
            for column in jets:
                np.save(file, column)
        np.save(file, json.dumps(skipped))


def load(path: Path, skipped: Counter[str]) -> Iterator[Jets]:
    """The blocks; what was left out is added to `skipped` after the last.

    Raises ValueError where the file is not what `save` wrote.
    """
    try:
        with path.open("rb") as file:
            first = np.load(file)
            while first.ndim:
                yield Jets(first, *(np.load(file) for _ in Jets._fields[1:]))
                first = np.load(file)
            skipped.update(json.loads(first.item()))
    except (ValueError, EOFError, TypeError) as error:
        reason = f"damaged ({error}): delete it and give the same command again"
        raise ValueError(f"{path}: {reason}") from error
