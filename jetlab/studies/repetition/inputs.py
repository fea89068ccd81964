"""What inputs a tagger sees, and how far each lets it come with more jets: Fig. 4 and
Table 2 of arXiv:2602.15781, beside the known limits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from jetlab.data.features import INPUTS
from jetlab.data.shower.bayes_limit import known_limit
from jetlab.laws import forms
from jetlab.laws.fit import fit
from jetlab.laws.joint_fit import JointFit, holdout_errors, joint_fit
from jetlab.laws.result import FitResult
from jetlab.records import Record, TableLike
from jetlab.runs.study import Findings
from jetlab.runs.tables import TextTable, with_interval
from jetlab.studies.joint_law import Limit
from jetlab.studies.repetition import inputs_figures as figures
from jetlab.studies.repetition.repeated import envelope, repeats

PAPER = {
    "kinematics-40": {
        "L_inf": (0.74, (0.67, 0.77)),
        "B_rep": (5.62, (4.16, 7.10)),
        "beta_rep": (0.21, (0.17, 0.24)),
    },
    "full-10": {
        "L_inf": (0.59, (0.57, 0.61)),
        "B_rep": (8.69, (7.59, 10.35)),
        "beta_rep": (0.26, (0.24, 0.28)),
    },
    "full-40": {
        "L_inf": (0.33, (0.30, 0.34)),
        "B_rep": (7.08, (6.27, 7.79)),
        "beta_rep": (0.23, (0.21, 0.24)),
    },
    "full-128": {
        "L_inf": (0.32, (0.29, 0.34)),
        "B_rep": (5.79, (5.06, 6.27)),
        "beta_rep": (0.22, (0.20, 0.23)),
    },
}
"""Table 2 of arXiv:2602.15781: values and 68 % intervals."""

CONTRADICTED = 0.05  # a chance below which one exponent is said not to do


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """One choice of inputs: the lowest loss of each data set among runs that overfit
    (columns D, L), Eq. 4 through them, free and with L_inf fixed to the known limit."""

    name: str
    rows: TableLike
    free: FitResult
    pinned: FitResult | None
    limit: Limit | None

    @property
    def best(self) -> FitResult:
        """The free fit where the rows can tell its floor."""
        told = self.free.identified and self.free.converged
        return self.free if told or not self.pinned else self.pinned


def configurations(records: Sequence[Record]) -> list[Configuration]:
    """Eq. 4 of every choice of inputs that has a run that overfits."""
    found = []
    for name in INPUTS:
        own = [record for record in records if record.inputs == name]
        best = envelope(repeats(own))
        rows = {"D": best["U"], "L": best["L"]}
        if len(rows["L"]):
            limit = known_limit(own[0].source, name)
            fixed = {"L_inf": limit[0]} if limit else None
            found.append(
                Configuration(
                    name=name,
                    rows=rows,
                    free=_fitted(rows, {}),
                    pinned=_fitted(rows, fixed) if fixed else None,
                    limit=limit,
                )
            )
    return found


def _fitted(rows: TableLike, fixed: Mapping[str, float]) -> FitResult:
    return fit(forms.repeated, rows, fixed=fixed, bootstrap=1000)


def compare_inputs(found: Sequence[Configuration]) -> Findings:
    """Fig. 4, Table 2, and whether the configurations share one beta_rep."""
    grid, words = _sharing(found)
    tables = {"Table 2: Eq. 4 by inputs": _table_2(found)}
    if grid.rows:
        tables["Do the inputs share one exponent?"] = grid
    results = {f"fit_{c.name}": c.best.to_json() for c in found}
    return Findings(
        words=[word for c in found for word in _words(c)] + words,
        tables=tables,
        figures={"fig_4_inputs": figures.loss_by_inputs(found)} if found else {},
        results=results,
    )


def _words(one: Configuration) -> list[str]:
    sizes = one.rows["D"]
    words = [
        f"{one.name}: {len(sizes)} data sets, of {sizes.min():,.0f} to"
        f" {sizes.max():,.0f} jets, that a run overfits; free fit: {one.free.message}."
    ]
    if one.limit and one.free.intervals:
        value, error = one.limit
        known = f"known {value:.4f} ± {error:.4f}"
        told = with_interval(one.free.params["L_inf"], one.free.intervals["L_inf"])
        words.append(f"{one.name}: L_inf fitted {told}, {known}.")
    return words


def _table_2(found: Sequence[Configuration]) -> TextTable:
    headers = [
        "inputs", "parameter", "paper (68 %)", "free fit (68 %)", "L_inf fixed (68 %)",
        "known",
    ]  # fmt: skip
    rows = []
    for one in found:
        for name in ("L_inf", "B_rep", "beta_rep"):
            known = f"{one.limit[0]:.4f} ± {one.limit[1]:.4f}" if one.limit else ""
            rows.append(
                [
                    one.name,
                    name,
                    with_interval(*PAPER[one.name][name]),
                    _cell(one.free, name),
                    _cell(one.pinned, name) if one.pinned else "",
                    known if name == "L_inf" else "",
                ]
            )
    return TextTable(headers, rows)


def _cell(law: FitResult, name: str) -> str:
    if not np.isfinite(law.params[name]):
        return ""
    ends = None if name in law.fixed else law.intervals.get(name)
    return with_interval(law.params[name], ends)


def _sharing(found: Sequence[Configuration]) -> tuple[TextTable, list[str]]:
    """One beta_rep for all inputs against one for each: the paper holds that inputs
    move the floor and not the rate. Inputs with too few data sets are left out."""
    rows, words = [], []
    for floor, parameters in (("free", 3), ("known", 2)):
        of = [one for one in found if len(one.rows["L"]) > parameters]
        if floor == "known":
            of = [one for one in of if one.limit]
        if len(of) < 2:
            words.append(
                f"With floors {floor}, one beta_rep cannot be tested: {len(of)} choices"
                f" of inputs have more than {parameters} data sets that a run overfits."
            )
            continue
        tables = [one.rows for one in of]
        known = [{"L_inf": one.limit[0]} for one in of if one.limit]
        fixed = known if floor == "known" else [{} for _ in of]
        both = joint_fit(forms.repeated, tables, "beta_rep", fixed)
        ahead = _foretold(tables, fixed, parameters)
        alone = ", ".join(f"{law.params['beta_rep']:.3f}" for law in both.separate)
        rows.append(
            [
                f"{floor}: {', '.join(one.name for one in of)}", f"{both.value:.3f}",
                alone, _shown(both.p_value, ".2g"), _shown(both.delta_aicc, "+.1f"),
                ahead,
            ]
        )  # fmt: skip
        words.append(_verdict(floor, both))
    headers = [
        "floors", "one beta_rep", "one for each", "chance (F test)",
        "AICc, one minus each", "largest D foretold by one, by each",
    ]  # fmt: skip
    return TextTable(headers, rows), words


def _foretold(
    tables: Sequence[TableLike], fixed: Sequence[Mapping[str, float]], parameters: int
) -> str:
    """Nothing where a table without its largest data set bears no fit."""
    if min(len(rows["L"]) for rows in tables) < parameters + 2:
        return ""
    errors = holdout_errors(forms.repeated, tables, "beta_rep", fixed)
    return " and ".join(f"{100 * error:.1f} %" for error in errors)


def _shown(value: float, digits: str) -> str:
    return format(value, digits) if np.isfinite(value) else "too few rows"


def _verdict(floor: str, both: JointFit) -> str:
    """What the rows say of the paper's claim."""
    if not np.isfinite(both.p_value):
        said = "are too few to test one beta_rep"
    elif both.p_value < CONTRADICTED:
        said = "contradict one beta_rep"
    else:
        said = "do not contradict one beta_rep"
    unsure = sum(not law.identified for law in both.separate)
    return (
        f"With floors {floor}, the rows {said} (F test: {_shown(both.p_value, '.2g')})."
        + (
            f" {unsure} of the {len(both.separate)} laws are not identified."
            if unsure
            else ""
        )
    )
