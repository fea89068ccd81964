"""The command line: each command calls a function that scripts can import."""

import logging
import sys
from collections.abc import Sequence

import click

from jetlab.cli import fit, flops, jets, plans, predict, runs

# Commands import what they need when they run: `--help` does not import JAX.


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="jetlab")
def cli():
    """Scaling laws of networks trained on particle jets: train, fit, allocate."""


for command in (
    jets.simulate,
    jets.convert,
    jets.describe,
    runs.run,
    runs.status,
    fit.fit,
    plans.allocate,
    plans.suggest,
    predict.predict,
    flops.flops,
    runs.report,
    runs.apply,
):
    cli.add_command(command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; results go to standard output, progress, warnings and errors to
    standard error.

    Returns:
      The exit status: 0; 2 for bad input, with one line on standard error; 130 if
      interrupted.
    """
    logging.basicConfig(format="%(message)s")  # on standard error
    logging.getLogger("jetlab").setLevel(logging.INFO)
    try:
        cli.main(arguments, prog_name="jetlab", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
    except click.ClickException as error:
        return _fail(error.format_message())
    except OSError as error:
        named = error.filename and error.strerror
        return _fail(f"{error.filename}: {error.strerror}" if named else str(error))
    except ValueError as error:
        return _fail(str(error))
    except (KeyboardInterrupt, click.Abort):
        click.echo("jetlab: interrupted; finished work is kept", err=True)
        return 130
    return 0


def _fail(message: str) -> int:
    click.echo("jetlab: " + " ".join(message.split()), err=True)
    return 2


if __name__ == "__main__":
    sys.exit(main())
