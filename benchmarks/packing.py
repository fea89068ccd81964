"""How full packed batches are, and what that is worth against padding.

    python benchmarks/packing.py --quick

By input configuration, for random batches of 128 jets of the shower: the share of the
computed tokens and of the computed pairs of tokens that are real, the share of batches
that do not fit the static shape and are cut in parts, and how much faster the gradient
of the same tagger is than on padded jets. `native` is the ragged kernel of CPUs,
`grouped` the attention over groups of jets of similar length. Times are of the process
(of all its cores) on a CPU, by the clock elsewhere.
"""

import argparse
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float
from tqdm import tqdm

from benchmarks.baselines import BATCH, PaddedJets, padded_batches, shower_jets
from benchmarks.engine import RATES, entries_of, planned
from benchmarks.timing import Contender, lined_up, race
from jetlab.data.features import INPUTS
from jetlab.models import cpu_attention, scaling
from jetlab.models.tagger import Tagger
from jetlab.tasks.tagging import Tagging
from jetlab.training.batching import (
    Packing,
    choose_packing,
    gather_batch,
    schedule,
    token_utilisation,
    with_offsets,
)
from jetlab.training.scan import compiler_options
from jetlab.training.step import make_engine
from jetlab.types import FlatJets

POOL, BATCHES, DRAWN = (
    128,
    4,
    5000,
)  # batches: of the pool, on the clock, for the shares
QUICK = ("full-40", "full-128")
FORMS = {"native": False, "grouped": True}


class Shares(NamedTuple):
    """What of a packed batch is real, and how many are cut."""

    tokens: float
    pairs: float
    cut: float


def shares(packing: Packing, jets: FlatJets) -> Shares:
    counts = np.asarray(jets.counts)
    drawn = np.random.default_rng(1).integers(0, len(counts), (DRAWN, BATCH))
    cut = schedule(drawn, counts, packing, 2 * DRAWN).cut / DRAWN
    real = BATCH * float(np.mean((counts + 1.0) ** 2))
    grouped = sum(many * (longest + 1) ** 2 for many, longest in packing.groups)
    return Shares(token_utilisation(packing, counts), real / (grouped or real), cut)


def padded_shares(jets: FlatJets, particles: int) -> Shares:
    tokens = np.asarray(jets.counts) + 1.0
    most = particles + 1
    return Shares(tokens.mean() / most, (tokens**2).mean() / most**2, 0.0)


def padded_loss(tagger: Any, jets: PaddedJets, rngs: Any) -> Float[Array, ""]:
    logits = tagger(jets.x, jets.mask, rngs=rngs)
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, jets.y)
    return jnp.mean(losses)


def gradients(model: Tagger, loss: Any, read: Any, batches: Sequence[Any]) -> Contender:
    """Gradients of batches that `read` makes of what lies on the device."""
    engine = make_engine(model, loss)
    state = jax.jit(engine.init)(jax.random.key(0), RATES)

    @partial(jax.jit, compiler_options=compiler_options())
    def gradient(state: Any, batch: Any) -> Any:
        return engine.gradient(state, read(batch))

    def run() -> int:
        jax.block_until_ready([gradient(state, batch) for batch in batches])
        return len(batches)

    return run


def packed(model: Tagger, jets: FlatJets, packing: Packing) -> Contender:
    store = jax.device_put(with_offsets(*jets))
    entries = entries_of(planned(jets, packing, BATCHES))
    batches = [(store, entry) for entry in entries]
    return gradients(
        model, Tagging().loss, lambda b: gather_batch(packing, *b), batches
    )


def rows(inputs: str, width: int, repeats: int) -> Iterator[list[str]]:
    """A line for each form of one configuration."""
    chosen, jets = INPUTS[inputs], shower_jets(POOL, inputs)
    model = scaling.tagger(width, features=len(chosen.features))
    counts = np.asarray(jets.counts)
    batches = jax.device_put(padded_batches(jets, inputs)[:BATCHES])
    racing = {"padded": gradients(model, padded_loss, lambda batch: batch, batches)}
    found = {"padded": padded_shares(jets, chosen.particles)}
    for form, grouped in FORMS.items():
        if grouped or cpu_attention.available():
            packing = choose_packing(counts, BATCH, chosen.particles, grouped=grouped)
            racing[form] = packed(model, jets, packing)
            found[form] = shares(packing, jets)
    times = race(racing, repeats, seconds=0.5)
    for form, share in found.items():
        faster = times["padded"].fair / times[form].fair
        full = [f"{share.tokens:.1%}", f"{share.pairs:.1%}", f"{share.cut:.2%}"]
        yield [inputs, form, *full, f"{1e3 * times[form].fair:.1f}", f"{faster:.2f}"]


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer inputs, rounds")
    parser.add_argument("--width", type=int, default=16, metavar="D")
    args = parser.parse_args(argv)
    repeats, table = 3 if args.quick else 7, []
    for inputs in tqdm(QUICK if args.quick else INPUTS, "inputs", disable=None):
        table += rows(inputs, args.width, repeats)
    full = ["tokens", "pairs", "batches cut"]
    headers = ["inputs", "form", *full, "ms a gradient", "over padding"]
    print(f"width {args.width}, on {jax.default_backend()}")
    print(lined_up(table, headers))


if __name__ == "__main__":
    main()
