"""A fit as files for machines and papers: JSON, CSV, Markdown, LaTeX, figures."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tabulate import tabulate

from jetlab.atomic import write_text
from jetlab.laws import plots
from jetlab.laws.approaches.chinchilla import Approaches, compare
from jetlab.laws.evidence.profile import Profile, profile
from jetlab.laws.formatting import with_interval
from jetlab.laws.result import FitResult

Lines = Sequence[Sequence[str]]


def export(law: FitResult, out: Path) -> list[Path]:
    """Write a fit into a folder; the files written.

    fit.json, parameters.csv, .md and .tex (value, intervals by draws and by profile),
    for the additive law approaches.json and .md (Hoffmann's three beside each other,
    with the n_p of the fit), and figures as PNG and PDF. An asymmetric fit has no
    profiles, and a form without N and D no contours.
    """
    out.mkdir(parents=True, exist_ok=True)
    curves = _profiles(law)
    headers, lines = _parameters(law, curves)
    texts = {
        "fit.json": law.to_json(diagnostics=True),
        "parameters.csv": _csv(law, curves),
        "parameters.md": _markdown(headers, lines) + "\n",
        "parameters.tex": _latex(headers, lines) + "\n",
    }
    fitted = bool(np.isfinite(law.objective))
    additive = fitted and law.form.name == "additive"
    if additive:
        beside = compare(law.table, particles=law.particles, law=law)
        texts["approaches.json"] = beside.to_json()
        texts["approaches.md"] = _approaches(beside)
    drawings = {}
    if fitted:
        drawings["residuals"] = plots.residuals(law)
        if len(law.form.columns) == 1 or set(law.form.columns) == {"N", "D"}:
            drawings["loss"] = law.plot()
    if curves:
        drawings["profiles"] = plots.profiles(curves, law)
    if law.draws and any(len(set(v)) > 1 for v in law.draws.values.values()):
        drawings["corner"] = plots.corner(law)
    if additive:
        drawings["contours"] = plots.contours(law)
    for name, text in texts.items():
        write_text(out / name, text)
    files = [out / name for name in texts]
    for name, figure in drawings.items():
        for kind in ("png", "pdf"):
            files.append(out / f"{name}.{kind}")
            figure.savefig(files[-1])
    return files


def _markdown(headers: Sequence[str], lines: Lines) -> str:
    return tabulate(lines, headers, "github", disable_numparse=True)


def _latex(headers: Sequence[str], lines: Lines) -> str:
    return tabulate(lines, headers, "latex_booktabs", disable_numparse=True)


def _parameters(
    law: FitResult, found: Sequence[Profile]
) -> tuple[Sequence[str], Lines]:
    """Value and 68 % intervals of every parameter."""
    by_name = {one.name: one.interval for one in found}
    lines = [
        [
            name,
            _marked(law, name, with_interval(value, law.intervals.get(name))),
            "fixed" if name in law.fixed else _interval(by_name.get(name)),
        ]
        for name, value in law.params.items()
    ]
    return ["parameter", "value (68 %, draws)", "68 %, profile"], lines


def _marked(law: FitResult, name: str, text: str) -> str:
    """A number in brackets where the rows do not decide it."""
    return text if law.verdicts[name].known else f"[{text}]"


def _approaches(beside: Approaches) -> str:
    """The exponents by approach, and why they differ."""
    lines = [
        [one.name, *map(_number, (one.a, one.error, one.a_D, one.gamma))]
        for one in beside.found
    ]
    table = _markdown(["approach", "a", "error of a", "a_D", "gamma"], lines)
    words = [*beside.remarks, *(f"{one.name}: {one.message}" for one in beside.found)]
    return "\n".join([table, "", *(f"- {sentence}" for sentence in words), ""])


def _number(value: float) -> str:
    return f"{value:.3f}" if np.isfinite(value) else ""


def _profiles(law: FitResult) -> list[Profile]:
    free = law.free_names
    if law.misfit.above != 1 or len(free) < 2 or law.evidence.doubt:
        return []
    return [profile(law, name) for name in free]


def _interval(ends: tuple[float, float] | None) -> str:
    return "" if ends is None else f"({ends[0]:.4g}, {ends[1]:.4g})"


def _csv(law: FitResult, found: Sequence[Profile]) -> str:
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
