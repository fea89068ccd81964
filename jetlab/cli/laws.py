"""Commands that fit laws, and count parameters and FLOPs."""

from dataclasses import asdict
from pathlib import Path
from typing import Literal

import click

from jetlab.cli.options import Pairs, as_json, example, show
from jetlab.runs.tables import with_interval


@click.command(
    epilog=example(
        "jetlab fit runs.csv --columns N=params,D=jets,L=loss --json > fit.json"
    )
)
@click.argument("table", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--columns",
    type=Pairs(str),
    default="N=N,D=D,L=L",
    show_default=True,
    help="Which columns of the table hold N, D and L; C in place of D.",
)
@click.option(
    "--form",
    default="additive",
    show_default=True,
    help="additive (N, D), model_only (N), data_only (D), compute_only (C), logarithmic"
    " (N), repetition or amplified (N, D, and U unique examples), repeated (D),"
    " transfer (N, D) or rejection (X).",
)
@click.option("--fix", type=Pairs(float), default={}, help="L_inf=0.32, say.")
@click.option(
    "--misfit",
    type=click.Choice(["huber", "squares", "absolute"]),
    default="huber",
    show_default=True,
    help="What is minimised, of log L; Huber's delta is 0.001.",
)
@click.option("--weight", help="A column of weights of the rows.")
@click.option(
    "--clusters",
    help="A column that names rows which share their luck, trajectories say: intervals"
    " draw them as one. Without, rows of equal N and D.",
)
@click.option(
    "--bootstrap", type=click.IntRange(min=0), default=1000, show_default=True
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Of the draws.",
)
@click.option(
    "--particles",
    type=click.FloatRange(min=0, min_open=True),
    default=40.0,
    show_default=True,
    help="n_p of D from C.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="A folder for tables and figures."
)
@as_json
def fit(
    table: Path,
    columns: dict[str, str],
    form: str,
    fix: dict[str, float],
    misfit: Literal["huber", "squares", "absolute"],
    weight: str | None,
    clusters: str | None,
    bootstrap: int,
    seed: int,
    particles: float,
    out: Path | None,
    as_json: bool,
):
    """A law through the rows of a CSV file, L_inf + A/N^alpha + B/D^beta by default.

    Rows without a positive, finite number in every column are left out and named.
    """
    from jetlab.laws.misfit import Misfit
    from jetlab.runs.compilation_cache import enable_compilation_cache, user_folder
    from jetlab.runs.foreign import Choices, fit_file

    enable_compilation_cache(user_folder())
    choices = Choices(
        form=form,
        fixed=fix,
        misfit=Misfit(kind=misfit),
        weight=weight,
        clusters=clusters,
        draws=bootstrap,
        seed=seed,
        particles=particles,
    )
    found = fit_file(table, columns, choices)
    if out is not None:
        from jetlab.runs.law_report import export

        export(found, out)
    if as_json:
        click.echo(found.to_json())
        return
    law = found.law
    click.echo(f"{law.rows} rows: {law.message}")
    for words in (*found.remarks, *found.evidence.words):
        click.echo(f"- {words}")
    if not (law.converged and law.identified):
        click.echo(
            "These rows do not decide the law; what follows is not to be quoted."
        )
    for name, value in law.params.items():
        click.echo(f"{name}: {with_interval(value, law.intervals.get(name))}")
    click.echo(f"objective: {law.objective:.8g}")
    if law.draws:
        click.echo(law.draws.message)


@click.command(epilog=example("jetlab flops --width 64"))
@click.option("--width", type=click.IntRange(min=1), required=True)
@click.option(
    "--particles",
    type=click.IntRange(min=1),
    default=40,
    show_default=True,
    help="Particles in every jet.",
)
@as_json
def flops(width: int, particles: int, as_json: bool):
    """Parameters and training FLOPs per jet of a tagger, by every convention."""
    from jetlab.models import flops as counts
    from jetlab.models.scaling import tagger

    config = tagger(width)
    size = counts.parameters(config)
    products = counts.products(config, particles, particles**2)
    values = {
        "params_total": size.total,
        "params_nonembedding": size.nonembedding,
        "particles": particles,
        "flops_6ND": counts.estimate(config, particles),
        "flops_matmul": products.training,
        "flops_xla": counts.measured(config, particles),
    }
    groups = {"params": asdict(size), "products_forward": asdict(products)}
    show(values | groups, as_json)
