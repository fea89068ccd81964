"""The first screen of a report: values of a planted law, what is open, a plan."""

from dataclasses import replace

import numpy as np
import pytest

from jetlab.laws import forms
from jetlab.laws.fit import fit
from jetlab.records import Table
from jetlab.studies.headline import (
    best_use,
    first_screen,
    free_floor,
    known,
    unknown,
)

FLOOR = 0.7


@pytest.fixture(scope="module")
def law():
    N, D = (a.ravel() for a in np.meshgrid([1e3, 4e3, 1.6e4, 6.4e4], [2e4, 1e5, 5e5]))
    L = FLOOR + 30 / N**0.75 + 800 / D**0.85
    noise = np.random.default_rng(0).normal(size=len(L))
    table = Table(N=N, D=D, L=L * np.exp(0.002 * noise), n_p=np.full(len(N), 10.0))
    return fit(forms.additive, table, bootstrap=200)


def test_known_numbers_stand_beside_the_known_floor(law):
    lines = known(law, (FLOOR, 0.0))
    assert [line.split(" ")[0] for line in lines] == ["L_inf", "alpha", "beta", "a"]
    assert "the known floor is 0.7, " in lines[0]
    inside = law.interval("L_inf")[0] <= FLOOR <= law.interval("L_inf")[1]
    assert ("inside the interval" in lines[0]) == inside
    assert "known floor" not in known(law, None)[0]
    assert unknown(law, None) == []


def test_the_free_floor_is_said_where_it_is_not_used(law):
    fixed = fit(forms.additive, law.table, fixed={"L_inf": FLOOR}, bootstrap=200)
    refused = replace(law, doubt="no reason")
    assert free_floor({"free": law, "L_inf fixed": fixed}, (FLOOR, 0.0)) == []
    (line,) = free_floor({"free": refused, "L_inf fixed": fixed}, (FLOOR, 0.0))
    assert line.startswith("Fitted freely, L_inf [0.")
    assert "no reason" in line
    assert "the known floor is 0.7" in line


def test_a_free_floor_without_an_interval_is_said_too(law):
    """As of a grid of two widths, which has too few clusters for draws."""
    fixed = fit(forms.additive, law.table, fixed={"L_inf": FLOOR}, bootstrap=200)
    bare = replace(fit(forms.additive, law.table), doubt="too few clusters")
    (line,) = free_floor({"free": bare, "L_inf fixed": fixed}, (FLOOR, 0.0))
    assert "too few clusters" in line
    assert "the interval" not in line


def test_a_plan_for_ten_times_the_largest_run(law):
    (line,) = best_use(law)
    budget = 10 * 6 * 10 * 6.4e4 * 5e5
    assert line.startswith(f"{budget:.2e}".replace("e+", "e"))


def test_open_numbers_have_their_reason():
    N, D = (a.ravel() for a in np.meshgrid([1e3, 2e3], [2e4, 4e4, 8e4]))
    L = 0.1 + 3 / N**0.1 + 20 / D**0.2
    noise = np.random.default_rng(1).normal(size=len(L))
    open_law = fit(
        forms.additive, Table(N=N, D=D, L=L * np.exp(0.02 * noise)), bootstrap=50
    )
    found = first_screen(open_law, None)
    assert found["known"] == []
    assert any(line.startswith("L_inf") and ": " in line for line in found["unknown"])
