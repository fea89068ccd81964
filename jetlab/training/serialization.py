"""A state as a list of its leaves and one vector of their bytes, and back."""

import hashlib
import json
from functools import partial
from itertools import zip_longest
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Shaped, UInt8

Bytes = UInt8[np.ndarray, " bytes"]

Leaves = dict[str, str | None]
"""Name, type and shape of every leaf, in order; the generator where it is a key."""


def leaves_of(state: Any) -> Leaves:
    """What a state is made of; keys given as shapes name no generator."""
    leaves = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(state):
        kind = leaf.dtype if hasattr(leaf, "dtype") else np.asarray(leaf).dtype
        name = f"{jax.tree_util.keystr(path)} {kind}{list(np.shape(leaf))}"
        real = isinstance(leaf, jax.Array) and _is_key(leaf)
        leaves[name] = str(jax.random.key_impl(leaf)) if real else None
    return leaves


def _is_key(leaf: Any) -> bool:
    kind = getattr(leaf, "dtype", np.dtype(float))
    return jnp.issubdtype(kind, jax.dtypes.prng_key)


def pack(state: Any) -> Bytes:
    """The bytes of all leaves, in one copy."""
    plain = [_plain(leaf) for leaf in jax.tree.leaves(state)]
    flat = [np.ravel(x).view(np.uint8) for x in jax.device_get(plain)]
    return np.concatenate(flat)


def _plain(leaf: Any) -> Any:
    if isinstance(leaf, jax.Array) and leaf.is_fully_replicated:
        leaf = leaf.addressable_data(0)  # other processes hold the same
    return jax.random.key_data(leaf) if _is_key(leaf) else leaf


def digest(data: Bytes, header: Any) -> str:
    """A fingerprint of the bytes and of the JSON beside them."""
    content = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    content.update(data.data)
    return content.hexdigest()


def unpack(like: Any, leaves: Leaves, data: Bytes) -> Any:
    """The state again, as arrays on the devices of those of `like`.

    Args:
      like: arrays or `jax.ShapeDtypeStruct`s of the same names, types and shapes.

    Raises:
      ValueError: where they are not.
    """
    for held, asked in zip_longest(leaves, leaves_of(like), fillvalue="nothing more"):
        if held != asked:
            raise ValueError(f"it holds {held} where {asked} is asked for")
    targets, tree = jax.tree.flatten(like)
    values, start = [], 0
    for target, generator in zip(targets, leaves.values(), strict=True):
        raw = jax.eval_shape(jax.random.key_data, target) if generator else target
        raw = raw if hasattr(raw, "dtype") else np.asarray(raw)
        stop = start + raw.size * raw.dtype.itemsize
        value = data[start:stop].copy().view(raw.dtype).reshape(raw.shape)
        values.append(_restored(target, value, generator))
        start = stop
    return jax.tree.unflatten(tree, values)


def _restored(target: Any, value: Shaped[np.ndarray, "..."], generator: str | None):
    """A value as what the target is: array, key or number, on the target's devices."""
    if isinstance(target, np.ndarray):
        return value
    if not isinstance(target, jax.Array | jax.ShapeDtypeStruct):
        return type(target)(value[()])
    # an array that nobody placed stays free to follow others
    place = target.sharding if getattr(target, "committed", True) else None
    if generator is None:
        return jax.device_put(value, place)
    wrap = partial(jax.random.wrap_key_data, impl=generator)
    return jax.jit(wrap, out_shardings=place)(value)
