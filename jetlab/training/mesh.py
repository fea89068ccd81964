"""A mesh of devices: replicas spread over them, batches sharded among them.

A mesh has two axes. Along `replica` each device holds states of its own. Along `data`
the devices hold the same states, compute the gradients of their shards of every batch
and sum them. It is one program, whether one process has all devices or many have one
each: all processes make the same schedules and read the same losses.
"""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array

from jetlab.training.scan import (
    GatherFn,
    MicroBatches,
    Scan,
    compiler_options,
    each_replica,
    make_scan,
)
from jetlab.training.step import Engine, TrainState

REPLICA, DATA = "replica", "data"


def make_mesh(replicas: int = 1, data: int | None = None) -> Mesh:
    """All devices of all processes, `replicas` x `data` of them.

    Without `data` each replica gets its equal share of the devices.

    Raises:
      ValueError: where the two do not multiply to the number of devices.
    """
    count = jax.device_count()
    if data is None:
        data = max(1, count // max(1, replicas))
    if min(replicas, data) < 1 or replicas * data != count:
        raise ValueError(
            f"a mesh of {replicas} replicas x {data} data shards does not cover the"
            f" {count} devices: choose two numbers whose product is {count}"
        )
    # in the order of jax.devices(), so that meshes of any shape share arrays; explicit
    # axes, the default, make the backward pass raise (jax 0.10.2)
    devices = np.array(jax.devices()).reshape(replicas, data)
    return Mesh(devices, (REPLICA, DATA), axis_types=(AxisType.Auto,) * 2)


def mesh_for(runs: int, batch: int) -> Mesh:
    """The mesh for a number of runs: a device each while there are enough, and their
    batches sharded over the remaining devices where these divide a batch."""
    count = jax.device_count()
    for replicas in range(min(runs, count), count):
        if count % replicas == 0 and batch % (count // replicas) == 0:
            return make_mesh(replicas)
    return make_mesh(count)


def shard_scan(engine: Engine, gather: GatherFn, mesh: Mesh) -> Scan:
    """`make_scan` for states with a leading axis of replicas, jitted, on a mesh.

    States lie `by_replica`, the jets `replicated`, schedules as `put_schedules` puts
    them; the losses, (replicas, entries), come back replicated. The buffers of the
    states are donated. The loss must be a sum over the jets of a batch, each weighted
    by its weight in the whole batch.
    """
    num_shards = mesh.shape[DATA]

    def gather_shard(jets: Any, entry: MicroBatches) -> Any:
        # Each device treats its shard as one of count x num_shards micro-batches.
        index = entry.index * num_shards + jax.lax.axis_index(DATA)
        return gather(jets, MicroBatches(entry.rows, index, entry.count * num_shards))

    def update(state: TrainState, grads: Any) -> TrainState:
        return engine.update(state, jax.lax.psum(grads, DATA))

    scan = each_replica(make_scan(engine._replace(update=update), gather_shard))

    def of_device(states: TrainState, jets: Any, schedules: MicroBatches) -> Any:
        states, losses = scan(states, jets, schedules)
        losses = jax.lax.psum(losses, DATA)
        return states, jax.lax.all_gather(losses, REPLICA, tiled=True)

    by_device, everywhere = PartitionSpec(REPLICA), PartitionSpec()
    mapped = jax.shard_map(
        of_device,
        mesh=mesh,
        in_specs=(by_device, everywhere, _schedule_specs()),
        out_specs=(by_device, everywhere),
        check_vma=False,  # foreign functions do not say along which axes they vary
    )
    return jax.jit(mapped, donate_argnums=0, compiler_options=compiler_options())


def put_schedules(schedules: Sequence[MicroBatches], mesh: Mesh) -> MicroBatches:
    """The schedules of all replicas, each device's shard of their rows on that device.

    The rows of a micro-batch are those of the first shard, then those of the second,
    and so on, in equal numbers. All schedules have the same length.

    Raises:
      ValueError: where the replicas do not spread evenly over the devices.
    """
    if len(schedules) % mesh.shape[REPLICA]:
        raise ValueError(
            f"{len(schedules)} replicas do not spread evenly over"
            f" {mesh.shape[REPLICA]} devices: take a multiple of {mesh.shape[REPLICA]}"
        )
    columns = [np.stack(column) for column in zip(*schedules, strict=True)]
    shardings = [NamedSharding(mesh, spec) for spec in _schedule_specs()]
    return MicroBatches(*map(put_global, columns, shardings))


def _schedule_specs() -> Any:
    by_device: Any = PartitionSpec(REPLICA)
    rows: Any = PartitionSpec(REPLICA, None, DATA)
    return MicroBatches(rows, by_device, by_device)


def by_replica(mesh: Mesh) -> NamedSharding:
    """The leading axis over the replicas' devices, the same along `data`."""
    return NamedSharding(mesh, PartitionSpec(REPLICA))


def replicated(mesh: Mesh) -> NamedSharding:
    """The same on every device."""
    return NamedSharding(mesh, PartitionSpec())


def put_global(tree: Any, sharding: NamedSharding) -> Any:
    """Arrays that every process has in full, as global arrays on a mesh."""

    def put(leaf: Any) -> Array:
        return jax.make_array_from_callback(
            np.shape(leaf), sharding, lambda index: leaf[index]
        )

    return jax.tree.map(put, tree)
