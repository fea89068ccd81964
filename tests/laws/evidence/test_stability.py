"""Refits to parts of the rows: their shifts, and the errors of these."""

from dataclasses import replace

import numpy as np
import pytest

from jetlab.laws.evidence.stability import parts, stability
from jetlab.laws.fit import fit
from jetlab.laws.fitting.misfit import SQUARES


def shifts(found, name):
    return found.shifts(found.points[name])


def test_parts_by_hand(grid):
    law = fit("additive", grid([1e3, 1e4, 1e5], [1e3, 1e4, 1e5, 1e6], scatter=0.01))
    found = parts(law)
    N, D, L = (law.table[name] for name in ("N", "D", "L"))
    np.testing.assert_array_equal(found["without the smallest N"], N > 1e3)
    np.testing.assert_array_equal(found["without the largest D"], D < 1e6)
    assert found["without the largest N D"].sum() == 11
    assert (
        L[~found["without the highest losses"]].min()
        > L[found["without the highest losses"]].max()
    )
    assert found["on the lower half of the losses"].sum() == 6


def test_exact_rows_do_not_move(exact_law, jets):
    found = stability(exact_law)
    assert found is not None
    shift, _ = shifts(found, "beta")
    np.testing.assert_allclose(shift, 0, atol=1e-6)


def test_the_error_of_a_shift_is_that_of_linear_regression(line):
    """Slopes of a line in log N with and without the first row: the variance of their
    difference is the difference of their variances (Hausman)."""
    law, _, error = line
    found = stability(law)
    assert found is not None
    part = found.parts.index("without the smallest N")
    x = np.log(law.table["N"])[1:]
    sigma = error * np.linalg.norm(
        np.log(law.table["N"]) - np.log(law.table["N"]).mean()
    )
    less = sigma / np.linalg.norm(x - x.mean())
    expected = np.sqrt(less**2 - error**2) * law.scatter / sigma
    shift, spread = shifts(found, "alpha")
    assert spread[part] == pytest.approx(expected, rel=1e-3)
    slope = -np.polyfit(x, np.log(law.table["L"])[1:], 1)[0]
    assert shift[part] == pytest.approx(slope - law.params["alpha"], abs=1e-6)


def test_shifts_of_a_law_that_holds_are_as_large_as_their_errors(grid):
    """Over 30 tables of least squares, |shift| exceeds its error in a third."""
    found = []
    for seed in range(30):
        sizes, examples = np.logspace(3, 7, 5), np.logspace(3, 8, 6)
        table = grid(sizes, examples, scatter=0.003, seed=seed)
        refits = stability(fit("additive", table, misfit=SQUARES))
        assert refits is not None
        shift, error = shifts(refits, "beta")
        found.append(np.abs(shift / error)[:4])
    assert np.mean(np.array(found) > 1) == pytest.approx(0.32, abs=0.1)


def test_rows_of_a_label_are_a_part(grid):
    sizes, examples = np.logspace(3, 7, 5), np.logspace(3, 8, 6)
    table = grid(sizes, examples, scatter=0.01) | {"arm": np.tile(["a", "b"], 15)}
    law = fit("additive", table)
    chosen = parts(law)["on the rows of arm = a"]
    np.testing.assert_array_equal(chosen, law.labels["arm"] == "a")


def test_a_part_that_determines_nothing_is_left_out(grid):
    """Two sizes of N are left without the smallest: no exponent of N."""
    law = fit("additive", grid([1e3, 1e5, 1e7], np.logspace(3, 8, 6), scatter=0.01))
    found = stability(replace(law, draws=None))
    assert found is not None
    assert "without the smallest N" not in found.parts
    assert "without the smallest D" in found.parts
