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
from jetlab.models.tagger import Tagger
from jetlab.training.batching import (
    Packing,
    Particles,
    Planned,
    flatten,
    measure,
    plan,
    take,
)
from jetlab.training.losses import cross_entropy
from jetlab.training.mesh import everywhere, make_mesh, place
from jetlab.training.optimizer import Rates
from jetlab.training.probe import feed_forward
from jetlab.training.replicas import Lanes, choose
from jetlab.training.scan import STEPS, Steps, compiler_options
from jetlab.training.step import TrainState, make_engine
from jetlab.types import FlatJets

RATES = Rates(LEARNING_RATE, WEIGHT_DECAY)
WAITING = 64  # runs, for choosing how many to train at once


def batches_a_call(width: int) -> int:
    """So many that a call takes about a second. A CPU skips the rest of a chunk; an
    accelerator would compute it in vain."""
    if jax.default_backend() != "cpu":
        return STEPS
    return min(STEPS, max(2, 800 // width))


def packing_of(jets: FlatJets, inputs: str = "full-128") -> Packing:
    """The packing that a run over these jets has."""
    return measure(np.asarray(jets.counts), BATCH, INPUTS[inputs].particles)


def planned(jets: FlatJets, packing: Packing, batches: int) -> Planned:
    """A chunk of batches in the order of the jets, over and over."""
    counts = np.asarray(jets.counts)
    rows = np.arange(batches * packing.batch) % len(counts)
    return plan(rows.reshape(batches, -1), counts, packing, STEPS)


def entries_of(work: Planned) -> list[Steps]:
    """The passes of whole batches, one by one on the device."""
    entries = (Steps(*entry) for entry in zip(*work.steps, strict=True))
    return [jax.device_put(entry) for entry in entries if entry.parts == 1]


def engine_contender(
    model: Tagger,
    jets: FlatJets,
    packing: Packing,
    *,
    lanes: int = 1,
    compute: DTypeLike = jnp.float32,
) -> Contender:
    """Chunks of steps over jets on the device, of so many runs at once; the time of a
    step is that of one run."""
    engine = make_engine(model, cross_entropy, compute)
    mesh = make_mesh(1, 1)  # one device, as the baselines
    places = Lanes(engine, partial(take, packing), mesh, lanes, stops=False)
    for lane in range(lanes):
        places.start(lane, jax.random.key(lane), RATES)
    store = place(flatten(*jets), everywhere(mesh))
    work = planned(jets, packing, batches_a_call(model.width))

    def run() -> int:
        losses = places.advance(store, [work.steps] * lanes)
        jax.block_until_ready((losses, places.state))
        return work.batches * lanes

    return run


def chosen_lanes(width: int, packing: Packing) -> int:
    """How many lanes the engine takes on this device when `WAITING` runs wait."""
    return choose(partial(feed_forward, width, packing.rows), WAITING)


class Loop(NamedTuple):
    """A step that gathers its batch, and what to call it with."""

    step: Any
    state: TrainState
    store: Particles
    entries: list[Steps]


def loop(
    model: Tagger,
    jets: FlatJets,
    packing: Packing,
    *,
    compute: DTypeLike = jnp.float32,
) -> Loop:
    """One step of the engine under `jit`, without its scan over many."""
    engine = make_engine(model, cross_entropy, compute)

    @partial(jax.jit, donate_argnums=0, compiler_options=compiler_options())
    def step(state: TrainState, store: Particles, entry: Steps) -> TrainState:
        return engine.step(state, take(packing, store, entry))[0]

    state = jax.jit(engine.init)(jax.random.key(0), RATES)
    entries = entries_of(planned(jets, packing, batches_a_call(model.width)))
    return Loop(step, state, jax.device_put(flatten(*jets)), entries)


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
