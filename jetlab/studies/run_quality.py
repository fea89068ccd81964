"""Which runs of a study are fitted, and how well their losses are known."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

from jetlab.records import MARGIN, Record, TableLike
from jetlab.runs.grid import PAPER_RATE


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
