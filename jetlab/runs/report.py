"""One self-contained HTML page per study: sentences, tables and figures."""

import base64
from importlib.resources import files
from io import BytesIO

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from jetlab.runs.plots import Figure
from jetlab.runs.study import Findings


def page(title: str, findings: Findings, facts: dict[str, str]) -> str:
    """The page as text; `facts` are the lines under the title (source, size, ...)."""
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
