"""Commands that train grids, report on them, and apply trained networks."""

import logging
from pathlib import Path

import click

from jetlab.cli.options import (
    as_json,
    example,
    out_folder,
    shard_option,
    show,
    worker_options,
)

logger = logging.getLogger(__name__)

SOURCES = "shower, taught, taught:MODEL@SOURCE, or the folder of a store."

source_option = click.option(
    "--source",
    default="shower",
    show_default=True,
    help=SOURCES,
)
runs_argument = click.argument("runs", type=click.Path(path_type=Path))


@click.command(
    epilog=example(
        "jetlab run experiments/compute_optimal.py --size laptop --out runs/laptop"
    )
)
@click.argument("experiment", type=click.Path(path_type=Path))
@click.option(
    "--size", default="laptop", show_default=True, help="A size of the experiment."
)
@click.option(
    "--source",
    show_default="the experiment's own, else the shower",
    help=SOURCES,
)
@click.option(
    "--inputs",
    multiple=True,
    help="An input configuration in place of the experiment's own; repeatable."
    " full-40, or LABEL=PARTICLES:FEATURE,FEATURE,...",
)
@out_folder
@worker_options
@shard_option
def run(
    experiment: Path,
    size: str,
    source: str | None,
    inputs: tuple[str, ...],
    out: Path,
    on: str,
    workers: int | None,
    shard: tuple[int, int] | None,
):
    """Train the grid of an experiment, analyse it and write a report.

    Finished runs in --out are kept: an interrupted command resumes when run again. With
    --shard it trains part of the grid; the same command without --shard trains the rest
    and writes the report.
    """
    from jetlab.data.features import parse_inputs
    from jetlab.runs.experiment import Experiment, default_source
    from jetlab.runs.ledger import Ledger
    from jetlab.runs.study_report import make_report

    if shard and on != "local":
        raise click.UsageError(f"--shard and --on {on}: choose one of them")
    study = Experiment(
        file=experiment,
        size=size,
        source=source or default_source(experiment),
        out=out,
        inputs=tuple(map(parse_inputs, inputs)),
    )
    logger.info(study.cost_estimate())
    records = study.run(on=on, workers=workers, shard=shard)
    if shard:
        counts = Ledger(out).status()
        unfinished = counts["running"] + counts["pending"]
        click.echo(f"{unfinished} of {sum(counts.values())} runs are unfinished")
        return
    page, findings = make_report(out)
    parts = {"known": findings.known, "not known": findings.unknown}
    for heading, lines in {**parts, "next": findings.advice}.items():
        for line in lines:
            click.echo(f"{heading}: {line}")
    for sentence in findings.sentences:
        click.echo(sentence)
    click.echo(f"report: {page}")
    failed = {r.id: r.message for r in records if r.status == "failed"}
    if failed:
        first = next(iter(failed.values()))
        raise click.ClickException(f"{len(failed)} runs failed, the first: {first}")


@click.command(epilog=example("jetlab status runs/laptop --json"))
@runs_argument
@as_json
def status(runs: Path, as_json: bool):
    """Count the done, running, failed and pending runs of a folder."""
    from jetlab.runs.ledger import Ledger

    show(Ledger(runs).status(), as_json)


@click.command(epilog=example("jetlab report runs/laptop"))
@runs_argument
def report(runs: Path):
    """Write figures, tables and report.html again from the records of a folder."""
    from jetlab.runs.study_report import make_report

    page, _ = make_report(runs)
    click.echo(page)


@click.command(
    epilog=example("jetlab apply runs/laptop --source jets/mine --out scores.parquet")
)
@runs_argument
@click.option(
    "--run",
    "name",
    show_default="the run of the lowest loss",
    help="Id of a run.",
)
@source_option
@click.option(
    "--jets",
    type=click.IntRange(min=1),
    show_default="all of a store, 10,000 of the shower",
    help="Number of jets.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="Parquet file to write.",
)
def apply(runs: Path, name: str | None, source: str, jets: int | None, out: Path):
    """Apply a trained network to jets: write event numbers, labels and outputs.

    Jets of a store are taken from its beginning, and `held_out` marks validation jets;
    jets of the shower come after the training jets of the study.
    """
    from jetlab.atomic import refuse_existing
    from jetlab.runs.compilation_cache import enable_compilation_cache, user_folder
    from jetlab.runs.scores import write_scores
    from jetlab.runs.sources import open_source
    from jetlab.runs.trained_model import best_run, load_model

    refuse_existing(out)
    enable_compilation_cache(user_folder())
    model = load_model(runs, name or best_run(runs))
    written = write_scores(model, open_source(source), out, jets)
    reached = model.record and model.record.loss
    show({"run": model.run.id, "loss": reached, "jets": written})
