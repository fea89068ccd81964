"""Two arms: what they share cancels, and a difference that is there is found."""

import numpy as np
import pytest

from jetlab.laws import forms
from jetlab.laws.cells import cells
from jetlab.laws.fit import fit
from jetlab.laws.intervals.arms import aligned, compare

KEYS = ("N", "D", "seed")


@pytest.fixture(scope="module")
def arms(seeds_of_cells):
    """The same luck in every cell, B smaller by 3 % in the second arm."""
    first = seeds_of_cells(cells_scatter=0.03, seeds_scatter=0.001)
    second = seeds_of_cells(cells_scatter=0.03, seeds_scatter=0.001, B=7.0)
    return [(fit(forms.additive, table), table) for table in (first, second)]


def test_paired_draws_find_what_unpaired_ones_cannot(arms):
    found = compare(*arms, labels=cells(arms[0][1]), draws=300)
    low, high = found.paired["B"]
    assert low < 7.0 - 7.22 < high
    assert found.differs("B")
    assert not found.differs("alpha")
    wide = np.diff(found.unpaired["B"])[0]
    assert wide > 4 * (high - low)
    assert found.unpaired["B"][0] < 0 < found.unpaired["B"][1]


def test_rows_are_matched_by_their_keys(arms):
    (_, first), (_, second) = arms
    shuffled = np.random.default_rng(0).permutation(75)[:60]
    other = {name: column[shuffled] for name, column in second.items()}
    here, there, left = aligned(first, other, KEYS)
    assert left == 15
    for key in KEYS:
        np.testing.assert_array_equal(here[key], there[key])
    assert len(here["L"]) == 60


def test_tables_that_cannot_be_matched_are_refused(arms):
    (law, first), (_, second) = arms
    with pytest.raises(ValueError, match=r"two rows have N = 1000.*add a key"):
        aligned(first, second, ("N", "D"))
    with pytest.raises(ValueError, match="no column arm"):
        aligned(first, second, ("N", "arm"))
    with pytest.raises(ValueError, match="share no row"):
        aligned(first, second | {"seed": second["seed"] + 9}, KEYS)
    short = {name: column[:40] for name, column in second.items()}
    with pytest.raises(ValueError, match=r"through 75 rows .* through 40"):
        compare((law, first), (fit(forms.additive, short), short))
