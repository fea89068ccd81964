"""What every study of taggers asks of its jets: how many there are, and whether the
losses are known well enough."""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Bool, Float

from jetlab.data.features import resolve_inputs
from jetlab.models import scaling
from jetlab.records import MARGIN, Record, TableLike
from jetlab.runs.study import log_spaced
from jetlab.tasks.tagging import Tagging
from jetlab.training.run_config import RunConfig
from jetlab.types import Source

PAPER_RATE = 1e-4
"""The constant rate of arXiv:2602.15781, Section 2."""

PATIENCE = 12
"""Evaluations without a better loss that end a run: enough to see a rise."""


def runs_on(
    source: Source,
    inputs: str,
    *,
    batch: int,
    pool: int,
    num_valid: int,
    learning_rate: float | None,
) -> Callable[..., RunConfig]:
    """What makes a run of (width, examples, seed), or of several epochs with a
    patience, out of the first `pool` jets; a rate of None is the recipe's by width.

    About `num_valid` jets validate, as many of each class.

    Raises:
      ValueError: where a class holds out fewer than ten.
    """
    task, read = Tagging(), resolve_inputs(inputs)
    num_valid = _balanced(num_valid, source.held_out, len(source.classes))

    def run(
        width: int, num_train: int, seed: int, epochs: int = 1, patience: int = 0
    ) -> RunConfig:
        return RunConfig(
            source=source.identity,
            inputs=inputs,
            task=task,
            model=task.model(width, read, source),
            pool=pool,
            num_train=num_train,
            num_valid=num_valid,
            epochs=epochs,
            batch=batch,
            learning_rate=learning_rate or scaling.learning_rate(width),
            seed=seed,
            patience=patience,
        )

    return run


def repeatedly(once: Callable[..., RunConfig], seen: int) -> Callable[..., RunConfig]:
    """What makes a run of (width, examples, seed) that sees its examples again until
    its validation loss no longer falls, or it has seen so many jets."""

    def run(width: int, num_train: int, seed: int) -> RunConfig:
        passes = max(2, seen // num_train)
        return once(width, num_train, seed, epochs=passes, patience=PATIENCE)

    return run


def within(num_train: Sequence[int], size: int | None, batch: int) -> Sequence[int]:
    """Training sizes scaled down where the source has fewer jets, though to no fewer
    than 32 batches: shorter runs do not begin to learn.

    Raises:
      ValueError: for a source with too few jets for any grid.
    """
    if size is None or size >= max(num_train):
        return num_train
    if size < 2 * 32 * batch:
        raise ValueError(
            f"the source has {size} training jets; a grid needs {2 * 32 * batch}"
        )
    share = size // batch * batch / max(num_train)
    low = min(share * max(num_train), max(share * min(num_train), 32 * batch))
    return log_spaced(low, share * max(num_train), len(num_train), multiple=batch)


def _balanced(asked: int, held_out: int | None, classes: int) -> int:
    """Validation jets, as many of each class; at least ten, for an error."""
    count = asked if held_out is None else min(asked, held_out)
    if count < 10 * classes:
        raise ValueError(
            f"the source holds out {count // classes} validation jets of its rarest"
            f" class; ten of each of its {classes} classes are needed"
        )
    return count // classes * classes


def validity(records: Sequence[Record]) -> list[str]:
    """How the losses were measured, and how well."""
    done = [record for record in records if record.status == "done"]
    lost = [record for record in records if record.status != "done"]
    errors = [r.loss_error / r.loss for r in done if r.loss and r.loss_error]
    error = 100 * max(errors, default=np.nan)
    verdict = "under" if error < 0.5 else "NOT under"
    rates = sorted({record.learning_rate for record in records})
    chosen = (
        f"the paper's constant {rates[0]:g}"
        if rates == [PAPER_RATE]
        else f"constant, by width ({rates[0]:.2g} to {rates[-1]:.2g}; the paper's 1e-4"
        " hardly moves in runs this short)"
    )
    return [
        f"Validation: {records[0].num_valid} jets, the same for every run; the sampling"
        f" error is at most {error:.2f} % of the loss, {verdict} 0.5 %.",
        f"Learning rate: {chosen}.",
        *(f"Left out: N={r.N}, D={r.D}, seed {r.seed} ({r.status})." for r in lost),
    ]


def begun(
    loss: Float[np.ndarray, "n"], chance_loss: float | Float[np.ndarray, "n"]
) -> Bool[np.ndarray, "n"]:
    """Whether each loss, in nats, beats guessing by 5 %.

    Laws grow without limit towards small N and D, where a tagger that has not begun to
    learn stays at the chance loss: such runs are not on them.
    """
    return np.asarray(loss < (1 - MARGIN) * chance_loss)


def unlearned(idle: TableLike) -> list[str]:
    """Names of the runs that `Table.learned` leaves out."""
    cells = zip(idle["N"], idle["D"], strict=True)
    named = ", ".join(f"(N={N}, D={D})" for N, D in cells)
    words = "had hardly begun to learn (loss within 5 % of guessing) and are not fitted"
    return [f"{len(idle['L'])} runs {words}: {named}."] if named else []
