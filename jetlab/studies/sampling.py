"""What every study of taggers asks of its jets: how many there are, and whether the
losses are known well enough."""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from jetlab.data.features import INPUTS
from jetlab.models import recipe
from jetlab.records import Record, Table
from jetlab.studies.study import log_spaced
from jetlab.training.run import Run
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
    valid: int,
    learning_rate: float | None,
) -> Callable[..., Run]:
    """What makes a run of (width, examples, seed), or of several epochs with a
    patience, out of the first `pool` jets; a rate of None is the recipe's by width.

    About `valid` jets validate, as many of each class.

    Raises:
      ValueError: where a class holds out fewer than ten.
    """
    classes, features = len(source.classes), len(INPUTS[inputs].features)
    valid = _balanced(valid, source.held_out, classes)

    def run(
        width: int, examples: int, seed: int, epochs: int = 1, patience: int = 0
    ) -> Run:
        return Run(
            source=source.identity,
            inputs=inputs,
            model=recipe.tagger(width, features=features, classes=classes),
            pool=pool,
            examples=examples,
            valid=valid,
            epochs=epochs,
            batch=batch,
            learning_rate=learning_rate or recipe.learning_rate(width),
            seed=seed,
            patience=patience,
        )

    return run


def repeatedly(once: Callable[..., Run], seen: int) -> Callable[..., Run]:
    """What makes a run of (width, examples, seed) that sees its examples again until
    its validation loss no longer falls, or it has seen so many jets."""

    def run(width: int, examples: int, seed: int) -> Run:
        passes = max(2, seen // examples)
        return once(width, examples, seed, epochs=passes, patience=PATIENCE)

    return run


def within(examples: Sequence[int], size: int | None, batch: int) -> Sequence[int]:
    """Training sizes scaled down where the source has fewer jets, though to no fewer
    than 32 batches: shorter runs do not begin to learn.

    Raises:
      ValueError: for a source with too few jets for any grid.
    """
    if size is None or size >= max(examples):
        return examples
    if size < 2 * 32 * batch:
        raise ValueError(
            f"the source has {size} training jets; a grid needs {2 * 32 * batch}"
        )
    share = size // batch * batch / max(examples)
    low = min(share * max(examples), max(share * min(examples), 32 * batch))
    return log_spaced(low, share * max(examples), len(examples), multiple=batch)


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
        f"Validation: {records[0].valid} jets, the same for every run; the sampling"
        f" error is at most {error:.2f} % of the loss, {verdict} 0.5 %.",
        f"Learning rate: {chosen}.",
        *(f"Left out: N={r.N}, D={r.D}, seed {r.seed} ({r.status})." for r in lost),
    ]


def begun(
    loss: Float[np.ndarray, "n"], classes: int | Int[np.ndarray, "n"]
) -> Bool[np.ndarray, "n"]:
    """Whether each loss, in nats, beats guessing by 5 %.

    Laws grow without limit towards small N and D, where a tagger that has not begun to
    learn stays at ln(classes): such runs are not on them.
    """
    return np.asarray(loss < 0.95 * np.log(classes))


def unlearned(idle: Table) -> list[str]:
    """Names of the runs that `joint_law.learned` set apart."""
    cells = zip(idle["N"], idle["D"], strict=True)
    named = ", ".join(f"(N={N}, D={D})" for N, D in cells)
    words = "had hardly begun to learn (loss within 5 % of guessing) and are not fitted"
    return [f"{len(idle['L'])} runs {words}: {named}."] if named else []
