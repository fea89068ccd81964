"""A fit as files for machines and papers: JSON, CSV, Markdown, LaTeX, figures."""

import csv
import io
from pathlib import Path

import numpy as np

from jetlab.laws.chinchilla import Approaches, compare
from jetlab.laws.profile import Profile, profile
from jetlab.laws.result import FitResult
from jetlab.records import TableLike
from jetlab.runs import law_figures
from jetlab.runs.foreign import Fitted
from jetlab.runs.ledger import write_whole
from jetlab.runs.tables import Grid, with_interval


def export(found: Fitted, out: Path) -> list[Path]:
    """Write a fit and what belongs to it into a folder; the files written.

    fit.json, parameters.csv, .md and .tex (value, intervals by draws and by profile),
    for the additive law approaches.json and .md (Hoffmann's three beside each other),
    and figures as PNG and PDF. Profiles are left out of an asymmetric fit, and figures
    of N and D of a form without them.
    """
    out.mkdir(parents=True, exist_ok=True)
    law, rows = found.law, found.rows
    curves = _profiles(law, rows)
    table = parameters(law, curves)
    texts = {
        "fit.json": found.to_json(),
        "parameters.csv": _csv(law, curves),
        "parameters.md": table.markdown() + "\n",
        "parameters.tex": table.latex() + "\n",
    }
    made = bool(np.isfinite(law.objective))
    additive = made and law.form.name == "additive"
    if additive:
        beside = compare(rows, particles=found.particles, law=law)
        texts["approaches.json"] = beside.to_json()
        texts["approaches.md"] = _approaches(beside)
    for name, text in texts.items():
        write_whole(out / name, text)
    drawings = {}
    if made:
        drawings["residuals"] = law_figures.against_law(rows, law)
    if curves:
        drawings["profiles"] = law_figures.profiles(curves, law)
    if law.draws and any(len(set(v)) > 1 for v in law.draws.values.values()):
        drawings["corner"] = law_figures.corner(law)
    if additive:
        drawings["contours"] = law_figures.contours(rows, law)
    files = [out / name for name in texts]
    for name, figure in drawings.items():
        for kind in ("png", "pdf"):
            files.append(out / f"{name}.{kind}")
            figure.savefig(files[-1])
    return files


def parameters(law: FitResult, found: list[Profile]) -> Grid:
    """Value and 68 % intervals of every parameter."""
    by_name = {one.name: one.interval for one in found}
    rows = [
        [
            name,
            with_interval(value, law.intervals.get(name)),
            "fixed" if name in law.fixed else _interval(by_name.get(name)),
        ]
        for name, value in law.params.items()
    ]
    return Grid(["parameter", "value (68 %, draws)", "68 %, profile"], rows)


def _approaches(beside: Approaches) -> str:
    """The exponents by approach, and why they differ."""
    rows = [
        [one.name, *map(_number, (one.a, one.error, one.a_D, one.gamma))]
        for one in beside.found
    ]
    table = Grid(["approach", "a", "error of a", "a_D", "gamma"], rows).markdown()
    words = [*beside.remarks, *(f"{one.name}: {one.message}" for one in beside.found)]
    return "\n".join([table, "", *(f"- {sentence}" for sentence in words), ""])


def _number(value: float) -> str:
    return f"{value:.3f}" if np.isfinite(value) else ""


def _profiles(law: FitResult, rows: TableLike) -> list[Profile]:
    free = [name for name in law.params if name not in law.fixed]
    if law.misfit.above != 1 or len(free) < 2 or not np.isfinite(law.objective):
        return []
    return [profile(law, rows, name) for name in free]


def _interval(ends: tuple[float, float] | None) -> str:
    return "" if ends is None else f"({ends[0]:.4g}, {ends[1]:.4g})"


def _csv(law: FitResult, found: list[Profile]) -> str:
    """One line a parameter, empty cells where there is no interval."""
    by_name = {one.name: one.interval for one in found}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    ends = ("draws_low", "draws_high", "profile_low", "profile_high")
    writer.writerow(["parameter", "value", *ends])
    for name, value in law.params.items():
        drawn = law.intervals.get(name, ("", ""))
        writer.writerow([name, value, *drawn, *by_name.get(name, ("", ""))])
    return text.getvalue()
