"""Rollout: exact rows are foretold, and a law that bends is found out."""

import numpy as np
import pytest

from jetlab.laws import forms
from jetlab.laws.backtest import levels, rollout
from jetlab.laws.fit import fit

SIZES, EXAMPLES = np.logspace(3, 7, 5), np.logspace(3, 8, 6)


@pytest.mark.parametrize("over", ["N", "D"])
def test_exact_rows_are_foretold(grid, over):
    table = grid(SIZES, EXAMPLES)
    found = rollout(fit(forms.additive, table), table, over)
    sizes = SIZES if over == "N" else EXAMPLES
    # of one size the rows leave that exponent open, of two it is exact
    assert [f.next for f in found] == pytest.approx(sizes[2:])
    last = found[-1]
    assert last.told
    assert last.fitted == 30 - len(last.errors)
    assert last.spread < 1e-6


def test_a_law_that_bends_past_the_window_shows_as_bias(grid):
    """At the largest D the loss is a fifth lower than the law of the others says."""
    table = grid(SIZES, EXAMPLES, scatter=0.002)
    largest = table["D"] == EXAMPLES[-1]
    table["L"][largest] *= 0.8
    found = rollout(fit(forms.additive, table), table, "D")
    assert found[-1].bias == pytest.approx(-np.log(0.8), abs=0.03)
    assert abs(found[-2].bias) < 0.03


def test_sizes_that_are_alike_are_one():
    column = np.array([100.0, 1000.0, 1010.0, 101.0, 5e4])
    assert levels(column) == [101.0, 1010.0, 5e4]


def test_a_column_without_sizes_is_seen_in_twelve_parts_of_like_number():
    edges = levels(np.geomspace(1e3, 1e6, 240))
    assert len(edges) == 12
    assert edges[-1] == pytest.approx(1e6)
    np.testing.assert_allclose(np.diff(np.log(edges)), np.log(1e3) / 12, rtol=0.01)


def test_a_column_that_is_not_there(wide):
    with pytest.raises(ValueError, match="no column C"):
        rollout(fit(forms.additive, wide), wide, "C")
