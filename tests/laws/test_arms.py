"""Two arms: what they share cancels, and a difference that is there is found."""

import numpy as np
import pytest

from jetlab.laws import forms
from jetlab.laws.cells import cells
from jetlab.laws.compare import aligned, compare
from jetlab.laws.fit import fit

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


def test_a_derived_number_is_compared_draw_by_draw(arms):
    """Twice B differs by twice as much; a, from exponents that are equal, does not."""
    derived = {
        "twice": lambda params: 2 * params["B"],
        "a": lambda params: params["beta"] / (params["alpha"] + params["beta"]),
    }
    found = compare(*arms, derived=derived, draws=100)
    assert found.values["twice"] == 2 * found.values["B"]
    np.testing.assert_allclose(found.paired["twice"], 2 * np.array(found.paired["B"]))
    low, high = found.paired["a"]
    assert low < 0 < high
    assert high - low < 0.01


def test_arms_of_too_few_cells_for_draws_are_refused(arms):
    few = [
        {name: column[:15] for name, column in table.items()} for _, table in arms
    ]  # five cells for five parameters
    laws = [fit(forms.additive, table) for table in few]
    with pytest.raises(ValueError, match="there was no fit"):
        compare(*zip(laws, few, strict=True))


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
