"""The command that foretells what an analysis would see."""

from pathlib import Path

import click

from jetlab.cli.options import as_json, example
from jetlab.cli.plans import FIT, shown


@click.command(epilog=example("jetlab predict runs/laptop/fit.json --budget 1e16"))
@click.argument("law", metavar="FIT.json", type=FIT)
@click.option("--budget", type=float, required=True, help="FLOPs of training.")
@click.option(
    "--particles", type=float, default=40.0, show_default=True, help="n_p of 6 n_p N D."
)
@as_json
def predict(law: Path, budget: float, particles: float, as_json: bool):
    """The background rejections to expect of the best tagger for a budget.

    FIT.json is that of a study of taggers: it holds a law of the loss and, for signal
    classes, the background rejection as a function of the loss.
    """
    from jetlab.laws.prospects import prospect, read
    from jetlab.runs.compilation_cache import enable_compilation_cache, user_folder

    enable_compilation_cache(user_folder())
    fit, mappings = read(law.read_text())
    found = prospect(fit, mappings, budget, particles)
    if as_json:
        click.echo(found.to_json())
        return
    for name in ("N", "D", "loss"):
        value, interval = getattr(found, name), found.intervals.get(name)
        click.echo(f"{name}: {shown(name, value, interval)}")
    for one in found.rejections:
        number = _three(one.rejection, one.interval)
        click.echo(f"{one.signal} at {100 * one.efficiency:g} %: {number}")
    click.echo(found.message)


def _three(value: float | None, interval: tuple[float, float] | None) -> str:
    """Three significant digits: rejections span decades."""
    if value is None:
        return "no number"
    numbers = [f"{v:.3g}" for v in (value, *(interval or ()))]
    first, *ends = [n.replace("e+0", "e").replace("e+", "e") for n in numbers]
    return f"{first} ({', '.join(ends)})" if ends else first
