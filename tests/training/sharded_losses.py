"""Losses of the same eight runs on meshes of devices, as JSON; run by test_sharded.

    python sharded_losses.py '{"devices": 8, "cases": {"name": [replicas, data, kind]}}'

Kinds are "whole", "overflow" (batches that exceed the static shape) and "accelerator"
(the program of a GPU). A case without devices is single runs on one device.
"""

import json
import os
import sys
from dataclasses import replace
from functools import partial
from unittest import mock

REQUEST = json.loads(sys.argv[1])
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["NPROC"] = "32"  # more threads than devices, which wait for one another
os.environ["XLA_FLAGS"] = (
    f"--xla_force_host_platform_device_count={REQUEST['devices']}"
    " --xla_backend_optimization_level=0"  # compiles in a third of the time
)

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
import optax  # noqa: E402

from jetlab.models import cpu_attention  # noqa: E402
from jetlab.models.tagger import Tagger  # noqa: E402
from jetlab.tasks.tagging import Tagging  # noqa: E402
from jetlab.training import mesh  # noqa: E402
from jetlab.training.batching import (  # noqa: E402
    choose_packing,
    gather_batch,
    schedule,
    with_offsets,
)
from jetlab.training.optimizer import Hyperparams  # noqa: E402
from jetlab.training.scan import make_scan  # noqa: E402
from jetlab.training.step import make_engine  # noqa: E402

REPLICAS, JETS, BATCH, PARTICLES = 8, 200, 16, 10
BATCHES, ENTRIES, SCANS = 4, 9, 2  # an idle entry if each batch has two micro-batches

rng = np.random.default_rng(0)
counts = rng.integers(1, PARTICLES + 1, JETS).astype(np.int32)
x = rng.normal(size=(counts.sum(), 21)).astype(np.float32)
jets = with_offsets(x, counts, rng.integers(0, 10, JETS).astype(np.int32))
rows = rng.integers(0, JETS, (SCANS, REPLICAS, BATCHES, BATCH))
engine = make_engine(Tagger(width=4, layers=2, dropout=0.2), Tagging().loss)
init = jax.jit(engine.init)


def begin() -> list:
    rates = np.geomspace(1e-4, 1e-3, REPLICAS)  # low: steps amplify rounding
    return [
        init(jax.random.key(replica), Hyperparams(r)) for replica, r in enumerate(rates)
    ]


@jax.jit
def stack(states: list):
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)


def packing_of(num_shards: int, kind: str):
    grouped = kind == "accelerator" or not cpu_attention.available()
    packing = choose_packing(
        counts, BATCH, PARTICLES, grouped=grouped, num_shards=num_shards
    )
    if kind != "overflow":
        return packing
    # the mean size of a shard, so that some batches overflow
    rows = -(-round(BATCH // num_shards * counts.mean()) // 8) * 8
    return replace(packing, rows=rows)


def steps_of(number: int, packing):
    planned = [schedule(replica, counts, packing, ENTRIES) for replica in rows[number]]
    assert all(one.batches == BATCHES for one in planned)
    return [one.steps for one in planned], sum(one.cut for one in planned)


def by_batch(losses, steps) -> list[list[float]]:
    """Sums over the micro-batches of each batch."""
    totals = np.zeros((REPLICAS, BATCHES))
    for total, replica, entry in zip(totals, np.asarray(losses), steps, strict=True):
        batch = np.cumsum(entry.index == 0)[entry.count > 0] - 1
        np.add.at(total, batch, replica[entry.count > 0])
        assert np.all(replica[entry.count == 0] == 0)
    return totals.tolist()


def report(losses, states, cut: int, sharding=None) -> dict:
    """Losses by scan, replica and batch, and the norm of AdamW's second moments of
    each replica: its steps do not depend on the scale of the gradients."""
    squares = optax.tree.get(states.opt_state, "nu")
    norms = jax.jit(jax.vmap(optax.tree.norm), out_shardings=sharding)(squares)
    norms = np.asarray(norms).tolist()
    batches = SCANS * REPLICAS * BATCHES
    return {"losses": losses, "squares": norms, "cut": cut, "batches": batches}


def alone() -> dict:
    packing = packing_of(1, "whole")
    scan = jax.jit(make_scan(engine, partial(gather_batch, packing)))
    states, losses = begin(), []
    for number in range(SCANS):
        steps, _ = steps_of(number, packing)
        finished = [scan(s, jets, e) for s, e in zip(states, steps, strict=True)]
        states = [state for state, _ in finished]
        losses.append(by_batch([values for _, values in finished], steps))
    return report(losses, stack(states), 0)


def on_mesh(replicas: int, data: int, kind: str) -> dict:
    here = mesh.make_mesh(replicas, data)
    packing = packing_of(data, kind)
    states = mesh.put_global(stack(begin()), mesh.by_replica(here))
    store = mesh.put_global(jets, mesh.replicated(here))
    scan = mesh.shard_scan(engine, partial(gather_batch, packing), here)
    losses, cut = [], 0
    for number in range(SCANS):
        steps, overflows = steps_of(number, packing)
        states, values = scan(states, store, mesh.put_schedules(steps, here))
        losses.append(by_batch(values, steps))
        cut += overflows
    return report(losses, states, cut, mesh.replicated(here))


def run(replicas: int, data: int, kind: str) -> dict:
    if not replicas:
        return alone()
    backend = "gpu" if kind == "accelerator" else "cpu"
    with mock.patch("jax.default_backend", return_value=backend):
        return on_mesh(replicas, data, kind)


if __name__ == "__main__":
    if "port" in REQUEST:
        jax.distributed.initialize(
            f"localhost:{REQUEST['port']}",
            num_processes=2,
            process_id=REQUEST["process"],
        )
    print(json.dumps({name: run(*case) for name, case in REQUEST["cases"].items()}))
