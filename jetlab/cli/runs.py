"""Commands that train grids and report on them."""

import logging
from pathlib import Path

import click

from jetlab.cli.options import as_json, example, out_folder, shard, show, where

log = logging.getLogger(__name__)


@click.command(
    epilog=example(
        "jetlab run experiments/compute_optimal.py --size laptop --out runs/laptop"
    )
)
@click.argument("experiment", type=click.Path(path_type=Path))
@click.option("--size", default="laptop", show_default=True, help="How large a grid.")
@click.option(
    "--source", default="shower", show_default=True, help="shower, or a store's folder."
)
@click.option(
    "--inputs",
    multiple=True,
    help="An input configuration in place of the experiment's own, once or more:"
    " full-40, or LABEL=PARTICLES:FEATURE,FEATURE,...",
)
@out_folder
@where
@shard
def run(
    experiment: Path,
    size: str,
    source: str,
    inputs: tuple[str, ...],
    out: Path,
    on: str,
    workers: int | None,
    shard: tuple[int, int] | None,
):
    """Train an experiment's grid and report what it finds.

    Finished runs in --out are kept: the same command goes on where it was stopped.
    With --shard it trains its part of the grid; the same command without it reports.
    """
    from jetlab.data.features import parse_inputs
    from jetlab.runs.experiment import Experiment, make_report

    if shard and on != "local":
        raise click.UsageError(f"--shard and --on {on}: choose one of them")
    asked = Experiment(
        file=experiment,
        size=size,
        source=source,
        out=out,
        inputs=tuple(map(parse_inputs, inputs)),
    )
    log.info(asked.announce())
    if shard:
        left, runs = asked.run_shard(shard)
        click.echo(f"{left} of {runs} runs are unfinished")
        return
    records = asked.run(on=on, workers=workers)
    page, findings = make_report(out)
    for sentence in findings.sentences:
        click.echo(sentence)
    click.echo(f"report: {page}")
    failed = [record for record in records if record.status == "failed"]
    if failed:
        raise click.ClickException(
            f"{len(failed)} runs failed, the first with: {failed[0].message}"
        )


@click.command(epilog=example("jetlab status runs/laptop --json"))
@click.argument("runs", type=click.Path(path_type=Path))
@as_json
def status(runs: Path, as_json: bool):
    """How many runs of a folder are done, running, failed and pending."""
    from jetlab.runs.ledger import Ledger

    show(Ledger(runs).status(), as_json)


@click.command(epilog=example("jetlab report runs/laptop"))
@click.argument("runs", type=click.Path(path_type=Path))
def report(runs: Path):
    """Make figures, tables and report.html again from the records of a folder."""
    from jetlab.runs.experiment import make_report

    page, _ = make_report(runs)
    click.echo(page)


@click.command(
    epilog=example("jetlab apply runs/laptop --source jets/mine --out scores.parquet")
)
@click.argument("runs", type=click.Path(path_type=Path))
@click.option(
    "--run", "name", help="Id of a run; the one of the lowest loss if absent."
)
@click.option(
    "--source", default="shower", show_default=True, help="shower, or a store's folder."
)
@click.option(
    "--jets", type=click.IntRange(min=1), help="The first jets of the source."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="Parquet file to write.",
)
def apply(runs: Path, name: str | None, source: str, jets: int | None, out: Path):
    """Apply a trained network to jets: event numbers, labels and outputs.

    Of a store all jets are taken, `held_out` marking those kept for validation; of the
    shower jets that no run of the study has seen.
    """
    from jetlab.data.source import open_source
    from jetlab.runs.compilation_cache import enable_compilation_cache, user_folder
    from jetlab.runs.scores import write_scores
    from jetlab.runs.trained_model import best_run, load_model

    enable_compilation_cache(user_folder())
    model = load_model(runs, name or best_run(runs))
    written = write_scores(model, open_source(source), out, jets)
    show({"run": model.run.id, "loss": model.record.loss, "jets": written})
