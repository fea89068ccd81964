"""Runs that repeat their jets: their lowest losses, the envelope, and the compute it
takes.

The terms of arXiv:2602.15781, Section 3.2: U are the unique jets of a run, D the jets
it had seen when its validation loss was lowest, C the compute up to there.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from jetlab.laws import forms
from jetlab.laws.evidence.diagnostics import backtest
from jetlab.laws.evidence.intervals import percentiles
from jetlab.laws.fit import fit
from jetlab.laws.overfitting import classify_curve
from jetlab.laws.plans.allocation import optima
from jetlab.laws.plans.plan import check_law
from jetlab.laws.plans.plan_certainty import params_and_draws
from jetlab.laws.result import FitResult
from jetlab.laws.terms import Form
from jetlab.onset import beats_chance
from jetlab.records import Record, Table
from jetlab.runs.report import TextTable
from jetlab.studies.joint_law import fit_law, median_residual

ARM = "repeated"
MIN_DATA_SETS = 3  # for Eq. 4
SMALLEST_FLOOR = 1e-9  # nats: fits to repeated runs have no L_inf below it


def finished(records: Sequence[Record]) -> list[Record]:
    """The finished runs of the arm "repeated"."""
    return [r for r in records if r.status == "done" and r.arm == ARM]


def repeated_runs(records: Sequence[Record]) -> Table:
    """The finished repeated runs at their lowest validation loss, in the order of the
    records.

    Columns: N, U, D, C, L, `epochs` to that loss, `learned`, `stopped` (whether
    patience ended the run, and not the last epoch allowed), and `curve`, the class of
    the validation curve.
    """
    kept = finished(records)
    table = Table.of_records(kept)
    N, U, D = (table[name].astype(float) for name in ("N", "D", "seen"))
    return Table(
        N=N,
        U=U,
        D=D,
        C=6 * table["n_p"] * N * D,
        L=table["L"],
        epochs=D / U,
        learned=beats_chance(table["L"], table["chance_loss"]),
        stopped=np.array([_stopped(record) for record in kept], bool),
        curve=np.array([_curve_class(record) for record in kept], str),
    )


def _curve_class(record: Record) -> str:
    return classify_curve(np.array([loss for _, loss in record.valid_curve]))


def _stopped(record: Record) -> bool:
    losses = [loss for _, loss in record.valid_curve]
    return bool(losses) and len(losses) - 1 - int(np.argmin(losses)) >= record.patience


def envelope(runs: Table) -> Table:
    """The run of the lowest loss at each U, of the runs that overfit and have learned:
    more epochs or parameters would not lower it. `spread` is the highest over the
    lowest loss of these runs."""
    over = runs.where(curve="overfits", learned=True)
    if not over.rows:
        return over | {"spread": np.zeros(0)}
    lowest = over.best(by="U")
    lowest = lowest.take(np.argsort(lowest["U"]))
    highest = [over.where(U=U)["L"].max() for U in lowest["U"]]
    return lowest | {"spread": highest / lowest["L"]}


def fit_envelope(lowest: Table, law: FitResult) -> FitResult | None:
    """Eq. 4 through the envelope with the floor of the single passes' `law`; None for
    fewer than three data sets, or without either law."""
    if lowest.rows < MIN_DATA_SETS or not np.isfinite(law.objective):
        return None
    floor = max(law.params["L_inf"], SMALLEST_FLOOR)
    table = {"D": lowest["U"], "L": lowest["L"]}
    eq4 = fit_law(forms.repeated, table, {"L_inf": floor})
    return eq4 if np.isfinite(eq4.objective) else None


def compute_factor(
    law: FitResult, rows: Table
) -> tuple[float, tuple[float, float] | None]:
    """The compute of rows (columns C, L) over that of the best single pass of equal
    loss: geometric mean, and 68 % interval over draws of the law and resampled rows.

    The best single pass reaches L_inf + K C^-gamma, so C*(L) = (K / (L - L_inf))^(1 /
    gamma). Draws with an L_inf above a row are left out.

    Raises:
      ValueError: for a law without an optimum, or with its floor above a row.
    """
    check_law(law)
    params = params_and_draws(law)
    log_nd = float(np.mean(np.log(rows["C"] / (6 * law.particles))))
    best = optima(law.form, params, log_nd)
    reducible = rows["L"] - params["L_inf"][:, None]
    with np.errstate(invalid="ignore"):
        steps = np.log((best["loss"] - params["L_inf"])[:, None] / reducible)
    log_c = log_nd + np.log(6 * law.particles) + steps / best["gamma"][:, None]
    logs = np.log(rows["C"]) - log_c
    if not np.isfinite(logs[0]).all():
        raise ValueError(
            f"L_inf = {law.params['L_inf']:.4g} lies above the loss of a repeated run,"
            " which no single pass reaches"
        )
    value = float(np.exp(logs[0].mean()))
    draws = logs[1:][np.isfinite(logs[1:]).all(axis=1)]
    if not len(draws):
        return value, None
    low, high = percentiles(_resampled_means(draws))
    return value, (float(np.exp(low)), float(np.exp(high)))


def _resampled_means(draws: Float[np.ndarray, "m n"]) -> Float[np.ndarray, "m"]:
    """The mean of each draw over its rows, resampled."""
    rng = np.random.default_rng(0)
    chosen = rng.integers(0, draws.shape[1], draws.shape)
    return np.take_along_axis(draws, chosen, axis=1).mean(axis=1)


def backtests(runs: Table, single: Table) -> TextTable:
    """Muennighoff's law and its limit in the paper, fitted to repeated runs at their
    lowest loss and single passes: how well the fit to the smaller data sets predicts
    the largest."""
    repeated = runs.where(learned=True)
    once = {"N": single["N"], "D": single["D"], "U": single["D"], "L": single["L"]}
    rows = {
        name: np.concatenate([repeated[name], np.asarray(column, float)])
        for name, column in once.items()
    }
    headers = [
        "law", "source", "rows", "median residual", "error at the largest U",
        "reliable",
    ]  # fmt: skip
    lines = [_backtest(form, rows) for form in (forms.repetition, forms.amplified)]
    return TextTable(headers, lines)


def _backtest(form: Form, rows: Mapping[str, np.ndarray]) -> list[str]:
    law, source = fit(form, rows), form.source[:16]
    if not np.isfinite(law.objective):
        return [form.name, source, str(law.rows), "", "", law.message]
    errors = [f"{100 * forecast.spread:.2f} %" for forecast in backtest(law, "U")]
    last = errors[-1] if errors else ""
    residual, reliable = median_residual(law), "yes" if law.reliable else "no"
    return [form.name, source, str(law.rows), residual, last, reliable]
