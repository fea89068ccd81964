"""Repeated data in a study's records: verdicts, the envelope, what repetition costs.

The terms of arXiv:2602.15781, Section 3.2: `U` are the unique jets of a run, `D` the
jets it had seen when its validation loss was lowest, `C` the compute up to there.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from jetlab.laws.allocation import optima
from jetlab.laws.overfitting import classify_curve
from jetlab.laws.plan import check_law, params_and_draws
from jetlab.laws.result import FitResult, percentiles
from jetlab.records import Record, TableLike
from jetlab.studies.run_quality import begun


@dataclass(frozen=True, kw_only=True)
class Repeats:
    """Runs of several passes at their lowest validation loss: columns N, U, D, C, L and
    epoch, whether each had begun to learn, whether it ended because its loss no longer
    fell (and not with the last pass allowed), and what its validation curve says."""

    rows: TableLike
    begun: Bool[np.ndarray, "n"]
    stopped: Bool[np.ndarray, "n"]
    verdicts: tuple[str, ...]
    curves: tuple[Sequence[tuple[int, float]], ...]


def repeats(records: Sequence[Record]) -> Repeats:
    """The finished runs that stop early, in the order of the records."""
    kept = [r for r in records if r.status == "done" and r.patience]
    seen = np.array([r.steps * r.batch for r in kept], float)
    unique = np.array([r.D for r in kept], float)
    N = np.array([r.N for r in kept], float)
    n_p = np.array([r.n_p for r in kept])
    rows = {
        "N": N,
        "U": unique,
        "D": seen,
        "C": 6 * n_p * N * seen,
        "epoch": seen / unique,
        "L": np.array([r.loss for r in kept], float),
    }
    said = tuple(
        classify_curve(np.array([loss for _, loss in r.valid_curve])) for r in kept
    )
    return Repeats(
        rows=rows,
        begun=begun(rows["L"], np.array([r.chance_loss for r in kept])),
        stopped=np.array([_stopped(r) for r in kept], bool),
        verdicts=said,
        curves=tuple(r.valid_curve for r in kept),
    )


def _stopped(record: Record) -> bool:
    losses = [loss for _, loss in record.valid_curve]
    return bool(losses) and len(losses) - 1 - int(np.argmin(losses)) >= record.patience


def envelope(found: Repeats) -> TableLike:
    """The lowest loss at each U among runs that overfit, which by then have got out of
    their jets what there is; no row for a U at which none does, or none had begun to
    learn. `spread` is the highest loss over the lowest among them."""
    over = np.array([said == "overfits" for said in found.verdicts], bool) & found.begun
    L, best, spread = found.rows["L"], [], []
    for unique in np.unique(found.rows["U"]):
        own = np.flatnonzero(over & (found.rows["U"] == unique))
        if own.size:
            best.append(own[np.argmin(L[own])])
            spread.append(L[own].max() / L[own].min())
    rows = {name: column[best] for name, column in found.rows.items()}
    return rows | {"spread": np.array(spread)}


def compute_factor(
    law: FitResult, rows: TableLike, n_p: float
) -> tuple[float, tuple[float, float] | None]:
    """How many times the compute of the best single pass these rows took to reach their
    losses (geometric mean), and its 68 % interval.

    The best single pass reaches L_inf + K C^-gamma, so C*(L) = (K / (L - L_inf))^(1 /
    gamma). The interval is over the draws of `law` and rows drawn anew. Rows below a
    draw's L_inf have no such compute; draws of which a row has none are left out.

    Raises:
      ValueError: for a law that divides no budget, or whose floor lies above a row.
    """
    check_law(law)
    params = params_and_draws(law)
    log_nd = float(np.mean(np.log(rows["C"] / (6 * n_p))))
    best = optima(law.form, params, log_nd)
    reducible = rows["L"] - params["L_inf"][:, None]
    with np.errstate(invalid="ignore"):
        steps = np.log((best["loss"] - params["L_inf"])[:, None] / reducible)
    log_c = log_nd + np.log(6 * n_p) + steps / best["gamma"][:, None]
    logs = np.log(rows["C"]) - log_c
    if not np.isfinite(logs[0]).all():
        raise ValueError("the law's floor lies above a row: no single pass gets there")
    value = float(np.exp(logs[0].mean()))
    draws = logs[1:][np.isfinite(logs[1:]).all(axis=1)]
    if not len(draws):
        return value, None
    low, high = percentiles(_resampled(draws))
    return value, (float(np.exp(low)), float(np.exp(high)))


def _resampled(draws: Float[np.ndarray, "m n"]) -> Float[np.ndarray, "m"]:
    """The mean of each draw over its rows drawn anew."""
    rng = np.random.default_rng(0)
    chosen = rng.integers(0, draws.shape[1], draws.shape)
    return np.take_along_axis(draws, chosen, axis=1).mean(axis=1)
