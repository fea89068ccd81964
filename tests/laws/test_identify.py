"""Rows that cannot tell must say so, in words that name what is missing."""

import json

import numpy as np
import pytest

from jetlab.laws import forms
from jetlab.laws.fit import fit

SIZES = np.logspace(3, 7, 5)
EXAMPLES = np.logspace(3, 8, 6)


def refused(table, *words, **choices):
    law = fit(forms.additive, table, **choices)
    assert not law.identified
    for word in words:
        assert word in law.message
    return law


def test_fewer_rows_than_parameters(wide):
    law = refused({name: column[:5] for name, column in wide.items()}, "5 rows")
    assert all(np.isnan(value) for value in law.params.values())
    assert json.loads(law.to_json())["params"]["L_inf"] is None


def test_a_constant_column(grid):
    refused(grid([1e4], EXAMPLES, scatter=0.01), "N is 10000 on every row", "alpha")


def test_two_sizes_leave_the_floor_open_unless_it_is_fixed(grid):
    table = grid([1e4, 1e6], np.logspace(3, 8, 15), scatter=0.01)
    refused(table, "cannot separate L_inf, A, alpha")
    assert fit(forms.additive, table, fixed={"L_inf": 0.32}).identified


@pytest.mark.parametrize("scatter", [0.0, 0.01])
def test_twenty_examples_a_parameter_throughout(jets, scatter):
    rows = {"N": np.logspace(3, 7, 30), "D": 20 * np.logspace(3, 7, 30)}
    noise = np.exp(scatter * np.random.default_rng(0).normal(size=30))
    table = rows | {"L": forms.additive.predict(jets, rows) * noise}
    refused(table, "D is 20 N on every row")


def test_no_dependence_on_size(grid):
    refused(grid(SIZES, EXAMPLES, scatter=0.01, A=1e-6), "A")


def test_no_floor(grid):
    refused(grid(SIZES, EXAMPLES, scatter=0.01, L_inf=1e-9), "L_inf")


def test_scatter_alone(wide):
    noise = np.random.default_rng(1).normal(size=len(wide["L"]))
    refused(wide | {"L": np.exp(0.1 * noise)}, "cannot be told from zero")


def test_one_loss_throughout(wide):
    refused(wide | {"L": np.full(len(wide["L"]), 1.5)})
