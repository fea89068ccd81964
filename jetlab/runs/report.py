"""What a study leaves: findings as files, and one self-contained HTML page of them,
whose layout is report.html.jinja."""

import base64
import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from tabulate import tabulate

from jetlab.atomic import write_text
from jetlab.laws.plot_style import Figure, write_figure


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

    def csv(self) -> str:
        text = StringIO()
        csv.writer(text, lineterminator="\n").writerows([self.headers, *self.rows])
        return text.getvalue()

    def html(self) -> str:
        return tabulate(self.rows, self.headers, "html", disable_numparse=True)


@dataclass(frozen=True, kw_only=True)
class Findings:
    """The results of a study: what its runs decide (`known`), what they do not
    (`unknown`) and what to do (`advice`), sentences on how it was found, tables by
    title, figures and JSON texts by the name of their file. `captions` say in words
    what a figure shows; the first figure is that of the first screen."""

    sentences: Sequence[str]
    known: Sequence[str] = ()
    unknown: Sequence[str] = ()
    advice: Sequence[str] = ()
    captions: Mapping[str, str] = field(default_factory=dict)
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
            for suffix in ("png", "svg", "pdf")
        ]
        for figure, path in drawn:
            write_figure(figure, path, path.suffix[1:])
        return [path for _, path in drawn] + [folder / name for name in texts]


def _titled(
    layout: str, tables: dict[str, TextTable], render: Callable[[TextTable], str]
) -> str:
    return "\n".join(layout.format(title, render(t)) for title, t in tables.items())


REFRESH = 10  # seconds, of the page of a study that still runs


def render_html(
    title: str,
    findings: Findings,
    facts: Mapping[str, str],
    *,
    state: str = "",
    running: bool = False,
) -> str:
    """The HTML page; `facts` are how the results were made (source, size, ...), `state`
    is a line under the title. The page of a study that is `running` reloads itself."""
    source = files("jetlab.runs").joinpath("report.html.jinja").read_text()
    environment = Environment(autoescape=True, undefined=StrictUndefined)
    names = list(findings.figures)
    return environment.from_string(source).render(
        title=title,
        state=state,
        refresh=REFRESH if running else 0,
        known=findings.known,
        unknown=findings.unknown,
        advice=findings.advice,
        sentences=findings.sentences,
        facts=facts,
        tables=[_section(name, table) for name, table in findings.tables.items()],
        figures={name: _embedded(figure) for name, figure in findings.figures.items()},
        captions={
            name: findings.captions.get(name, name.replace("_", " ")) for name in names
        },
        first=names[:1],
        others=names[1:],
    )


def _section(title: str, table: TextTable) -> dict[str, Any]:
    """A table as the page shows it and as its buttons copy it."""
    return {
        "title": title,
        "html": Markup(table.html()),
        "csv": table.csv(),
        "latex": table.latex(),
    }


def _embedded(figure: Figure) -> str:
    """A figure as a data URL, so that the page needs no other file."""
    buffer = BytesIO()
    write_figure(figure, buffer, "svg")
    return "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue()).decode()
