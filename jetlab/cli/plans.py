"""Commands that use a fitted law: allocate, suggest, predict."""

import json
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from jetlab.cli.options import Pairs, as_json, example, log_warnings
from jetlab.laws.formatting import scientific, with_interval

if TYPE_CHECKING:
    from jetlab.laws.plans.plan import Plan
    from jetlab.laws.result import FitResult

logger = logging.getLogger(__name__)

FIT = click.Path(path_type=Path, exists=True, dir_okay=False)
SHOWN = {
    "N": "N", "D": "D", "epochs": "E", "loss": "loss", "simulated": "simulated",
    "a": "a", "slope_D": "slope_D", "slope_E": "slope_E", "gamma": "gamma",
    "repeat_above_cost": "repeat_above_cost",
    "repeat_below_budget": "repeat_below_budget",
}  # fmt: skip
"""Fields of a plan in printing order, with their names in print and in JSON."""

particles_option = click.option(
    "--particles", type=float, show_default="that of the fit", help="n_p of 6 n_p N D."
)


@click.command(
    epilog=example(
        "jetlab allocate fit.json --budget 1e18 --jet-cost 1e9 --max-epochs 50"
    )
)
@click.argument("law", metavar="FIT.json", type=FIT)
@click.option(
    "--budget",
    type=float,
    help="FLOPs of training, and of simulation if it has a cost.",
)
@click.option(
    "--device-hours", type=float, help="In place of --budget, with --flop-rate."
)
@click.option(
    "--flop-rate", type=float, help="Achieved FLOP/s of a device, with --device-hours."
)
@click.option("--jet-cost", type=float, help="FLOPs to simulate one jet.")
@click.option(
    "--jet-seconds",
    type=float,
    help="In place of --jet-cost, with --exchange: core-seconds per jet.",
)
@click.option(
    "--exchange", type=float, help="FLOPs of training for the price of a core-second."
)
@click.option(
    "--max-epochs", type=float, help="Most epochs over simulated jets; 1 by default."
)
@click.option(
    "--repeats",
    type=Pairs(float),
    help="Parameters of repeated data, for a fit that has none: R_D_star=...,"
    "R_N_star=... or B_rep=...,beta_rep=...",
)
@particles_option
@as_json
def allocate(
    law: Path,
    budget: float | None,
    device_hours: float | None,
    flop_rate: float | None,
    jet_cost: float | None,
    jet_seconds: float | None,
    exchange: float | None,
    max_epochs: float | None,
    repeats: dict[str, float] | None,
    particles: float | None,
    as_json: bool,
):
    """Compute-optimal model size N and dataset size D for a budget.

    With a cost of simulation also the number of epochs E: D is then the number of jets
    to simulate, each used E times (once, unless --max-epochs allows more).
    """
    from jetlab.laws.plans import allocation
    from jetlab.laws.plans.budget import simulation_flops, training_flops
    from jetlab.laws.plans.simulate_or_repeat import simulate_or_repeat
    from jetlab.laws.repeated_data import repeat_model
    from jetlab.laws.result import FitResult
    from jetlab.runs.compilation_cache import enable_compilation_cache, user_folder

    enable_compilation_cache(user_folder())
    flops = _either(
        ("--budget", budget),
        ("--device-hours", device_hours),
        ("--flop-rate", flop_rate),
        training_flops,
    )
    flops_per_jet = _either(
        ("--jet-cost", jet_cost),
        ("--jet-seconds", jet_seconds),
        ("--exchange", exchange),
        simulation_flops,
    )
    if flops is None:
        raise click.UsageError("give --budget, or --device-hours with --flop-rate")
    fitted = with_particles(FitResult.from_json(text_of(law)), particles)
    if flops_per_jet is None:
        if max_epochs is not None or repeats is not None:
            raise click.UsageError(
                "--max-epochs and --repeats need a cost of simulation: --jet-cost"
            )
        plan = allocation.allocate(fitted, flops)
    else:
        plan = simulate_or_repeat(
            fitted,
            flops,
            flops_per_jet=flops_per_jet,
            max_epochs=1.0 if max_epochs is None else max_epochs,
            repeats=repeat_model(repeats) if repeats is not None else None,
        )
    if as_json:
        click.echo(plan.to_json())
    else:
        echo_verdict(plan)
        simulates = plan.flops_per_jet is not None
        echo_values(plan, [n for n in SHOWN if simulates or n != "epochs"])
        echo_range(plan)
    log_warnings(plan.warnings)


