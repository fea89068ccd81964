"""Serialisation of a pytree: names of its leaves and one vector of their bytes."""

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
"""By "name dtype[shape]" of each leaf, in order: the generator of a PRNG key, else
None."""


def leaves_of(state: Any) -> Leaves:
    """Names, dtypes and shapes of the leaves, and the generators of PRNG keys (None for
    a `jax.ShapeDtypeStruct`)."""
    leaves = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(state):
        kind = leaf.dtype if hasattr(leaf, "dtype") else np.asarray(leaf).dtype
        name = f"{jax.tree_util.keystr(path)} {kind}{list(np.shape(leaf))}"
        is_key = isinstance(leaf, jax.Array) and _is_key(leaf)
        leaves[name] = str(jax.random.key_impl(leaf)) if is_key else None
    return leaves


def _is_key(leaf: Any) -> bool:
    kind = getattr(leaf, "dtype", np.dtype(float))
    return jnp.issubdtype(kind, jax.dtypes.prng_key)


def pack(state: Any) -> Bytes:
    """The bytes of all leaves, in order, in one copy."""
    plain = [_plain(leaf) for leaf in jax.tree.leaves(state)]
    flat = [np.ravel(x).view(np.uint8) for x in jax.device_get(plain)]
    return np.concatenate(flat)


def _plain(leaf: Any) -> Any:
    if isinstance(leaf, jax.Array) and leaf.is_fully_replicated:
        leaf = leaf.addressable_data(0)  # equal in every process
    return jax.random.key_data(leaf) if _is_key(leaf) else leaf


def digest(data: Bytes, header: Any) -> str:
    """SHA-256 of the bytes and of the JSON header."""
    content = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    content.update(data.data)
    return content.hexdigest()


def unpack(like: Any, leaves: Leaves, data: Bytes) -> Any:
    """The inverse of `pack`: the state, on the devices of the leaves of `like`.

    Args:
      like: arrays or `jax.ShapeDtypeStruct`s of the same names, dtypes and shapes.

    Raises:
      ValueError: if names, dtypes or shapes differ.
    """
    pairs = zip_longest(leaves, leaves_of(like), fillvalue="no further leaf")
    for saved, expected in pairs:
        if saved != expected:
            raise ValueError(f"it holds {saved} where {expected} is expected")
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
    """A value with the type of the target (array, PRNG key or Python number), on the
    target's devices."""
    if isinstance(target, np.ndarray):
        return value
    if not isinstance(target, jax.Array | jax.ShapeDtypeStruct):
        return type(target)(value[()])
    # An uncommitted array stays uncommitted.
    sharding = target.sharding if getattr(target, "committed", True) else None
    if generator is None:
        return jax.device_put(value, sharding)
    wrap = partial(jax.random.wrap_key_data, impl=generator)
    return jax.jit(wrap, out_shardings=sharding)(value)
