"""Two arms: a common scatter cancels, and a true difference is found."""

from dataclasses import replace

import numpy as np
import pytest

from jetlab.laws import forms
from jetlab.laws.compare import aligned, compare
from jetlab.laws.evidence.bootstrap import bootstrap
from jetlab.laws.fit import fit

KEYS = ("N", "D", "seed")


@pytest.fixture(scope="module")
def tables(seeds_of_cells):
    """The same scatter of every cell, B smaller by 3 % in the second arm."""
    return [
        seeds_of_cells(cells_scatter=0.03, seeds_scatter=0.001, **more)
        for more in ({}, {"B": 7.0})
    ]


@pytest.fixture(scope="module")
def arms(tables):
    return [fit(forms.additive, table) for table in tables]


@pytest.fixture(scope="module")
def found(arms):
    return compare(*arms, draws=300)


def test_paired_draws_find_what_unpaired_ones_cannot(found):
    low, high = found.paired["B"]
    assert low < 7.0 - 7.22 < high
    assert found.differs("B")
    assert not found.differs("alpha")
    wide = np.diff(found.unpaired["B"])[0]
    assert wide > 4 * (high - low)
    assert found.unpaired["B"][0] < 0 < found.unpaired["B"][1]


def test_derived_exponents_are_compared_draw_by_draw(found, arms):
    """a, from exponents that are equal, does not differ."""
    first, second = arms
    assert list(found.values) == [*forms.additive.names, "a", "a_D", "gamma"]
    for name in ("a", "gamma"):
        difference = second.derived[name] - first.derived[name]
        assert found.values[name] == pytest.approx(difference, abs=1e-12)
    assert found.values["B"] == second.params["B"] - first.params["B"]
    low, high = found.paired["a"]
    assert low < 0 < high
    assert high - low < 0.01
    assert found.paired["a_D"] == pytest.approx((-high, -low), abs=1e-9)


def test_draws_are_paired_by_seed_and_clusters(arms):
    """The paired interval is of differences of draws of one seed, the other of two."""
    runs = np.arange(75) // 5
    found = compare(*arms, labels=runs, draws=32, seed=7)
    first, second, other = (
        bootstrap(arm, draws=32, seed=seed, labels=runs, simulate=False).values["A"]
        for arm, seed in ((arms[0], 7), (arms[1], 7), (arms[1], 8))
    )
    paired, unpaired = (np.quantile(d - first, (0.16, 0.84)) for d in (second, other))
    assert found.paired["A"] == pytest.approx(tuple(paired))
    assert found.unpaired["A"] == pytest.approx(tuple(unpaired))


def test_arms_of_too_few_cells_for_draws_are_refused(tables):
    few = [
        {name: column[:15] for name, column in table.items()} for table in tables
    ]  # five cells for five parameters
    laws = [fit(forms.additive, table) for table in few]
    with pytest.raises(ValueError, match="there was no fit"):
        compare(*laws)


def test_rows_are_matched_by_their_keys(tables):
    first, second = tables
    shuffled = np.random.default_rng(0).permutation(75)[:60]
    other = {name: column[shuffled] for name, column in second.items()}
    here, there, left = aligned(first, other, KEYS)
    assert left == 15
    for key in KEYS:
        np.testing.assert_array_equal(here[key], there[key])
    assert len(here["L"]) == 60


def test_tables_that_cannot_be_matched_are_refused(tables, arms):
    first, second = tables
    with pytest.raises(ValueError, match=r"two rows have N = 1000.*add a key"):
        aligned(first, second, ("N", "D"))
    with pytest.raises(ValueError, match="no column arm"):
        aligned(first, second, ("N", "arm"))
    with pytest.raises(ValueError, match="share no row"):
        aligned(first, second | {"seed": second["seed"] + 9}, KEYS)
    with pytest.raises(ValueError, match=r"through 75 rows .* through 40"):
        compare(arms[0], replace(arms[1], rows=40))
