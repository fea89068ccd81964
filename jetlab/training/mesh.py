"""Runs on the devices there are: lanes spread over them, batches dealt among them.

A mesh has two axes. Along `lane` each device holds states of its own. Along `data` the
devices hold the same states, compute the gradients of their shares of every batch and
sum them. It is one program, whether one process has all the devices or many have one
each: all processes plan the same work and read the same losses.
"""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array

from jetlab.training.scan import (
    Chunk,
    Steps,
    Take,
    compiler_options,
    each_lane,
    make_chunk,
)
from jetlab.training.step import Engine, TrainState

LANE, DATA = "lane", "data"


def make_mesh(lanes: int = 1, data: int | None = None) -> Mesh:
    """All devices of all processes, `lanes` x `data` of them.

    Without `data` each lane gets as many devices as there are for it.

    Raises:
      ValueError: where the two do not multiply to the number of devices.
    """
    count = jax.device_count()
    if data is None:
        data = max(1, count // max(1, lanes))
    if min(lanes, data) < 1 or lanes * data != count:
        raise ValueError(
            f"a mesh of {lanes} lanes x {data} shares of a batch does not cover the "
            f"{count} devices there are: choose two numbers whose product is {count}"
        )
    # in the order of jax.devices(), so that meshes of any shape share arrays; explicit
    # axes, the default, make the backward pass raise (jax 0.10.2)
    devices = np.array(jax.devices()).reshape(lanes, data)
    return Mesh(devices, (LANE, DATA), axis_types=(AxisType.Auto,) * 2)


def spread(runs: int, batch: int) -> Mesh:
    """The mesh for so many runs at once: a device each while there are enough, and
    the batches dealt among devices that are left over, where they divide a batch."""
    count = jax.device_count()
    for lanes in range(min(runs, count), count):
        if count % lanes == 0 and batch % (count // lanes) == 0:
            return make_mesh(lanes)
    return make_mesh(count)


def shard_chunk(engine: Engine, take: Take, mesh: Mesh) -> Chunk:
    """`make_chunk` for states with a leading axis of lanes, jitted, on a mesh.

    States lie `by_lane`, what is on the device `everywhere`, steps as `place_steps`
    puts them; the losses, (lanes, passes), come back everywhere. The states' buffers
    are given up to the result. The loss must be a sum over the batch's jets, each
    weighted by what it has in the whole batch.
    """
    shares = mesh.shape[DATA]

    def take_share(store: Any, entry: Steps) -> Any:
        # a share of a part is a part of its own, one of `shares` times as many
        part = entry.part * shares + jax.lax.axis_index(DATA)
        return take(store, Steps(entry.rows, part, entry.parts * shares))

    def update(state: TrainState, grads: Any) -> TrainState:
        return engine.update(state, jax.lax.psum(grads, DATA))

    chunk = each_lane(make_chunk(engine._replace(update=update), take_share))

    def of_device(states: TrainState, store: Any, steps: Steps) -> Any:
        states, losses = chunk(states, store, steps)
        losses = jax.lax.psum(losses, DATA)
        return states, jax.lax.all_gather(losses, LANE, tiled=True)

    lane, every = PartitionSpec(LANE), PartitionSpec()
    mapped = jax.shard_map(
        of_device,
        mesh=mesh,
        in_specs=(lane, every, _steps_specs()),
        out_specs=(lane, every),
        check_vma=False,  # foreign functions do not say along which axes they vary
    )
    return jax.jit(mapped, donate_argnums=0, compiler_options=compiler_options())


def place_steps(steps: Sequence[Steps], mesh: Mesh) -> Steps:
    """The steps of all lanes, each device's share of their rows on that device.

    The rows of a pass are those of the first share, then those of the second, and so
    on, in equal numbers. All lanes and shares make the same number of passes.

    Raises:
      ValueError: where the lanes do not spread evenly over the devices.
    """
    if len(steps) % mesh.shape[LANE]:
        raise ValueError(
            f"{len(steps)} lanes do not spread evenly over {mesh.shape[LANE]} devices: "
            f"take a multiple of {mesh.shape[LANE]}"
        )
    columns = [np.stack(column) for column in zip(*steps, strict=True)]
    shardings = [NamedSharding(mesh, spec) for spec in _steps_specs()]
    return Steps(*map(place, columns, shardings))


def _steps_specs() -> Any:
    lane: Any = PartitionSpec(LANE)
    rows: Any = PartitionSpec(LANE, None, DATA)
    return Steps(rows, lane, lane)


def by_lane(mesh: Mesh) -> NamedSharding:
    """The leading axis over the lanes' devices, the same along `data`."""
    return NamedSharding(mesh, PartitionSpec(LANE))


def everywhere(mesh: Mesh) -> NamedSharding:
    """The same on every device."""
    return NamedSharding(mesh, PartitionSpec())


def place(tree: Any, sharding: NamedSharding) -> Any:
    """Arrays that every process has in full, as global arrays on a mesh."""

    def put(leaf: Any) -> Array:
        return jax.make_array_from_callback(
            np.shape(leaf), sharding, lambda index: leaf[index]
        )

    return jax.tree.map(put, tree)
