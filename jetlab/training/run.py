"""A run's spec, and what turns it into a Record."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, NamedTuple

import jax
import numpy as np

from jetlab.data.features import INPUTS
from jetlab.models import flops
from jetlab.models.tagger import Tagger
from jetlab.records import Record, identity
from jetlab.training.chunk import make_chunk
from jetlab.training.evaluate import Scores, make_evaluate, summarise
from jetlab.training.feed import Feed, chunks
from jetlab.training.losses import cross_entropy
from jetlab.training.optimizer import Rates
from jetlab.training.step import Info, TrainState, make_engine


@dataclass(frozen=True, kw_only=True)
class Run:
    """One point of a grid: everything that decides its numbers.

    `source` is the identity of the jets, `pool` how many of its training jets the
    study may draw from: the run's `examples` are a random part of them. The defaults
    are those of arXiv:2602.15781, Section 2.
    """

    source: str
    inputs: str
    model: Tagger
    pool: int
    examples: int
    valid: int
    epochs: int = 1
    batch: int = 128
    learning_rate: float = 1e-4
    weight_decay: float = 1e-2
    seed: int = 0

    def __post_init__(self):
        if self.inputs not in INPUTS:
            raise ValueError(f"inputs {self.inputs!r}: choose from {', '.join(INPUTS)}")
        if self.examples % self.batch or not 0 < self.examples <= self.pool:
            raise ValueError(
                f"examples is {self.examples}: take a multiple of the batch "
                f"({self.batch}) up to the pool ({self.pool})"
            )

    @property
    def id(self) -> str:
        return identity(self)

    @property
    def shape(self) -> tuple[Tagger, str, int]:
        """Runs of equal shape share one compiled program."""
        return self.model, self.inputs, self.batch

    @property
    def steps(self) -> int:
        return self.examples * self.epochs // self.batch


class Trained(NamedTuple):
    """A run after its last step."""

    state: TrainState
    curve: Sequence[tuple[int, float]]  # (step, mean training loss since the last)


def execute(
    runs: Sequence[Run],
    feed: Feed,
    study: str,
    on_steps: Callable[[Run, int], None] = lambda run, steps: None,
) -> Iterator[Record]:
    """Train runs of one shape one after the other; a Record as each is finished.

    `on_steps` hears of each run's steps as they are taken.

    Raises:
      ValueError: for runs of different shapes.
    """
    if len({run.shape for run in runs}) > 1:
        raise ValueError("these runs differ in shape: group them by Run.shape")
    engine = make_engine(runs[0].model, cross_entropy)
    chunk, evaluate = make_chunk(engine), make_evaluate(engine)
    init = jax.jit(engine.init)
    labels = np.asarray(feed.valid.y)

    def train(run: Run) -> Trained:
        rates = Rates(run.learning_rate, run.weight_decay)
        state, curve, step = init(jax.random.key(run.seed), rates), [], 0
        for jets, rows, live in _batches(run, feed):
            state, info = chunk(state, jets, rows, live)
            taken = int(live)
            step += taken
            curve.append((step, _mean_loss(info, taken)))
            on_steps(run, taken)
        return Trained(state, curve)

    for run in runs:
        begin = time.perf_counter()
        try:
            trained = train(run)
            scores = summarise(evaluate(trained.state.params, feed.valid), labels)
        except jax.errors.JaxRuntimeError as error:  # out of memory, a lost device
            yield _record(run, feed, study, begin, status="failed", message=str(error))
        else:
            yield _record(run, feed, study, begin, **_outcome(trained, scores))


def cost(run: Run, n_p: float) -> float:
    """6 n_p N D epochs: the paper's FLOPs of a run (arXiv:2602.15781, Section 2)."""
    return flops.estimate(run.model, n_p) * run.examples * run.epochs


def _batches(run: Run, feed: Feed):
    return chunks(
        feed,
        run.inputs,
        pool=run.pool,
        examples=run.examples,
        epochs=run.epochs,
        batch=run.batch,
        seed=run.seed,
    )


def _mean_loss(info: Info, taken: int) -> float:
    return float(np.mean(np.asarray(info.loss)[:taken], dtype=np.float64))


def _outcome(trained: Trained, scores: Scores) -> dict[str, Any]:
    """The fields of a record that training decides."""
    curve = [(step, loss) for step, loss in trained.curve if np.isfinite(loss)]
    if not np.isfinite(scores.loss):
        message = "the validation loss is not finite"
        return {"status": "diverged", "message": message, "curve": curve}
    return {
        "status": "done",
        "loss": scores.loss,
        "loss_error": scores.error,
        "accuracy": scores.accuracy,
        "curve": curve,
    }


def _record(run: Run, feed: Feed, study: str, begin: float, **outcome: Any) -> Record:
    return Record(
        id=run.id,
        study=study,
        source=run.source,
        inputs=run.inputs,
        width=run.model.width,
        N=flops.parameters(run.model).total,
        D=run.examples,
        epochs=run.epochs,
        C=cost(run, feed.n_p),
        n_p=feed.n_p,
        seed=run.seed,
        batch=run.batch,
        learning_rate=run.learning_rate,
        weight_decay=run.weight_decay,
        classes=run.model.classes,
        valid=len(feed.valid.y),
        seconds=time.perf_counter() - begin,
        device=jax.devices()[0].device_kind,
        version=version("jetlab"),
        **outcome,
    )
