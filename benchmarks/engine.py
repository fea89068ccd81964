"""The engine as a contender: what `jetlab run` does with the runs of a shape."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from benchmarks.baselines import BATCH, LEARNING_RATE, WEIGHT_DECAY
from benchmarks.timing import Contender
from jetlab.data.features import INPUTS
from jetlab.models import cpu_attention
from jetlab.models.tagger import Tagger
from jetlab.tasks.tagging import Tagging
from jetlab.training.batching import (
    DeviceJets,
    Packing,
    Schedule,
    choose_packing,
    gather_batch,
    schedule,
    with_offsets,
)
from jetlab.training.mesh import make_mesh, put_global, replicated
from jetlab.training.optimizer import Hyperparams
from jetlab.training.replicas import Replicas
from jetlab.training.scan import SCAN_LENGTH, MicroBatches, compiler_options
from jetlab.training.step import TrainState, make_engine
from jetlab.training.tune_replicas import feed_forward_probe, tune_replicas
from jetlab.types import FlatJets

RATES = Hyperparams(LEARNING_RATE, WEIGHT_DECAY)
WAITING = 64  # runs, for choosing how many to train at once


def batches_a_call(width: int) -> int:
    """So many that a call takes about a second. A CPU skips the rest of a chunk; an
    accelerator would compute it in vain."""
    if jax.default_backend() != "cpu":
        return SCAN_LENGTH
    return min(SCAN_LENGTH, max(2, 800 // width))


def packing_of(jets: FlatJets, inputs: str = "full-128") -> Packing:
    """The packing that a run over these jets has."""
    return choose_packing(
        np.asarray(jets.counts),
        BATCH,
        INPUTS[inputs].particles,
        grouped=not cpu_attention.available(),
    )


def planned(jets: FlatJets, packing: Packing, batches: int) -> Schedule:
    """A chunk of batches in the order of the jets, over and over."""
    counts = np.asarray(jets.counts)
    rows = np.arange(batches * packing.batch) % len(counts)
    return schedule(rows.reshape(batches, -1), counts, packing, SCAN_LENGTH)


def entries_of(work: Schedule) -> list[MicroBatches]:
    """The passes of whole batches, one by one on the device."""
    entries = (MicroBatches(*entry) for entry in zip(*work.steps, strict=True))
    return [jax.device_put(entry) for entry in entries if entry.count == 1]


def engine_contender(
    model: Tagger,
    jets: FlatJets,
    packing: Packing,
    *,
    lanes: int = 1,
    compute: DTypeLike = jnp.float32,
) -> Contender:
    """Chunks of steps over jets on the device, of `lanes` runs at once; the time of a
    step is that of one run."""
    engine = make_engine(model, Tagging().loss, compute)
    mesh = make_mesh(1, 1)  # one device, as the baselines
    places = Replicas(engine, partial(gather_batch, packing), mesh, lanes, stops=False)
    for lane in range(lanes):
        places.start(lane, jax.random.key(lane), RATES)
    store = put_global(with_offsets(*jets), replicated(mesh))
    work = planned(jets, packing, batches_a_call(model.width))

    def run() -> int:
        losses = places.advance(store, [work.steps] * lanes)
        jax.block_until_ready((losses, places.state))
        return work.batches * lanes

    return run


def chosen_lanes(width: int, packing: Packing) -> int:
    """How many lanes the engine takes on this device when `WAITING` runs wait."""
    return tune_replicas(partial(feed_forward_probe, width, packing.rows), WAITING)


class Loop(NamedTuple):
    """A step that gathers its batch, and what to call it with."""

    step: Any
    state: TrainState
    store: DeviceJets
    entries: list[MicroBatches]


def loop(
    model: Tagger,
    jets: FlatJets,
    packing: Packing,
    *,
    compute: DTypeLike = jnp.float32,
) -> Loop:
    """One step of the engine under `jit`, without its scan over many."""
    engine = make_engine(model, Tagging().loss, compute)

    @partial(jax.jit, donate_argnums=0, compiler_options=compiler_options())
    def step(state: TrainState, store: DeviceJets, entry: MicroBatches) -> TrainState:
        return engine.step(state, gather_batch(packing, store, entry))[0]

    state = jax.jit(engine.init)(jax.random.key(0), RATES)
    entries = entries_of(planned(jets, packing, batches_a_call(model.width)))
    return Loop(step, state, jax.device_put(with_offsets(*jets)), entries)


def loop_contender(model: Tagger, jets: FlatJets, packing: Packing) -> Contender:
    """The same batches in a Python loop over a jitted step."""
    step, state, store, entries = loop(model, jets, packing)

    def run() -> int:
        nonlocal state
        for entry in entries:
            state = step(state, store, entry)
        jax.block_until_ready(state)
        return len(entries)

    return run
