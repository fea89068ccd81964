"""Pythia's jets, made in blocks by whoever is free -> a store, or JetClass's files."""

import importlib.metadata
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from jetlab.data.jetclass import reader
from jetlab.data.jetclass.convert import convert, to_root
from jetlab.data.pythia.campaign import VERSION, Block, Campaign
from jetlab.runs.dispatch import check, map_tasks, take_shard
from jetlab.runs.pieces import Pieces


def announce(campaign: Campaign) -> str:
    """What a campaign will cost, in one line."""
    hours = sum(block.cost for block in campaign.blocks) / 3600
    return (
        f"{campaign.jets} jets of {len(campaign.classes)} classes in "
        f"{len(campaign.blocks)} blocks: about {hours:.2g} core-hours"
    )


def simulate(
    campaign: Campaign,
    out: Path,
    *,
    form: str = "store",
    on: str = "local",
    workers: int | None = None,
    shard: tuple[int, int] | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Any] | None:
    """Make the jets of a campaign where `on` says, into a store or ROOT files.

    The same campaign gives the same jets everywhere. Finished blocks lie in
    `OUT.pieces`, with which the same call goes on after a kill. A `shard` (i, n) makes
    every n-th block and gives None; the call without one makes what is missing and
    writes `out`. `say` is told how long each stage took. Returns what `describe` says
    of the store, or `write_root` of the files.

    Raises:
      ValueError: if `out` exists, without Pythia or FastJet, where blocks in hand are
        of another campaign or damaged; `dispatch.Unfinished` where blocks failed.
    """
    check(on, workers)
    origin = _origin(campaign)
    folder = Pieces(out, origin)
    todo = [
        block
        for block in take_shard(campaign.blocks, shard)
        if not folder.path(block.file).exists()
    ]
    spent = _make(todo, folder, on, workers)
    if todo:
        say(_shares(spent, sum(block.jets for block in todo)))
    if shard is not None:
        return None
    files = [_checked(folder.path(block.file), block) for block in campaign.blocks]
    if form == "root":
        content = to_root(files, out)
    else:
        content = convert(files, out, seed=campaign.seed, origin=origin)
    folder.remove()
    return content


def make(block: Block, folder: Path) -> dict[str, float]:
    """What a worker does; CPU seconds by stage."""
    from jetlab.data.pythia import jets  # a client may be without Pythia

    return jets.make(block, folder / block.file)


def _origin(campaign: Campaign) -> dict[str, Any]:
    """What the jets are, whatever their number."""
    versions = {}
    for package in ("pythia8mc", "fastjet"):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError as error:
            raise ValueError(
                f"{package} is not installed: pip install 'jetlab[pythia]'"
            ) from error
    return {
        "simulator": f"pythia-{versions['pythia8mc']}-{VERSION}",
        "fastjet": versions["fastjet"],
        "seed": campaign.seed,
    }


def _make(
    blocks: Sequence[Block], folder: Pieces, on: str, workers: int | None
) -> dict[str, float]:
    spent: dict[str, float] = {}
    ended = map_tasks(
        partial(make, folder=folder.folder),
        blocks,
        on=on,
        workers=workers,
        describe=lambda block: f"{block.name} {block.number}",
        size=lambda block: block.jets,
        unit="jets",
        label="simulating",
    )
    for _, seconds in ended:
        for stage, value in seconds.items():
            spent[stage] = spent.get(stage, 0) + value
    return spent


def _shares(spent: dict[str, float], jets: int) -> str:
    total = sum(spent.values())
    parts = ", ".join(f"{k} {v / total:.1%}" for k, v in spent.items())
    return f"{jets / total:.1f} jets a second and core ({parts})"


def _checked(path: Path, block: Block) -> Path:
    (file,) = reader.survey([path], skip_bad=False, skipped=Counter())
    if file.entries != block.jets:
        raise ValueError(
            f"{path}: {file.entries} jets of {block.jets}; delete it and give the same "
            "command again"
        )
    return path
