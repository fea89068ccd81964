"""Compute-optimal scaling of jet tagging (arXiv:2602.15781, Section 3.1).

Fits L_inf + A/N^alpha + B/D^beta to taggers trained for one pass over D jets, and
solves for the N and D that a compute budget should buy: Fig. 1a, Fig. 1b, Table 1.

    jetlab run experiments/compute_optimal.py --size laptop --out runs/laptop
    jetlab run experiments/compute_optimal.py --size laptop --source DIR --out runs/mine

Cost: `SIZES` below; the command prints FLOPs before it starts, LOG.md has times.
Numbers to reach at `paper` size on JetClass: L_inf 0.32, alpha 0.44, beta 0.22, and so
a = 0.33, gamma = 0.15. On the shower L_inf has a known answer: the Bayes limit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from jetlab.data.features import INPUTS
from jetlab.data.shower_limits import known_limit
from jetlab.laws import forms
from jetlab.laws.allocation import Allocation, frontier
from jetlab.laws.bootstrap import bootstrap
from jetlab.laws.fit import fit
from jetlab.laws.fitted import Fit
from jetlab.models import recipe
from jetlab.records import Record, Table, table
from jetlab.studies import figures
from jetlab.studies.figures import Figure
from jetlab.studies.study import Findings, Study, grid, log_spaced
from jetlab.studies.tables import Grid, scientific, with_interval
from jetlab.training.run import Run
from jetlab.types import Source

Limit = tuple[float, float]  # a known loss and its error, in nats

BATCH = 128
PAPER_RATE = 1e-4
PAPER = {
    "L_inf": (0.32, (0.29, 0.34)),
    "A": (11.27, (8.01, 15.14)),
    "alpha": (0.44, (0.40, 0.48)),
    "B": (7.22, (6.66, 7.89)),
    "beta": (0.22, (0.21, 0.23)),
    "gamma": (0.15, (0.13, 0.16)),
}
"""Table 1 of arXiv:2602.15781: 68 % intervals, L_inf taken from its Section 3.2."""


@dataclass(frozen=True, kw_only=True)
class Size:
    """How large a grid: its axes, the inputs, and how many jets it is judged by."""

    inputs: str
    widths: Sequence[int]
    examples: Sequence[int]
    seeds: int
    valid: int
    learning_rate: float | None = None  # None: by width, as recipe has it


SIZES = {
    "smoke": Size(  # for tests: too few runs to tell a law
        inputs="full-10",
        widths=(4, 8),
        examples=log_spaced(1024, 4096, 3, multiple=BATCH),
        seeds=1,
        valid=1_000,
    ),
    "laptop": Size(
        inputs="full-40",
        widths=(4, 8, 16, 32),
        examples=log_spaced(2**12, 2**16, 5, multiple=BATCH),
        seeds=1,
        valid=20_000,
    ),
    "workstation": Size(
        inputs="full-40",
        widths=(4, 8, 16, 32, 64),
        examples=log_spaced(2**14, 2**18, 5, multiple=BATCH),
        seeds=1,
        valid=40_000,
    ),
    "gpu": Size(
        inputs="full-128",
        widths=(4, 8, 16, 32, 64, 128),
        examples=log_spaced(2**12, 2**20, 9, multiple=BATCH),
        seeds=2,
        valid=50_000,
    ),
    "paper": Size(
        inputs="full-128",
        widths=(4, 8, 16, 32, 64, 96, 128, 256, 512),
        examples=log_spaced(1e3, 1e8, 11, multiple=BATCH),
        seeds=3,
        valid=1_000_000,
        learning_rate=PAPER_RATE,
    ),
}


def study(size: str, source: Source) -> Study:
    """The grid of a size on the jets of a source, as far as its jets go."""
    chosen = SIZES[size]
    classes = len(source.classes)
    features = len(INPUTS[chosen.inputs].features)
    examples = [D for D in chosen.examples if (source.size or np.inf) >= D]

    def run(width: int, examples_: int, seed: int) -> Run:
        return Run(
            source=source.identity,
            inputs=chosen.inputs,
            model=recipe.tagger(width, features=features, classes=classes),
            pool=max(examples),
            examples=examples_,
            valid=min(chosen.valid, source.held_out or chosen.valid),
            learning_rate=chosen.learning_rate or recipe.learning_rate(width),
            seed=seed,
        )

    axes = {"width": chosen.widths, "examples_": examples, "seed": range(chosen.seeds)}
    return Study(name="compute-optimal", runs=grid(run, **axes), analyse=analyse)


def analyse(records: Sequence[Record]) -> Findings:
    """Fit, bootstrap, allocate and draw."""
    rows, any_record = table(records), records[0]
    limit = known_limit(any_record.source, any_record.inputs)
    n_p = float(np.mean([record.n_p for record in records]))
    free = _fit(rows, {})
    pinned = None if limit is None else _fit(rows, {"L_inf": limit[0]})
    law = _best(free, pinned)
    words = [*_validity(records, rows), *_state(free, pinned, limit)]
    fitted = bool(np.isfinite(law.objective))
    return Findings(
        words=words,
        tables=_tables(free, pinned, limit, rows, n_p) if fitted else {},
        figures=_figures(rows, law, limit, n_p) if fitted else {},
        results={"fit": free.to_json()}
        | ({} if pinned is None else {"fit_known_limit": pinned.to_json()}),
    )


def _best(free: Fit, pinned: Fit | None) -> Fit:
    """The fit that figures and plans are drawn from."""
    return free if free.identified or pinned is None else pinned


def _fit(rows: Table, fixed: dict[str, float]) -> Fit:
    law = fit(forms.additive, rows, fixed=fixed)
    return replace(law, draws=bootstrap(law, rows, draws=1000))


def _validity(records: Sequence[Record], rows: Table) -> list[str]:
    """How the losses were measured, and how well."""
    error = 100 * (rows["loss_error"] / rows["L"]).max()
    verdict = "under" if error < 0.5 else "NOT under"
    rates = sorted({record.learning_rate for record in records})
    chosen = (
        f"the paper's constant {rates[0]:g}"
        if rates == [PAPER_RATE]
        else f"constant, by width ({rates[0]:.2g} to {rates[-1]:.2g}; the paper's 1e-4"
        " hardly moves in runs this short)"
    )
    lost = [record for record in records if record.status != "done"]
    return [
        f"Validation: {records[0].valid} jets, the same for every run; the sampling"
        f" error is at most {error:.2f} % of the loss, {verdict} 0.5 %.",
        f"Learning rate: {chosen}.",
        *(f"Left out: N={r.N}, D={r.D}, seed {r.seed} ({r.status})." for r in lost),
    ]


def _state(free: Fit, pinned: Fit | None, limit: Limit | None) -> list[str]:
    """What the fits say of themselves, in words."""
    words = [f"Free fit to {free.rows} runs: {free.message}."]
    if np.isfinite(free.objective):
        median = 100 * np.median(np.abs(free.residuals))
        fitted = with_interval(free.params["L_inf"], free.intervals.get("L_inf"))
        words.append(f"Free fit: median |residual| of log L {median:.2f} %.")
        if limit is not None:
            words.append(
                f"L_inf fitted {fitted}; known limit {limit[0]:.4f} ± {limit[1]:.4f}."
            )
    if pinned is not None:
        words.append(f"With L_inf fixed to the known limit: {pinned.message}.")
    if _best(free, pinned) is pinned:
        words.append("Figures and plans use the fit with L_inf fixed.")
    if not _best(free, pinned).identified:
        words.append("The curves in the figures are one law of many; no plan is made.")
    return words


def _gamma(params: Mapping[str, Any]) -> Any:
    """gamma = alpha beta / (alpha + beta), exponent of the compute-optimal loss."""
    alpha, beta = params["alpha"], params["beta"]
    return alpha * beta / (alpha + beta)


def _cells(law: Fit | None) -> list[str]:
    """One column of Table 1."""
    if law is None:
        return ["" for _ in PAPER]
    values = law.params | {"gamma": _gamma(law.params)}
    spread = dict(law.intervals)
    if law.draws and law.draws.values:
        low, high = np.quantile(_gamma(law.draws.values), (0.16, 0.84))
        spread["gamma"] = (float(low), float(high))
    return [
        with_interval(values[name], None if name in law.fixed else spread.get(name))
        for name in PAPER
    ]


def _tables(
    free: Fit, pinned: Fit | None, limit: Limit | None, rows: Table, n_p: float
) -> dict[str, Grid]:
    """Table 1 beside the paper's, and what each budget should buy."""
    known = "" if limit is None else f"{limit[0]:.4f} ± {limit[1]:.4f}"
    columns = {
        "parameter": list(PAPER),
        "paper (68 %)": [with_interval(*entry) for entry in PAPER.values()],
        "free fit (68 %)": _cells(free),
        "L_inf fixed (68 %)": _cells(pinned),
        "known": [known, *("" for _ in list(PAPER)[1:])],
    }
    if limit is None:
        del columns["known"], columns["L_inf fixed (68 %)"]
    law = _best(free, pinned)
    plans = [
        [
            scientific(plan.budget),
            *(_quantity(plan, name) for name in ("N", "D", "loss")),
            plan.message.split(";")[0],
        ]
        for plan in frontier(law, _budgets(rows, 100), particles=n_p)
    ]
    law_table = Grid(list(columns), list(zip(*columns.values(), strict=True)))
    tables = {"Table 1: parameters of the law": law_table}
    if law.identified and law.converged:
        heads = ["C [FLOPs]", "N", "D", "loss", ""]
        tables["What a budget should buy"] = Grid(heads, plans)
    return tables


