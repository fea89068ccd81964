"""Commands that make, convert and describe jets."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from jetlab.cli.options import (
    as_json,
    example,
    out_folder,
    seed_option,
    shard_option,
    show,
    worker_options,
)

logger = logging.getLogger(__name__)

BLOCK = 10_000
"""Shower jets in memory at a time."""

format_option = click.option(
    "--format",
    "form",
    type=click.Choice(["store", "root"]),
    default="store",
    show_default=True,
    help="A shuffled store to train from, or ROOT files with JetClass's branches.",
)


@click.group()
def simulate():
    """Simulate jets into a store."""


@simulate.command(
    epilog=example("jetlab simulate shower --jets 100000 --seed 1 --out jets/shower")
)
@click.option(
    "--jets", type=click.IntRange(min=10), required=True, help="Number of jets."
)
@seed_option("Of the shower and of the shuffle.")
@out_folder
def shower(jets: int, seed: int, out: Path):
    """Jets of the built-in shower, with exactly known likelihood and Bayes limit."""
    from jetlab.data.shower.source import Shower
    from jetlab.data.store import describe
    from jetlab.data.store_writer import write

    source = Shower(seed=seed)
    starts = range(0, jets, BLOCK)
    blocks = (source.train(start, min(start + BLOCK, jets)) for start in starts)
    origin = {"simulator": source.simulator, "seed": seed}
    write(blocks, out, expected=jets, origin=origin, seed=seed)
    _show_store(describe(out))


@simulate.command(
    epilog=example(
        "jetlab simulate pythia --jets 1000000 --seed 1 --on slurm --workers 64 "
        "--out jets/pythia"
    )
)
@click.option(
    "--jets",
    type=click.IntRange(min=1),
    required=True,
    help="Number of jets, equal in all classes.",
)
@click.option(
    "--classes", show_default="the ten of JetClass", help="Comma-separated classes."
)
@seed_option("Of the campaign.")
@format_option
@worker_options
@shard_option
@out_folder
def pythia(
    jets: int,
    classes: str | None,
    seed: int,
    form: str,
    on: str,
    workers: int | None,
    shard: tuple[int, int] | None,
    out: Path,
):
    """Pythia 8 jets in a CMS-like detector, of the ten classes of JetClass or of named
    classes of JetClass-II: X_bb, X_YY_bbq, ..., QCD_b, QCD_c, QCD_s, QCD_light.

    Needs pip install 'jetlab[pythia]'. An interrupted command resumes when run again.
    """
    from jetlab.atomic import refuse_existing
    from jetlab.data.pythia.campaign import Campaign
    from jetlab.runs.production import cost_estimate, produce
    from jetlab.types import CLASSES

    names = CLASSES
    if classes is not None:
        names = tuple(name.strip() for name in classes.split(","))
    campaign = Campaign(jets=jets, classes=names, seed=seed)
    refuse_existing(out)
    logger.info(cost_estimate(campaign))
    content = produce(campaign, out, form=form, on=on, workers=workers, shard=shard)
    if content is None:
        _show_shard(out)
    elif form == "root":
        show({"jets": content["jets"], "files": len(content["files"])})
    else:
        _show_store(content)


@click.command(epilog=example("jetlab convert JetClass/*.root --out jets/jetclass"))
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@out_folder
@format_option
@click.option("--skip-bad", is_flag=True, help="Skip invalid jets and count them.")
@seed_option("Of the shuffle.")
@worker_options
@shard_option
def convert(
    files: Sequence[Path],
    out: Path,
    form: str,
    skip_bad: bool,
    seed: int,
    on: str,
    workers: int | None,
    shard: tuple[int, int] | None,
):
    """Convert JetClass ROOT or JetClass-II Parquet files into a store; with --format
    root, such files or one store into ROOT files of one class each."""
    from jetlab.data.jetclass.convert import to_root
    from jetlab.runs.store_conversion import convert_on

    if form == "root":
        if on != "local" or workers is not None or shard is not None:
            raise click.UsageError(
                "--format root runs in one process: omit --on, --workers and --shard"
            )
        written = to_root(files, out, skip_bad=skip_bad)
        written["files"] = len(written["files"])
        show({name: written[name] for name in ("jets", "files", "classes")})
        _show_skipped(written["skipped"])
        return
    content = convert_on(
        files, out, skip_bad=skip_bad, seed=seed, on=on, workers=workers, shard=shard
    )
    if content is None:
        _show_shard(out)
    else:
        _show_store(content)


@click.command(epilog=example("jetlab describe jets/jetclass --json"))
@click.argument("folder", type=click.Path(path_type=Path))
@as_json
def describe(folder: Path, as_json: bool):
    """Describe a store: jets, classes, particles, origin and identity."""
    from jetlab.data import store

    show(store.describe(folder), as_json)


def _show_store(content: dict[str, Any]) -> None:
    """A summary of a written store; `jetlab describe` prints all of it."""
    classes = {name: count for name, count in content["classes"].items() if count}
    values = {"jets": content["jets"], "identity": content["identity"]}
    show({**values, "classes": classes})
    _show_skipped(content["origin"].get("skipped", {}))


def _show_shard(out: Path) -> None:
    click.echo(
        f"shard finished: when all have, the same command without --shard writes {out}"
    )


def _show_skipped(skipped: Mapping[str, int]) -> None:
    for reason, count in skipped.items():
        click.echo(f"skipped: {count} ({reason})")
