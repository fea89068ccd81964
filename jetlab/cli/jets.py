"""Commands that make, read and describe jets."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from jetlab.cli.options import as_json, example, out_folder, show

BLOCK = 10_000  # simulated jets held in memory at a time


@click.group()
def simulate():
    """Write simulated jets into a store."""


@simulate.command(
    epilog=example("jetlab simulate shower --jets 100000 --seed 1 --out jets/shower")
)
@click.option("--jets", type=click.IntRange(min=10), required=True, help="How many.")
@click.option("--seed", type=int, default=0, show_default=True)
@out_folder
def shower(jets: int, seed: int, out: Path):
    """Jets whose likelihood, and so the best possible loss, is known exactly."""
    from jetlab.data.shower import Shower
    from jetlab.data.store import describe
    from jetlab.data.writer import write

    source = Shower(seed=seed)
    starts = range(0, jets, BLOCK)
    blocks = (source.train(start, min(start + BLOCK, jets)) for start in starts)
    origin = {"simulator": source.simulator, "seed": seed}
    write(blocks, out, expected=jets, origin=origin, seed=seed)
    _say(describe(out))


@click.command(epilog=example("jetlab convert JetClass/*.root --out jets/jetclass"))
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@out_folder
@click.option("--skip-bad", is_flag=True, help="Leave bad jets out and count them.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the shuffle.")
def convert(files: Sequence[Path], out: Path, skip_bad: bool, seed: int):
    """JetClass ROOT or JetClass-II Parquet files into a store, shuffled."""
    from jetlab.data import convert as conversion

    _say(conversion.convert(files, out, skip_bad=skip_bad, seed=seed))


@click.command(epilog=example("jetlab describe jets/jetclass --json"))
@click.argument("folder", type=click.Path(path_type=Path))
@as_json
def describe(folder: Path, as_json: bool):
    """What a store holds."""
    from jetlab.data import store

    show(store.describe(folder), as_json)


def _say(summary: dict[str, Any]) -> None:
    """What a command wrote; the whole of it is for `describe` to tell."""
    show({name: summary[name] for name in ("jets", "identity", "classes")})
    for reason, count in summary["origin"].get("skipped", {}).items():
        click.echo(f"left out: {count} ({reason})")