def _quantity(plan: Allocation, name: str) -> str:
    """A planned quantity with its interval, as text."""
    value, ends = getattr(plan, name), plan.intervals.get(name)
    if name == "loss":
        return with_interval(value, ends)
    low, high = map(scientific, ends) if ends else ("", "")
    return f"{scientific(value)} ({low}, {high})" if ends else scientific(value)


def _budgets(rows: Table, beyond: float = 1) -> list[float]:
    """Half-decades of compute that the runs span, and so many times past them."""
    low = np.ceil(2 * np.log10(rows["C"].min()))
    high = np.floor(2 * np.log10(rows["C"].max() * beyond))
    return (10 ** (np.arange(low, high + 1) / 2)).tolist()


def _figures(
    rows: Table, law: Fit, limit: Limit | None, n_p: float
) -> dict[str, Figure]:
    """Fig. 1a and 1b of the paper, and two that show whether to believe them."""
    plans = frontier(law, _budgets(rows), particles=n_p)
    optimal = figures.Frontier(
        *(
            np.array([getattr(p, name) for p in plans])
            for name in ("budget", "N", "D", "loss")
        )
    )
    return {
        "fig_1a_loss_surface": figures.loss_surface(rows, law, optimal, n_p),
        "fig_1b_iso_flops": figures.iso_flops(rows, law, optimal, n_p),
        "loss_against_data": figures.loss_against_data(rows, law, limit),
        "residuals": figures.residuals(rows, law),
    }
