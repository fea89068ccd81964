"""The identity of a spec: twelve hex digits that name it by its content."""

import dataclasses
import hashlib
import json
from typing import Any


def identity(spec: Any) -> str:
    """Twelve hex digits that name a frozen dataclass by its content.

    Equal across processes and machines. Fields at their default stay out, so that a
    new field with a default leaves old identities as they are. A class may keep its
    identities under a new name by `identity_name`, and a field by its metadata: under
    "identity" the name that it had, None for a label that decides nothing, and under
    "was" the canonical value that specs had before there was the field.

    Raises:
      TypeError: for a value that has no canonical form (an array, a function).
    """
    text = json.dumps(_canonical(spec), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _canonical(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        name = getattr(type(value), "identity_name", type(value).__name__)
        return {"class": name, **_chosen(value)}
    if isinstance(value, tuple | list):
        return [_canonical(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(
        f"a run's spec holds a {type(value).__name__}: use numbers, strings, tuples "
        "and frozen dataclasses, which mean the same on every machine"
    )


def _chosen(spec: Any) -> dict[str, Any]:
    """The canonical values of the fields that are not at their default."""
    chosen = {}
    for one in dataclasses.fields(spec):
        name = one.metadata.get("identity", one.name)
        value = None if name is None else _canonical(getattr(spec, one.name))
        if name is not None and value not in _omitted(one):
            chosen[name] = value
    return chosen


def _omitted(one: dataclasses.Field) -> list[Any]:
    """The canonical values at which a field stays out of the identity."""
    omitted = [one.metadata["was"]] if "was" in one.metadata else []
    if one.default is not dataclasses.MISSING:
        omitted.append(_canonical(one.default))
    return omitted
