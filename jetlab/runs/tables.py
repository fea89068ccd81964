"""Tables as values: headers and rows, rendered for papers and pages."""

from collections.abc import Sequence
from typing import NamedTuple

from tabulate import tabulate

from jetlab.laws.formatting import scientific as scientific
from jetlab.laws.formatting import with_interval as with_interval


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
