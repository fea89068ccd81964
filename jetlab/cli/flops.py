"""The command that counts parameters and FLOPs."""

from dataclasses import asdict

import click

from jetlab.cli.options import as_json, example, show


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
