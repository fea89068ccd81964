"""Commands that plan by a fitted law: what to train, and what to measure next."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from jetlab.cli.options import Pairs, as_json, example
from jetlab.laws.formatting import scientific, with_interval

FIT = click.Path(path_type=Path, exists=True, dir_okay=False)

if TYPE_CHECKING:
    from jetlab.laws.allocation import Allocation
    from jetlab.laws.simulate_or_repeat import Simulation


@click.command(
    epilog=example(
        "jetlab allocate fit.json --budget 1e18 --jet-cost 1e9 --max-epochs 50"
    )
)
@click.argument("law", metavar="FIT.json", type=FIT)
@click.option("--budget", type=float, help="FLOPs of training, and of simulation.")
@click.option("--device-hours", type=float, help="Instead of --budget.")
@click.option("--flop-rate", type=float, help="Achieved FLOP/s of a device.")
@click.option("--jet-cost", type=float, help="FLOPs to simulate one jet.")
@click.option(
    "--jet-seconds", type=float, help="Instead of --jet-cost: core-seconds a jet."
)
@click.option(
    "--exchange", type=float, help="FLOPs of training at the price of a core-second."
)
@click.option("--max-epochs", type=float, help="Passes allowed over simulated jets.")
@click.option(
    "--repeats",
    type=Pairs(float),
    help="What repeats are worth, where the fit does not say: R_D_star=...,"
    "R_N_star=... or B_rep=...,beta_rep=...",
)
@click.option(
    "--particles", type=float, default=40.0, show_default=True, help="n_p of 6 n_p N D."
)
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
    particles: float,
    as_json: bool,
):
    """The model size and dataset size that a budget should buy.

    With a cost of simulation, also how often to see each jet: D is then the number to
    simulate, E the passes over them (one, unless --max-epochs allows more).
    """
    from jetlab.laws.allocation import allocate as solve
    from jetlab.laws.budgets import device_budget, simulation_cost
    from jetlab.laws.repeated_data import given
    from jetlab.laws.result import FitResult
    from jetlab.laws.simulate_or_repeat import simulate_or_repeat
    from jetlab.runs.compilation_cache import enable_compilation_cache, user_folder

    enable_compilation_cache(user_folder())
    flops = _either(
        ("--budget", budget),
        ("--device-hours", device_hours),
        ("--flop-rate", flop_rate),
        device_budget,
    )
    cost = _either(
        ("--jet-cost", jet_cost),
        ("--jet-seconds", jet_seconds),
        ("--exchange", exchange),
        simulation_cost,
    )
    if flops is None:
        raise click.UsageError("give --budget, or --device-hours with --flop-rate")
    fitted = FitResult.from_json(law.read_text())
    if cost is None:
        if max_epochs is not None or repeats is not None:
            raise click.UsageError(
                "--max-epochs and --repeats need a cost of simulation: --jet-cost"
            )
        _tell(solve(fitted, flops, particles=particles), as_json)
        return
    plan = simulate_or_repeat(
        fitted,
        flops,
        jet_cost=cost,
        max_epochs=1.0 if max_epochs is None else max_epochs,
        particles=particles,
        repeats=given(repeats) if repeats is not None else None,
    )
    _tell(plan, as_json)


def _either(
    direct: tuple[str, float | None],
    amount: tuple[str, float | None],
    rate: tuple[str, float | None],
    product: Callable[[float, float], float],
) -> float | None:
    """A value given directly or as the product of two options; None without any."""
    (name, value), (first, count), (second, each) = direct, amount, rate
    if value is not None:
        if count is not None or each is not None:
            raise click.UsageError(f"give {name} or {first} with {second}, not both")
        return value
    if count is None and each is None:
        return None
    if count is None or each is None:
        raise click.UsageError(f"{first} and {second} go together")
    return product(count, each)


def _tell(plan: "Allocation | Simulation", as_json: bool) -> None:
    if as_json:
        click.echo(plan.to_json())
        return
    for name in (
        "N", "D", "E", "loss", "simulated", "a", "slope_D", "slope_E", "gamma",
        "repeat_above_cost", "repeat_below_budget",
    ):  # fmt: skip
        value = getattr(plan, name, None)
        if value is not None:
            click.echo(f"{name}: {shown(name, value, plan.intervals.get(name))}")
    click.echo(plan.message)


def shown(name: str, value: float, interval: tuple[float, float] | None) -> str:
    if name not in ("N", "D", "repeat_above_cost", "repeat_below_budget"):
        return with_interval(value, interval)
    ends = f" ({', '.join(map(scientific, interval))})" if interval else ""
    return scientific(value) + ends


@click.command(epilog=example("jetlab suggest fit.json --budget 1e16 --target L_inf"))
@click.argument("law", metavar="FIT.json", type=FIT)
@click.option("--budget", type=float, required=True, help="FLOPs for all runs to add.")
@click.option(
    "--target",
    default="L_inf",
    show_default=True,
    help="What they should make surer: a parameter, a, or loss@FLOPS.",
)
@click.option(
    "--particles", type=float, default=40.0, show_default=True, help="n_p of 6 n_p N D."
)
@as_json
def suggest(law: Path, budget: float, target: str, particles: float, as_json: bool):
    """The runs that would make a number of the fit surest, for a given compute."""
    from jetlab.laws import design, targets
    from jetlab.laws.result import FitResult
    from jetlab.runs.compilation_cache import enable_compilation_cache, user_folder

    enable_compilation_cache(user_folder())
    fitted = FitResult.from_json(law.read_text())
    wanted = targets.target(fitted, target, particles)
    runs, costs = targets.candidates(fitted, budget, particles)
    found = design.suggest(fitted, runs, costs, budget, wanted)
    if as_json:
        click.echo(found.to_json())
        return
    for (n, d), times in Counter(zip(found.N, found.D, strict=True)).items():
        click.echo(f"{times} x N = {scientific(n)}, D = {scientific(d)}")
    click.echo(f"cost: {scientific(found.cost)} FLOPs\n{found.message}")
