"""Commands that fit laws and plan by them."""

from dataclasses import asdict, replace
from pathlib import Path

import click

from jetlab.cli.options import Pairs, as_json, example, show
from jetlab.studies.tables import scientific, with_interval


@click.command(
    epilog=example(
        "jetlab fit runs.csv --columns N=params,D=jets,L=loss --json > fit.json"
    )
)
@click.argument("table", type=click.Path(path_type=Path))
@click.option(
    "--columns",
    type=Pairs(str),
    default="N=N,D=D,L=L",
    show_default=True,
    help="Which columns of the table hold N, D and L.",
)
@click.option("--fix", type=Pairs(float), default={}, help="L_inf=0.32, say.")
@click.option(
    "--bootstrap", type=click.IntRange(min=0), default=1000, show_default=True
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the draws.")
@as_json
def fit(
    table: Path,
    columns: dict[str, str],
    fix: dict[str, float],
    bootstrap: int,
    seed: int,
    as_json: bool,
):
    """L_inf + A/N^alpha + B/D^beta through the rows of a CSV file, with intervals."""
    from jetlab.laws import forms
    from jetlab.laws.bootstrap import bootstrap as resample
    from jetlab.laws.columns import read_columns
    from jetlab.laws.fit import fit as fit_law

    missing = {"N", "D", "L"} - set(columns)
    if missing:
        raise click.BadParameter(
            f"no column given for {', '.join(sorted(missing))}: "
            "write --columns N=...,D=...,L=...",
        )
    rows = read_columns(table, columns)
    law = fit_law(forms.additive, rows, fixed=fix)
    if bootstrap:
        law = replace(law, draws=resample(law, rows, draws=bootstrap, seed=seed))
    if as_json:
        click.echo(law.to_json())
        return
    for name, value in law.params.items():
        click.echo(f"{name}: {with_interval(value, law.intervals.get(name))}")
    click.echo(f"objective: {law.objective:.8g}\nrows: {law.rows}\n{law.message}")
    if law.draws:
        click.echo(law.draws.message)


@click.command(epilog=example("jetlab allocate fit.json --budget 1e18"))
@click.argument("law", metavar="FIT.json", type=click.Path(path_type=Path))
@click.option("--budget", type=float, required=True, help="Training compute in FLOPs.")
@click.option(
    "--particles", type=float, default=40.0, show_default=True, help="n_p of 6 n_p N D."
)
@as_json
def allocate(law: Path, budget: float, particles: float, as_json: bool):
    """The model size and dataset size that a budget should buy."""
    from jetlab.laws.allocation import allocate as solve
    from jetlab.laws.fitted import Fit

    best = solve(Fit.from_json(law.read_text()), budget, particles=particles)
    if as_json:
        click.echo(best.to_json())
        return
    for name in ("N", "D", "loss", "a", "gamma"):
        value = scientific(getattr(best, name)) if name in "ND" else None
        value = value or with_interval(getattr(best, name), best.intervals.get(name))
        click.echo(f"{name}: {value}")
    click.echo(best.message)


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
    from jetlab.models.recipe import tagger

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
