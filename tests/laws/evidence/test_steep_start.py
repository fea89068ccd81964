"""Rows of the steep start of learning are found, and those of a bend are not."""

import numpy as np
import pytest

from jetlab.laws.evidence.steep_start import steep_start
from jetlab.laws.fit import fit

SIZES, EXAMPLES = np.logspace(3, 7, 5), np.logspace(3, 8, 6)


@pytest.fixture(scope="module")
def started(grid):
    """The two largest N start late: 40 and 15 % above the law at their smallest D."""
    table = grid(SIZES, EXAMPLES, scatter=0.005)
    for N, D, above in ((4, 0, 0.4), (4, 1, 0.15), (3, 0, 0.15)):
        row = (table["N"] == SIZES[N]) & (table["D"] == EXAMPLES[D])
        table["L"] = table["L"] * np.where(row, 1 + above, 1)
    return table


def test_the_rows_above_the_law_at_the_smallest_D(started):
    law = fit("additive", started, bootstrap=64)
    found = np.flatnonzero(steep_start(law))
    late = [(started["N"][row], started["D"][row]) for row in found]
    assert set(late) == {
        (SIZES[4], EXAMPLES[0]), (SIZES[4], EXAMPLES[1]), (SIZES[3], EXAMPLES[0])
    }  # fmt: skip
    (words,) = [w for w in law.warnings if "steep start" in w]
    assert words.startswith("3 rows are in the steep start of learning")
    assert "4 (+38." in words


def test_they_do_not_decide_the_verdict(started, jets):
    law = fit("additive", started, bootstrap=64)
    assert not law.evidence.failed
    assert law.summary == "decided"
    assert law.params["L_inf"] == pytest.approx(jets["L_inf"], rel=0.1)


def test_an_outlier_elsewhere_or_below_is_none(grid):
    table = grid(SIZES, EXAMPLES, scatter=0.005)
    inside = (table["N"] == SIZES[2]) & (table["D"] == EXAMPLES[3])
    below = (table["N"] == SIZES[2]) & (table["D"] == EXAMPLES[0])
    table["L"] = table["L"] * np.where(inside, 1.4, 1) * np.where(below, 0.7, 1)
    assert not steep_start(fit("additive", table)).any()


def test_a_law_without_D_has_no_start(line):
    assert not steep_start(line[0]).any()
