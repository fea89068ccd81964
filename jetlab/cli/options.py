"""Options, argument types and printing that several commands share."""

import functools
import json
import logging
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

logger = logging.getLogger(__name__)


class Pairs(click.ParamType):
    """NAME=VALUE,NAME=VALUE as a dictionary."""

    name = "NAME=VALUE,..."

    def __init__(self, read: Callable[[str], Any]):
        self.read = read

    def convert(self, value: Any, param: Any, ctx: Any) -> dict[str, Any]:
        if isinstance(value, dict):
            return value
        pairs = [part.partition("=") for part in value.split(",")]
        if not all(name.strip() and text.strip() for name, _, text in pairs):
            self.fail(f"{value!r} is not {self.name}")
        try:
            return {name.strip(): self.read(text.strip()) for name, _, text in pairs}
        except ValueError:
            self.fail(f"{value!r} is not {self.name}")


class Bounds(click.ParamType):
    """NAME=LOW:HIGH,... as a dictionary of pairs."""

    name = "NAME=LOW:HIGH,..."

    def convert(self, value: Any, param: Any, ctx: Any) -> dict[str, Any]:
        if isinstance(value, dict):
            return value
        found = {}
        for part in value.split(","):
            name, _, ends = part.partition("=")
            low, colon, high = ends.partition(":")
            try:
                found[name.strip()] = (float(low), float(high))
            except ValueError:
                self.fail(f"{value!r} is not {self.name}")
            if not (name.strip() and colon):
                self.fail(f"{value!r} is not {self.name}")
        return found


class Names(click.ParamType):
    """NAME,NAME as a tuple."""

    name = "NAME,..."

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value
        names = tuple(part.strip() for part in value.split(","))
        if not all(names):
            self.fail(f"{value!r} is not {self.name}")
        return names


class Shard(click.ParamType):
    """I/N as a pair of integers."""

    name = "I/N"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        found = re.fullmatch(r"(\d+)/(\d+)", value)
        if not found or not 1 <= int(found[1]) <= int(found[2]):
            self.fail(f"{value!r} is not I/N with I from 1 to N, as in 3/8")
        return int(found[1]), int(found[2])


def worker_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --on and --workers, checked before the command runs."""

    @click.option(
        "--on",
        default="local",
        show_default=True,
        help="Where to work: local, processes, dask://HOST:PORT, slurm or htcondor."
        " Memory, time and account of batch jobs are those of Dask's jobqueue.yaml.",
    )
    @click.option(
        "--workers", type=click.IntRange(min=1), help="Number of workers to start."
    )
    @functools.wraps(command)
    def checked(*args: Any, on: str, workers: int | None, **others: Any) -> Any:
        from jetlab.runs.dispatch import check

        check(on, workers)
        return command(*args, on=on, workers=workers, **others)

    return checked


shard_option = click.option(
    "--shard",
    type=Shard(),
    help="Do part I of N: one task of an array job on a shared file system.",
)


level_option = click.option(
    "--level",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.68,
    show_default=True,
    help="Coverage of the intervals.",
)


def log_warnings(warnings: Sequence[str], prefix: str = "") -> None:
    """Warnings of a fit or a plan, to standard error."""
    for warning in warnings:
        logger.warning("warning: %s%s", prefix, warning)


def seed_option(help: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The option --seed, 0 by default; `help` says what it seeds."""
    kind = click.IntRange(min=0)
    return click.option("--seed", type=kind, default=0, show_default=True, help=help)


def example(text: str) -> str:
    return f"\b\nExample:\n  {text}"


as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
out_folder = click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="Folder to write."
)


def show(values: dict[str, Any], as_json: bool = False) -> None:
    """Print values, one a line or as one JSON object."""
    if as_json:
        click.echo(json.dumps(values, allow_nan=False))
        return
    for name, value in values.items():
        click.echo(f"{name}: {_plain(value)}")


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_plain(item)}" for name, item in value.items())
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(value)
