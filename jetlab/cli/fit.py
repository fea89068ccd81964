"""The command that fits scaling laws."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from jetlab.cli.fit_groups import shared_laws, show_groups
from jetlab.cli.fit_tables import (
    CLUSTER,
    WEIGHT,
    fit_rows,
    needed_columns,
    read_table,
)
from jetlab.cli.options import (
    Bounds,
    Names,
    Pairs,
    as_json,
    example,
    level_option,
    log_warnings,
    seed_option,
)

if TYPE_CHECKING:
    import jetlab.laws.result
    import jetlab.records


@click.command(
    epilog=example(
        "jetlab fit runs.csv --columns N=params,D=jets,L=loss --json > fit.json"
    )
)
@click.argument("table", type=click.Path(path_type=Path, exists=True))
@click.option(
    "--columns",
    type=Pairs(str),
    default={},
    help="Columns of N, D and L in the table, by default those of these names; C may"
    " replace D.",
)
@click.option(
    "--form",
    default="additive",
    show_default=True,
    help="additive, overtrained or transfer (N, D); model_only or logarithmic (N);"
    " data_only or repeated (D); compute_only (C); saturating, broken, exponential or"
    " rejection (X); repetition or amplified (N, D, and U unique examples).",
)
@click.option("--where", multiple=True, help="Rows to fit, as in lr==1e-3.")
@click.option("--best-of-cell", is_flag=True, help="Fit the lowest loss of each cell.")
@click.option("--seed-mean", is_flag=True, help="Fit the mean loss of each cell.")
@click.option("--group", help="Column whose values are fitted separately.")
@click.option(
    "--share",
    type=Names(),
    default=(),
    help="With --group: parameters that the groups have in common, with an F test.",
)
@click.option(
    "--fix", type=Pairs(float), default={}, help="Values of parameters, as L_inf=0.32."
)
@click.option("--tie", type=Pairs(str), default={}, help="Equal ones, as beta=alpha.")
@click.option(
    "--bounds", type=Bounds(), default={}, help="Ranges, as L_inf=0:0.5,alpha=0:1."
)
@click.option(
    "--misfit",
    type=click.Choice(["huber", "squares", "absolute"]),
    default="huber",
    show_default=True,
    help="Objective.",
)
@click.option(
    "--residuals",
    type=click.Choice(["log L", "L"]),
    default="log L",
    show_default=True,
    help="What the objective is of.",
)
@click.option(
    "--delta",
    type=click.FloatRange(min=0, min_open=True),
    default=1e-3,
    show_default=True,
    help="Huber's delta, in units of the residuals.",
)
@click.option(
    "--asymmetry",
    type=click.FloatRange(0, 1, min_open=True),
    default=1.0,
    show_default=True,
    help="Weight of runs above the law, which may be undertuned.",
)
@click.option("--weight", help="Column of the weights of rows.")
@click.option(
    "--clusters",
    show_default="rows of one training run, or of equal N and D",
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
@level_option
@seed_option("Of the bootstrap.")
@click.option(
    "--particles",
    type=click.FloatRange(min=0, min_open=True),
    show_default="that of the table, else 40",
    help="n_p of C = 6 n_p N D; 1 where D counts tokens.",
)
@click.option(
    "--approaches",
    is_flag=True,
    help="Add the exponents by Hoffmann's three approaches, and why they differ.",
)
@click.option(
    "--budget-column", help="Column of C, which --approaches needs of runs at budgets."
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="Folder for tables and figures."
)
@as_json
def fit(
    table: Path,
    columns: dict[str, str],
    form: str,
    where: Sequence[str],
    best_of_cell: bool,
    seed_mean: bool,
    group: str | None,
    share: Sequence[str],
    fix: dict[str, float],
    tie: dict[str, str],
    bounds: dict[str, tuple[float, float]],
    misfit: Literal["huber", "squares", "absolute"],
    residuals: Literal["log L", "L"],
    delta: float,
    asymmetry: float,
    weight: str | None,
    clusters: str | None,
    bootstrap: int,
    level: float,
    seed: int,
    particles: float | None,
    approaches: bool,
    budget_column: str | None,
    out: Path | None,
    as_json: bool,
):
    """Fit a scaling law, L_inf + A/N^alpha + B/D^beta by default.

    TABLE is a CSV file (or one separated by semicolons, tabs or blanks), or a folder of
    `jetlab run`. Rows without a positive, finite number in every column are excluded,
    with a warning. The verdict is printed first: it names the quantities that the rows
    decide, limit at 95 % or leave open. Warnings go to standard error.
    """
    from jetlab.laws.fitting.misfit import Misfit
    from jetlab.laws.tables import selection
    from jetlab.runs.compilation_cache import enable_compilation_cache, user_folder

    if best_of_cell and seed_mean:
        raise click.UsageError("--best-of-cell and --seed-mean exclude each other")
    if approaches and form != "additive":
        raise click.UsageError(f"--approaches are of the additive law, not of {form}")
    if share and not group:
        raise click.UsageError("--share needs --group")
    enable_compilation_cache(user_folder())
    more = {WEIGHT: weight, CLUSTER: clusters, "C": budget_column}
    rows = read_table(table, columns, form, more, particles)
    renamed = {own: name for name, own in columns.items()}
    for condition in where:
        rows = selection.where(rows, condition, renamed)
    needed = needed_columns(form)
    if best_of_cell:
        rows = selection.best_of_cells(rows, needed)
    if seed_mean:
        rows = selection.means_of_cells(rows, needed)
    choices = dict(
        weight=WEIGHT if weight else None,
        clusters=CLUSTER if clusters else None,
        fixed=fix,
        ties=tie,
        bounds=bounds,
        misfit=Misfit(kind=misfit, delta=delta, above=asymmetry, of=residuals),
        bootstrap=bootstrap,
        seed=seed,
        particles=particles,
    )
    if group:
        parts = selection.groups(rows, renamed.get(group, group))
        laws = {name: fit_rows(form, part, **choices) for name, part in parts.items()}
        show_groups(group, laws, shared_laws(form, laws, share), level, as_json)
        return
    law = fit_rows(form, rows, **choices)
    log_warnings(law.warnings)
    compared = _approaches(law, rows) if approaches else {}
    if out is not None:
        from jetlab.laws.export import export

        export(law, out)
    if as_json:
        record = json.loads(law.to_json(diagnostics=True, level=level))
        click.echo(json.dumps(record | compared, allow_nan=False))
        return
    from jetlab.laws.summary import lines

    for line in lines(law, level, approaches=compared):
        click.echo(line)


def _approaches(
    law: "jetlab.laws.result.FitResult", rows: "jetlab.records.Table"
) -> dict[str, Any]:
    """The exponents by Hoffmann's three approaches."""
    from jetlab.laws.approaches.chinchilla import compare
    from jetlab.records import Table

    budgets = {"C": rows["C"]} if "C" in rows and rows.rows == law.rows else {}
    table = Table(law.table | budgets)
    found = json.loads(compare(table, particles=law.particles, law=law).to_json())
    return {"approaches": found["approaches"], "approaches_differ": found["words"]}
