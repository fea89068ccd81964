"""What a study leaves: findings as files, and one self-contained HTML page of them,
whose layout is report.html.jinja."""

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from tabulate import tabulate

from jetlab.atomic import write_text
from jetlab.laws.plot_style import Figure


class TextTable(NamedTuple):
    """Cells that are text already, with their headers."""

    headers: Sequence[str]
    rows: Sequence[Sequence[str]]

    def markdown(self) -> str:
        return tabulate(self.rows, self.headers, "github", disable_numparse=True)

    def latex(self) -> str:
        return tabulate(
            self.rows, self.headers, "latex_booktabs", disable_numparse=True
        )

    def html(self) -> str:
        return tabulate(self.rows, self.headers, "html", disable_numparse=True)


@dataclass(frozen=True, kw_only=True)
class Findings:
    """The results of a study: sentences, tables by title, figures and JSON texts by the
    name of their file."""

    sentences: Sequence[str]
    tables: dict[str, TextTable] = field(default_factory=dict)
    figures: dict[str, Figure] = field(default_factory=dict)
    results: dict[str, str] = field(default_factory=dict)

    def save(self, folder: Path) -> list[Path]:
        """Write everything into a folder; the files written."""
        texts = {f"{name}.json": text for name, text in self.results.items()}
        texts["tables.md"] = _titled("## {}\n\n{}\n", self.tables, TextTable.markdown)
        texts["tables.tex"] = _titled("% {}\n{}\n", self.tables, TextTable.latex)
        for name, text in texts.items():
            write_text(folder / name, text)
        drawn = [
            (figure, folder / f"{name}.{suffix}")
            for name, figure in self.figures.items()
            for suffix in ("png", "pdf")
        ]
        for figure, path in drawn:
            figure.savefig(path)
        return [path for _, path in drawn] + [folder / name for name in texts]


def _titled(
    layout: str, tables: dict[str, TextTable], render: Callable[[TextTable], str]
) -> str:
    return "\n".join(layout.format(title, render(t)) for title, t in tables.items())


def render_html(title: str, findings: Findings, facts: dict[str, str]) -> str:
    """The HTML page; `facts` are the lines under the title (source, size, ...)."""
    source = files("jetlab.runs").joinpath("report.html.jinja").read_text()
    environment = Environment(autoescape=True, undefined=StrictUndefined)
    return environment.from_string(source).render(
        title=title,
        facts=facts,
        sentences=findings.sentences,
        tables={name: Markup(grid.html()) for name, grid in findings.tables.items()},
        figures={name: _embedded(figure) for name, figure in findings.figures.items()},
    )


def _embedded(figure: Figure) -> str:
    """A figure as a data URL, so that the page needs no other file."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
