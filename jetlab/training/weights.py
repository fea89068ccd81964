"""Weights of finished runs: one file each, named by its content, whole or absent.

A file holds the parameters by their path in the module, and the spec of the run, so
that it can be loaded, applied and trained further without anything else.
"""

import dataclasses
import hashlib
import json
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import serialization

from jetlab.atomic import atomic_file
from jetlab.training.run_config import RunConfig
from jetlab.training.step import abstract_params
from jetlab.types import ModelConfig

SUFFIX = ".msgpack"


class Weights(NamedTuple):
    """What a file holds: the run, its classes, and arrays by parameter path."""

    run: RunConfig
    classes: tuple[str, ...]
    arrays: dict[str, np.ndarray]


def save_weights(
    folder: Path, run: RunConfig, classes: tuple[str, ...], params: Any
) -> str:
    """Write the parameters of a run; the name of the file, a hash of its content.

    Raises:
      OSError: where the file cannot be written.
    """
    leaves = jax.tree_util.tree_leaves_with_path(jax.device_get(params))
    content = serialization.msgpack_serialize(
        {
            "run": json.dumps(_described(run)),
            "classes": json.dumps(classes),
            "params": {jax.tree_util.keystr(path): leaf for path, leaf in leaves},
        }
    )
    path = folder / (_digest(content) + SUFFIX)
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as partial:
            partial.write_bytes(content)
    return path.name


def load_weights(path: Path) -> Weights:
    """A file that `save_weights` wrote.

    Raises:
      ValueError: for a file that is missing, damaged, or of a class that cannot be
        imported here.
    """
    if not path.is_file():
        raise ValueError(f"there are no weights {path}")
    content = path.read_bytes()
    if _digest(content) != path.name.removesuffix(SUFFIX):
        raise ValueError(f"{path} is damaged: its content does not match its name")
    found: Any = serialization.msgpack_restore(content)
    run = _rebuilt(json.loads(found["run"]), path)
    return Weights(run, tuple(json.loads(found["classes"])), found["params"])


def params_of(weights: Weights, model: ModelConfig) -> Any:
    """The parameters as a pytree for a model.

    Raises:
      ValueError: where the model has other parameters.
    """
    leaves, tree = jax.tree_util.tree_flatten_with_path(abstract_params(model))
    names = [jax.tree_util.keystr(path) for path, _ in leaves]
    shapes = {name: leaf.shape for name, (_, leaf) in zip(names, leaves, strict=True)}
    held = {name: array.shape for name, array in weights.arrays.items()}
    if held != shapes:
        other = next(n for n in held | shapes if held.get(n) != shapes.get(n))
        raise ValueError(
            f"the weights of run {weights.run.id} do not fit {model}: {other} has shape"
            f" {held.get(other)}, where {shapes.get(other)} is needed"
        )
    return jax.tree.unflatten(tree, [weights.arrays[name] for name in names])


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:40]


def _described(value: Any) -> Any:
    """Dataclasses as their class and fields, as JSON can hold them."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        kind = type(value)
        fields = {
            field.name: _described(getattr(value, field.name))
            for field in dataclasses.fields(value)
        }
        return {"class": f"{kind.__module__}:{kind.__qualname__}", "fields": fields}
    if isinstance(value, tuple | list):
        return [_described(item) for item in value]
    return value


def _rebuilt(value: Any, path: Path) -> Any:
    if isinstance(value, Mapping):
        fields = {n: _rebuilt(v, path) for n, v in value["fields"].items()}
        return _class(value["class"], path)(**fields)
    if isinstance(value, list):
        return tuple(_rebuilt(item, path) for item in value)
    return value


def _class(name: str, path: Path) -> type:
    """A class of jetlab, or of a module that the caller has imported: reading a file
    imports no other code."""
    module, _, qualname = name.partition(":")
    found: Any = sys.modules.get(module)
    if module.startswith("jetlab."):
        found = import_module(module)
    for part in qualname.split("."):
        found = getattr(found, part, None)
    if not (isinstance(found, type) and dataclasses.is_dataclass(found)):
        raise ValueError(f"{path} holds a {name}: import its module first")
    return found
