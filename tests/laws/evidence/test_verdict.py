"""Verdicts by quantity: values, limits, and nothing, for planted laws."""

import json
from dataclasses import replace

import numpy as np
import pytest

from jetlab.laws import forms
from jetlab.laws.fit import fit
from jetlab.laws.formatting import with_interval
from jetlab.laws.result import FitResult

SIZES, EXAMPLES = np.logspace(3, 7, 5), np.logspace(3, 8, 6)


def test_a_law_that_is_known(law, jets):
    assert law.summary == "decided"
    for name in (*forms.additive.names, "a", "gamma"):
        one = law.verdicts[name]
        assert (one.status, one.limit, one.reason) == ("decided", None, "")
        assert one.interval == law.interval(name)
    assert law.verdicts["beta"].words.startswith("beta = 0.2")


def test_no_floor_is_an_upper_limit_beside_firm_exponents(grid):
    """L_inf = 0: the lowest loss is 0.14."""
    table = grid(SIZES, EXAMPLES, scatter=0.01, L_inf=1e-9)
    law = fit("additive", table, bootstrap=200)
    one = law.verdicts["L_inf"]
    assert one.status == "upper limit"
    assert one.limit is not None
    assert 1e-9 < one.limit < 0.1
    assert one.words == f"L_inf < {with_interval(one.limit, None)} (95 %)"
    assert law.identified
    assert {law.verdicts[n].status for n in ("alpha", "beta", "a")} == {"decided"}
    low, high = law.interval("beta", 0.95)
    assert low < 0.22 < high


def test_a_limit_of_95_per_cent_holds_in_most_of_twenty(grid):
    found = []
    for seed in range(20):
        table = grid(SIZES, EXAMPLES, scatter=0.02, seed=seed, L_inf=0.05)
        one = fit("additive", table).verdicts["L_inf"]
        found.append(one.limit is None or one.limit > 0.05)
    assert np.mean(found) >= 0.8


def test_a_steep_term_is_there_though_the_centre_does_not_show_it(grid):
    """alpha = 1.8: A / N^alpha is seen at the smallest N only."""
    table = grid(
        10 ** np.array([2.7, 3, 3.3, 3.6, 4.0]), np.logspace(3, 5, 6), scatter=0.02,
        L_inf=1.07, A=3e5, alpha=1.8, B=900.0, beta=0.94,
    )  # fmt: skip
    law = fit("additive", table, bootstrap=200)
    assert {law.verdicts[name].status for name in ("A", "alpha", "beta")} == {"decided"}


def test_a_term_that_no_row_shows_is_undecided(grid):
    law = fit("additive", grid(SIZES, EXAMPLES, scatter=0.01, A=1e-6), bootstrap=64)
    assert law.verdicts["alpha"].status == law.verdicts["A"].status == "undecided"
    assert not law.identified
    assert law.summary.startswith("decided in part: ")
    assert law.verdicts["beta"].status == "decided"


def test_three_rows_beside_the_parameters_are_the_least(grid):
    rows = grid(SIZES, EXAMPLES, scatter=0.001)
    some = [0, 4, 12, 16, 20, 25, 29, 7]
    for count, known in ((7, False), (8, True)):
        law = fit("additive", {n: c[some[:count]] for n, c in rows.items()})
        assert (law.evidence.doubt == "") == known
    seven = fit("additive", {n: c[some[:7]] for n, c in rows.items()})
    assert seven.summary.startswith("undecided: 7 rows leave 2 degrees of freedom")


def test_exact_rows_decide_with_fewer(exact, jets):
    some = [0, 4, 12, 16, 25, 29]
    law = fit("additive", {n: c[some] for n, c in exact.items()})
    assert law.summary == "decided"
    assert law.params == pytest.approx(jets, rel=1e-5)


def test_one_free_parameter_is_decided(exact, jets):
    fixed = {name: value for name, value in jets.items() if name != "A"}
    law = fit("additive", exact, fixed=fixed)
    assert law.summary == "decided"
    assert law.params["A"] == pytest.approx(jets["A"], rel=1e-6)
    assert law.verdicts["alpha"].status == "fixed"


def test_a_reason_from_outside_is_the_verdict(law):
    doubtful = replace(law, doubt="too few jets")
    assert doubtful.summary == "undecided: too few jets"
    assert not doubtful.reliable
    assert doubtful.issues == ("too few jets",)


def test_the_verdicts_are_in_the_file(grid):
    table = grid(SIZES, EXAMPLES, scatter=0.01, L_inf=1e-9)
    law = fit("additive", table, bootstrap=64)
    record = json.loads(law.to_json())
    assert record["verdict"] == law.summary
    assert record["verdicts"]["L_inf"]["status"] == "upper limit"
    assert record["verdicts"]["L_inf"]["limit"] == law.verdicts["L_inf"].limit
    assert record["identified"] is True
    back = FitResult.from_json(law.to_json())
    assert back.summary == law.summary


def test_values_are_never_outside_their_intervals(grid):
    for seed in range(5):
        table = grid(SIZES[:4], EXAMPLES[:4], scatter=0.05, seed=seed)
        law = fit("additive", table, bootstrap=32)
        for name, (low, high) in law.intervals.items():
            assert low <= law.params[name] <= high
