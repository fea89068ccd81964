"""Commands that make, read and describe jets."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from jetlab.cli.options import as_json, example, out_folder, shard, show, where
from jetlab.types import CLASSES

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
    from jetlab.data.shower.source import Shower
    from jetlab.data.store import describe
    from jetlab.data.store_writer import write

    source = Shower(seed=seed)
    starts = range(0, jets, BLOCK)
    blocks = (source.train(start, min(start + BLOCK, jets)) for start in starts)
    origin = {"simulator": source.simulator, "seed": seed}
    write(blocks, out, expected=jets, origin=origin, seed=seed)
    _say(describe(out))


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
    "--classes",
    default=",".join(CLASSES),
    show_default=True,
    help="Comma-separated classes.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option(
    "--format",
    "form",
    type=click.Choice(["store", "root"]),
    default="store",
    show_default=True,
    help="A store to train from, or ROOT files like JetClass's.",
)
@where
@shard
@out_folder
def pythia(
    jets: int,
    classes: str,
    seed: int,
    form: str,
    on: str,
    workers: int | None,
    shard: tuple[int, int] | None,
    out: Path,
):
    """Pythia 8 jets in a CMS-like detector, in the ten classes of JetClass or in named
    classes of JetClass-II: X_bb, X_YY_bbq, ..., QCD_b, QCD_c, QCD_s, QCD_light.

    Needs pip install 'jetlab[pythia]'. An interrupted command resumes when run again.
    """
    from jetlab.data.pythia.campaign import Campaign
    from jetlab.runs import production

    names = tuple(name.strip() for name in classes.split(","))
    campaign = Campaign(jets=jets, classes=names, seed=seed)
    click.echo(production.cost_estimate(campaign))
    content = production.simulate(
        campaign, out, form=form, on=on, workers=workers, shard=shard
    )
    if content is None:
        click.echo(
            "shard finished; once all shards are, run the command without --shard"
        )
    elif form == "root":
        show({"jets": content["jets"], "files": len(content["files"])})
    else:
        _say(content)


@click.command(epilog=example("jetlab convert JetClass/*.root --out jets/jetclass"))
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@out_folder
@click.option(
    "--format",
    "kind",
    type=click.Choice(["store", "root"]),
    default="store",
    show_default=True,
    help="A store, shuffled, or ROOT files like JetClass's.",
)
@click.option("--skip-bad", is_flag=True, help="Leave bad jets out and count them.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the shuffle.")
@where
@shard
def convert(
    files: Sequence[Path],
    out: Path,
    kind: str,
    skip_bad: bool,
    seed: int,
    on: str,
    workers: int | None,
    shard: tuple[int, int] | None,
):
    """JetClass ROOT or JetClass-II Parquet files into a store; or such files, or one
    store, into ROOT files of one class each."""
    from jetlab.data.jetclass.convert import to_root
    from jetlab.runs.conversion import convert_on

    if kind == "root":
        if on != "local" or workers is not None or shard is not None:
            raise click.UsageError(
                "--format root is the work of one process: leave --on, --workers and "
                "--shard away"
            )
        written = to_root(files, out, skip_bad=skip_bad)
        written["files"] = len(written["files"])
        show({name: written[name] for name in ("jets", "files", "classes")})
        _say_left_out(written["skipped"])
        return
    content = convert_on(
        files, out, skip_bad=skip_bad, seed=seed, on=on, workers=workers, shard=shard
    )
    if content is None:
        click.echo(
            f"{out}: this shard is done; without --shard, the rest and the store"
        )
        return
    _say(content)


@click.command(epilog=example("jetlab describe jets/jetclass --json"))
@click.argument("folder", type=click.Path(path_type=Path))
@as_json
def describe(folder: Path, as_json: bool):
    """What a store holds."""
    from jetlab.data import store

    show(store.describe(folder), as_json)


def _say(summary: dict[str, Any]) -> None:
    """What a command wrote; the whole of it is for `describe` to tell."""
    held = {name: count for name, count in summary["classes"].items() if count}
    show({"jets": summary["jets"], "identity": summary["identity"], "classes": held})
    _say_left_out(summary["origin"].get("skipped", {}))


def _say_left_out(skipped: Mapping[str, int]) -> None:
    for reason, count in skipped.items():
        click.echo(f"left out: {count} ({reason})")
