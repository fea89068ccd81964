"""Writes docs/api.md: the public names of jetlab, from their docstrings.

python docs/make_api.py
"""

import dataclasses
import inspect
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jetlab

PAGE = Path(__file__).with_name("api.md")
SECTIONS = {
    "Jets": ("types", "data"),
    "Tasks and models": ("tasks", "models"),
    "Runs": ("records", "training", "runs"),
    "Laws": ("laws",),
}
TASKS = ("Batch", "ModelConfig", "Task")
"""Names of `types` that belong to tasks."""


def page() -> str:
    """The whole page."""
    parts = [
        "# jetlab's public names",
        "",
        "Made from the docstrings by `python docs/make_api.py`. Use them as",
        "`import jetlab as jl`. Everything else is internal and may change.",
    ]
    for title in SECTIONS:
        names = [n for n in jetlab.__all__ if section(n) == title]
        parts += ["", f"## {title}"]
        for name in names:
            parts += ["", *entry(name, getattr(jetlab, name))]
    return "\n".join(parts) + "\n"


def section(name: str) -> str:
    """The title under which a name stands."""
    room = jetlab._NAMES[name].split(".")[0]
    if name in TASKS:
        return "Tasks and models"
    return next(title for title, rooms in SECTIONS.items() if room in rooms)


def entry(name: str, value: Any) -> Iterator[str]:
    """The signature, the docstring, and for a class its public members."""
    yield f"### `{name}{signature(value)}`"
    yield ""
    if isinstance(value, tuple):
        yield "\n".join(textwrap.wrap(", ".join(f"`{item}`" for item in value), 88))
        return
    yield inspect.getdoc(value) or ""
    if inspect.isclass(value):
        for member, function in members(value):
            yield ""
            yield f"- `.{member}{signature(function)}`: {first_line(function)}"


def signature(value: Any) -> str:
    if not callable(value) or getattr(value, "_is_protocol", False):
        return ""
    try:
        found = inspect.signature(value)
    except (TypeError, ValueError):
        return ""
    shown = [p.replace(annotation=p.empty) for p in found.parameters.values()]
    shown = [p for p in shown if p.name != "self"]
    fields = {f.name for f in dataclasses.fields(value)} if is_dataclass(value) else ()
    shown = [
        p.replace(default=p.empty if "factory" in repr(p.default) else p.default)
        if p.name in fields
        else p
        for p in shown
    ]
    return str(found.replace(parameters=shown, return_annotation=found.empty))


def is_dataclass(value: Any) -> bool:
    return inspect.isclass(value) and dataclasses.is_dataclass(value)


def first_line(value: Any) -> str:
    found = inspect.getdoc(value) or ""
    return " ".join(found.split("\n\n")[0].split())


def members(kind: type) -> Iterator[tuple[str, Any]]:
    """Public methods and properties that the class itself defines, with docstrings."""
    for name, value in vars(kind).items():
        function = value.__func__ if isinstance(value, classmethod) else value
        named = not name.startswith("_") or name == "__call__"
        usable = callable(function) or isinstance(function, property)
        documented = inspect.getdoc(function) and not inspect.isclass(function)
        if named and usable and documented:
            yield name, function


if __name__ == "__main__":
    PAGE.write_text(page())
