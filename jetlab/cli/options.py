"""What several commands share: options, types of arguments, and printing."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click


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


def example(text: str) -> str:
    return f"\b\nExample:\n  {text}"


as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
out_folder = click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="Folder to write."
)


def show(values: dict[str, Any], as_json: bool = False) -> None:
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
