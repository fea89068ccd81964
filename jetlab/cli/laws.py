"""Commands that fit scaling laws, and count parameters and FLOPs."""

import logging
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from jetlab.cli.options import Pairs, as_json, example, seed_option, show
from jetlab.laws.formatting import with_interval

if TYPE_CHECKING:
    import jetlab.laws.result

logger = logging.getLogger(__name__)

WEIGHT, CLUSTER = "weight", "cluster"
"""Names of these columns in the table that is fitted."""


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
    help="Columns of N, D and L in the table; C may replace D.",
)
@click.option(
    "--form",
    default="additive",
    show_default=True,
    help="additive (N, D), model_only (N), data_only (D), compute_only (C), logarithmic"
    " (N), repetition or amplified (N, D, and U unique examples), repeated (D),"
    " transfer (N, D) or rejection (X).",
)
@click.option(
    "--fix", type=Pairs(float), default={}, help="Fixed parameters, as in L_inf=0.32."
)
@click.option(
    "--misfit",
    type=click.Choice(["huber", "squares", "absolute"]),
    default="huber",
    show_default=True,
    help="Objective in log L; Huber's delta is 0.001.",
)
@click.option("--weight", help="Column of the weights of rows.")
@click.option(
    "--clusters",
    show_default="rows of equal N and D",
    help="Column of labels that correlated rows share, such as those of one trajectory:"
    " the bootstrap resamples them together.",
)
@click.option(
    "--bootstrap",
    type=click.IntRange(min=0),
    default=1000,
    show_default=True,
    help="Number of bootstrap draws; 0 for no intervals.",
)
@seed_option("Of the bootstrap.")
@click.option(
    "--particles",
    type=click.FloatRange(min=0, min_open=True),
    default=40.0,
    show_default=True,
    help="n_p of D = C / (6 n_p N), if D is not given.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="Folder for tables and figures."
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
    """Fit a scaling law to a CSV file, L_inf + A/N^alpha + B/D^beta by default.

    Rows without a positive, finite number in every column are excluded, with a warning.
    Warnings go to standard error.
    """
    from jetlab.laws.misfit import Misfit
    from jetlab.runs.compilation_cache import enable_compilation_cache, user_folder

    enable_compilation_cache(user_folder())
    law = fit_csv(
        table,
        columns,
        form=form,
        particles=particles,
        weight=weight,
        clusters=clusters,
        fixed=fix,
        misfit=Misfit(kind=misfit),
        bootstrap=bootstrap,
        seed=seed,
    )
    for sentence in law.warnings:
        logger.warning("warning: %s", sentence)
    if out is not None:
        from jetlab.laws.export import export

        export(law, out, particles=particles)
    if as_json:
        click.echo(law.to_json(diagnostics=True))
        return
    verdict = "reliable" if law.reliable else "not reliable, do not quote these values"
    click.echo(f"{law.form.formula}, {law.rows} rows: {verdict}")
    for name, value in law.params.items():
        fixed = ", fixed" if name in law.fixed else ""
        interval = None if fixed else law.intervals.get(name)
        click.echo(f"{name}: {with_interval(value, interval)}{fixed}")
    for name, value in law.derived.items():
        interval = law.interval(name) if law.intervals else None
        click.echo(f"{name}: {with_interval(value, interval)}")
    click.echo(f"objective: {law.objective:.8g}")
    for sentence in law.diagnostics.sentences:
        click.echo(f"- {sentence}")
    if law.draws:
        click.echo(f"- {law.draws.message}")


def fit_csv(
    path: Path,
    columns: Mapping[str, str],
    *,
    form: str = "additive",
    particles: float = 40.0,
    weight: str | None = None,
    clusters: str | None = None,
    **choices: Any,
) -> "jetlab.laws.result.FitResult":
    """Fit the rows of a CSV file.

    Args:
      path: the file.
      columns: name of a column in the file for each name in the form.
      form: name of a form in `jetlab.laws.forms`.
      particles: n_p of D = C / (6 n_p N).
      weight: column of weights.
      clusters: column of the labels of correlated rows.
      choices: as of `jetlab.laws.fit.fit`.

    Raises:
      ValueError: for a column that is missing or not given, a cell that is not a
        number, no usable row, or choices that `fit` refuses.
    """
    from jetlab.laws import forms
    from jetlab.laws.csv_tables import read_csv
    from jetlab.laws.fit import fit
    from jetlab.laws.table_checks import usable

    needed = [*forms.get_form(form).columns, "L"]
    computed = {"D"} if {"N", "C"} <= columns.keys() else set()
    if missing := sorted(set(needed) - set(columns) - computed):
        columns_of_form = ",".join(f"{name}=..." for name in needed)
        raise ValueError(
            f"no column given for {', '.join(missing)}: write --columns"
            f" {columns_of_form}"
        )
    if {"C", "D"} <= columns.keys() and "C" not in needed:
        logger.warning("warning: column C is not used, because D is given")
    given = {name: columns[name] for name in (*needed, "C") if name in columns}
    more = {WEIGHT: weight, CLUSTER: clusters}
    given |= {name: column for name, column in more.items() if column is not None}
    table = read_csv(path, particles=particles, **given)
    used = [*needed, WEIGHT] if weight else needed
    rows, left_out = usable(table, used)
    if not rows.rows:
        row, reason = next(iter(left_out.items()))
        raise ValueError(
            f"{path}: no row has a positive, finite number in each of"
            f" {', '.join(used)}; row {row} (counted from 0): {reason}"
        )
    return fit(
        form,
        rows,
        weight=WEIGHT if weight else None,
        clusters=CLUSTER if clusters else None,
        left_out=left_out,
        **choices,
    )


@click.command(epilog=example("jetlab flops --width 64"))
@click.option(
    "--width", type=click.IntRange(min=1), required=True, help="Model width d."
)
@click.option(
    "--particles",
    type=click.IntRange(min=1),
    default=40,
    show_default=True,
    help="Particles of a jet.",
)
@as_json
def flops(width: int, particles: int, as_json: bool):
    """Count parameters and training FLOPs per jet of a tagger, by every convention."""
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
