"""The joint law L(N, D) of a study's rows: fits, plans, tables and words.

Where the jets have a known limit the law is fitted twice, free and with L_inf fixed to
it: the first is what one would do without knowing, the second what one then knows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from jetlab.laws import forms
from jetlab.laws.allocation import frontier
from jetlab.laws.fit import fit
from jetlab.laws.plan import Plan
from jetlab.laws.result import FitResult
from jetlab.records import TableLike
from jetlab.runs.plots import Frontier
from jetlab.runs.tables import TextTable, scientific, with_interval

Limit = tuple[float, float]
"""A known loss and its error, in nats."""

Published = Mapping[str, tuple[float, tuple[float, float]]]
"""Values and 68 % intervals of a paper, by parameter, gamma among them."""


@dataclass(frozen=True, kw_only=True)
class Laws:
    """The free fit, and beside it the fit with L_inf fixed to a known limit."""

    free: FitResult
    pinned: FitResult | None
    limit: Limit | None

    @property
    def best(self) -> FitResult:
        """The fit to plan by: the free one where the rows can tell its floor."""
        return self.free if self.free.reliable or not self.pinned else self.pinned

    @property
    def drawn(self) -> FitResult:
        """The fit to draw through the runs: the free one, if it is a law."""
        whole = self.free.converged and has_optimum(self.free)
        return self.free if whole else self.best

    def results(self) -> dict[str, str]:
        """The fits as JSON, by the name of their file."""
        pinned = {"fit_known_limit": self.pinned.to_json()} if self.pinned else {}
        return {"fit": self.free.to_json(diagnostics=True), **pinned}

    def words(self) -> list[str]:
        """What the fits say of themselves."""
        words = [f"Free fit to {self.free.rows} runs: {self.free.message}."]
        words += [f"{sentence}." for sentence in self.free.diagnostics.sentences]
        words += _sureness("Free fit", self.free)
        if self.pinned and self.limit:
            value, error = self.limit
            ends = self.free.intervals.get("L_inf")
            found = with_interval(self.free.params["L_inf"], ends)
            words += [
                f"L_inf fitted {found}; known {value:.4f} ± {error:.4f}.",
                f"With L_inf fixed to the known limit: {self.pinned.message}.",
                *_sureness("With L_inf fixed", self.pinned),
            ]
        if self.best is self.pinned:
            words.append("The plan uses the fit with L_inf fixed.")
        if not has_optimum(self.best):
            words.append("The best law has no optimum: there is no plan.")
        elif not self.best.reliable:
            words.append("The rows do not decide the law: its plan is a sketch.")
        return words

    def tables(
        self, paper: Published, budgets: Sequence[float], n_p: float
    ) -> dict[str, TextTable]:
        """Table 1 beside the paper's, and the plan where the law has an optimum."""
        tables = {"Table 1: parameters of the law": self._parameters(paper)}
        if has_optimum(self.best):
            tables["What a budget should buy"] = _plan(self.best, budgets, n_p)
        return tables

    def _parameters(self, paper: Published) -> TextTable:
        columns = {
            "parameter": list(paper),
            "paper (68 %)": [with_interval(*entry) for entry in paper.values()],
            "free fit (68 %)": _cells(self.free, paper),
        }
        if self.pinned and self.limit:
            columns["L_inf fixed (68 %)"] = _cells(self.pinned, paper)
            value, error = self.limit
            known = {"L_inf": f"{value:.4f} ± {error:.4f}"}
            columns["known"] = [known.get(name, "") for name in paper]
        return TextTable(list(columns), list(zip(*columns.values(), strict=True)))


def fit_laws(rows: TableLike, limit: Limit | None) -> Laws:
    """L_inf + A/N^alpha + B/D^beta through columns N, D, L, with bootstrap draws."""

    def fitted(fixed: dict[str, float]) -> FitResult:
        return fit(forms.additive, rows, fixed=fixed, bootstrap=1000)

    free, pinned = fitted({}), fitted({"L_inf": limit[0]}) if limit else None
    return Laws(free=free, pinned=pinned, limit=limit)


def budgets(rows: TableLike, beyond: float = 1) -> list[float]:
    """Half-decades of compute that the runs span, and so many times past them."""
    least, most = float(rows["C"].min()), float(rows["C"].max()) * beyond
    marks = np.arange(np.ceil(2 * np.log10(least)), np.floor(2 * np.log10(most)) + 1)
    return (10 ** (marks / 2)).tolist() if len(marks) > 1 else [least, most]


def trajectory(law: FitResult, budgets: Sequence[float], n_p: float) -> Frontier:
    """The optimal N, D and loss at each budget, for a figure."""
    plans = frontier(law, budgets, particles=n_p)
    names = ("flops", "N", "D", "loss")
    return Frontier(*(np.array([getattr(p, name) for p in plans]) for name in names))


def has_optimum(law: FitResult) -> bool:
    """Whether both terms fall and both are there, so that a budget is worth dividing:
    a term below 1e-12 of the loss over all the rows is not."""
    p = law.params
    least = min(
        p["A"] / law.span["N"][0] ** p["alpha"], p["B"] / law.span["D"][0] ** p["beta"]
    )
    return bool(least > 1e-12 and min(p["alpha"], p["beta"]) > 0)


def _sureness(name: str, law: FitResult) -> list[str]:
    """How close a fit comes to the rows, and what its intervals leave out."""
    if not np.isfinite(law.objective):
        return []
    median = 100 * np.median(np.abs(law.residuals))
    drawn = f"; {law.draws.message}" if law.draws else ""
    return [f"{name}: median |residual| of log L {median:.2f} %{drawn}."]


def _cells(law: FitResult, names: Published) -> list[str]:
    """One column of Table 1: values, with intervals where they are not fixed."""
    values = law.params | law.derived
    spread = {n: law.interval(n) for n in names if law.intervals and n not in law.fixed}
    return [with_interval(values[name], spread.get(name)) for name in names]


def _plan(law: FitResult, budgets: Sequence[float], n_p: float) -> TextTable:
    rows = [
        [
            scientific(plan.flops),
            _size(plan, "N"),
            _size(plan, "D"),
            with_interval(plan.loss, plan.intervals.get("loss")),
            plan.message.partition(";")[0],  # the reach; the fit speaks for itself
        ]
        for plan in frontier(law, budgets, particles=n_p)
    ]
    return TextTable(["C [FLOPs]", "N", "D", "loss", ""], rows)


def _size(plan: Plan, name: str) -> str:
    """N or D with its interval, as text."""
    value = scientific(getattr(plan, name))
    if name not in plan.intervals:
        return value
    low, high = map(scientific, plan.intervals[name])
    return f"{value} ({low}, {high})"
