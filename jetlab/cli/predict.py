"""The command that predicts losses and background rejections."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from jetlab.cli.options import Pairs, as_json, example, level_option, log_warnings
from jetlab.cli.plans import (
    FIT,
    echo_range,
    echo_values,
    echo_verdict,
    particles_option,
    text_of,
    with_particles,
)

if TYPE_CHECKING:
    from jetlab.laws.plans.plan import RejectionForecast
    from jetlab.laws.result import FitResult


@click.command(
    epilog=example(
        "jetlab predict fit.json --at N=1e8,D=1e9\n"
        "  jetlab predict runs/laptop/fit.json --budget 1e16"
    )
)
@click.argument("law", metavar="FIT.json", type=FIT)
@click.option(
    "--at", type=Pairs(float), multiple=True, help="Point of the loss, as N=1e8,D=1e9."
)
@click.option("--budget", type=float, help="FLOPs of training, for rejections.")
@level_option
@particles_option
@as_json
def predict(
    law: Path,
    at: Sequence[dict[str, float]],
    budget: float | None,
    level: float,
    particles: float | None,
    as_json: bool,
):
    """The loss at points, or the background rejections that a budget buys.

    With --at: the loss of any fit, with an interval of the law and one of a single new
    run. With --budget FIT.json must be that of a study of taggers: it holds, for signal
    classes, the background rejection as a function of the loss.
    """
    from jetlab.laws.result import FitResult
    from jetlab.runs.compilation_cache import enable_compilation_cache, user_folder

    if bool(at) == (budget is not None):
        raise click.UsageError("give --at N=...,D=... or --budget, one of them")
    enable_compilation_cache(user_folder())
    if budget is None:
        _predict_losses(FitResult.from_json(text_of(law)), at, level, as_json)
        return
    from jetlab.laws.plans.rejection_forecast import predict_rejections, read_fits

    fitted, points = read_fits(text_of(law))
    plan = predict_rejections(with_particles(fitted, particles), points, budget)
    if as_json:
        click.echo(plan.to_json())
    else:
        echo_verdict(plan)
        echo_values(plan, ["N", "D", "loss"])
        for one in plan.rejections:
            where = f"{one.signal} at {100 * one.efficiency:g} %"
            click.echo(f"{where}: {_three_digits(one)}")
        echo_range(plan)
    log_warnings(plan.warnings)


def _predict_losses(
    law: "FitResult", points: Sequence[dict[str, float]], level: float, as_json: bool
) -> None:
    """The loss at each point, with its intervals and its verdict."""
    import numpy as np

    from jetlab.laws.plans.predictions import predictions

    for point in points:
        if set(point) != set(law.form.columns):
            raise ValueError(
                f"--at names {', '.join(point)}: {law.form.name} takes"
                f" {', '.join(law.form.columns)}"
            )
    columns = {n: np.array([one[n] for one in points]) for n in law.form.columns}
    found = predictions(law, columns, level=level)
    if as_json:
        click.echo(json.dumps({"level": level, "points": found.records()}))
    else:
        click.echo(f"verdict of the fit: {law.summary}")
        click.echo(f"{100 * level:g} % intervals of the law, and of a single new run:")
        for line in found.lines():
            click.echo(line)
    reasons = dict.fromkeys(one.why for one in found.verdicts if one.reason)
    log_warnings(list(reasons), "L undecided: ")


def _three_digits(forecast: "RejectionForecast") -> str:
    """Value and interval to three significant digits: rejections span decades."""
    if forecast.rejection is None:
        return "not determined"
    numbers = [f"{v:.3g}" for v in (forecast.rejection, *(forecast.interval or ()))]
    first, *ends = [n.replace("e+0", "e").replace("e+", "e") for n in numbers]
    return f"{first} ({', '.join(ends)})" if ends else first