def with_particles(law: "FitResult", particles: float | None) -> "FitResult":
    """The fit with another n_p, with a warning where it had one of its own."""
    from jetlab.laws.plans.budget import require_positive

    if particles is None:
        return law
    require_positive(particles=particles)
    if abs(particles / law.particles - 1) > 0.01:
        logger.warning(
            "warning: n_p = %g in place of %.4g, that of the fit",
            particles,
            law.particles,
        )
    return replace(law, particles=particles)


def echo_verdict(plan: "Plan") -> None:
    """Whether the plan may be quoted, and what its numbers are."""
    from jetlab.types import CONFIDENCE_LEVEL

    click.echo(f"verdict: {plan.verdict}")
    click.echo(
        f"C = {6 * plan.particles:.4g} N D FLOPs (n_p = {plan.particles:.4g});"
        f" {100 * CONFIDENCE_LEVEL:g} % intervals; undecided numbers in brackets"
    )


def _either(
    direct: tuple[str, float | None],
    amount: tuple[str, float | None],
    rate: tuple[str, float | None],
    product: Callable[[float, float], float],
) -> float | None:
    """A value given directly or as the product of two options; None if not given."""
    (name, value), (first, count), (second, each) = direct, amount, rate
    if value is not None:
        if count is not None or each is not None:
            raise click.UsageError(f"give {name} or {first} with {second}, not both")
        return value
    if count is None and each is None:
        return None
    if count is None or each is None:
        raise click.UsageError(f"{first} and {second} go together: give both")
    return product(count, each)


def text_of(path: Path) -> str:
    try:
        return path.read_text()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not a text file: {error}") from error


def echo_values(plan: "Plan", names: Sequence[str]) -> None:
    for name in names:
        value, interval = getattr(plan, name), plan.intervals.get(name)
        if value is None:
            continue
        text, one = _formatted(name, value, interval), plan.verdicts.get(name)
        click.echo(f"{SHOWN[name]}: {text if not one or one.known else f'[{text}]'}")


def _formatted(name: str, value: float, interval: tuple[float, float] | None) -> str:
    if name not in ("N", "D", "repeat_above_cost", "repeat_below_budget"):
        return with_interval(value, interval)
    ends = f" ({', '.join(map(scientific, interval))})" if interval else ""
    return scientific(value) + ends


def echo_range(plan: "Plan") -> None:
    from jetlab.laws.plans.plan import INTERPOLATION

    if not plan.extrapolates:
        click.echo(INTERPOLATION)


@click.command(epilog=example("jetlab suggest fit.json --budget 1e16 --target L_inf"))
@click.argument("law", metavar="FIT.json", type=FIT)
@click.option("--budget", type=float, required=True, help="FLOPs of all runs to add.")
@click.option(
    "--target",
    default="L_inf",
    show_default=True,
    help="The value to improve: a parameter, a, a_D, gamma, or loss@FLOPS.",
)
@particles_option
@as_json
def suggest(
    law: Path, budget: float, target: str, particles: float | None, as_json: bool
):
    """Suggest the runs that reduce the error of a fitted value most, for a budget."""
    from jetlab.laws.plans import design
    from jetlab.laws.result import FitResult
    from jetlab.runs.compilation_cache import enable_compilation_cache, user_folder

    enable_compilation_cache(user_folder())
    fitted = with_particles(FitResult.from_json(text_of(law)), particles)
    found = design.suggest(fitted, budget, target=target)
    if as_json:
        record = json.loads(found.to_json()) | {"verdict": fitted.summary}
        click.echo(json.dumps(record))
    else:
        click.echo(f"verdict of the fit: {fitted.summary}")
        for (n, d), times in Counter(zip(found.N, found.D, strict=True)).items():
            click.echo(f"{times} x N = {scientific(n)}, D = {scientific(d)}")
        click.echo(f"cost: {scientific(found.cost)} of {scientific(budget)} FLOPs")
        click.echo(
            f"error of {target}: expected to fall to {found.gain:.2g} of its value"
        )
    log_warnings(found.warnings)
