"""What a study says of its law: with planted laws, and where it cannot tell."""

import numpy as np
import pytest

from jetlab.records import Table, TableLike
from jetlab.studies.joint_law import budgets, fit_laws, trajectory

PAPER = {"L_inf": (0.32, (0.29, 0.34)), "gamma": (0.15, (0.13, 0.16))}


def planted(scatter: float) -> TableLike:
    """The law of arXiv:2602.15781, Table 1, on a grid, with scatter of log L."""
    N, D = (a.ravel() for a in np.meshgrid([1e3, 1e4, 1e5, 1e6], np.logspace(3, 7, 5)))
    L = 0.32 + 11.27 / N**0.44 + 7.22 / D**0.22
    noise = np.random.default_rng(0).normal(size=len(L))
    return {"N": N, "D": D, "C": 6 * 40 * N * D, "L": L * np.exp(scatter * noise)}


@pytest.fixture(scope="module")
def laws():
    return fit_laws(planted(0.002), (0.32, 0.004))


def test_the_known_limit_stands_beside_the_fitted_one(laws):
    (sentence,) = [w for w in laws.words() if w.startswith("L_inf fitted")]
    assert "known 0.3200 ± 0.0040" in sentence
    table = laws.tables(PAPER, [1e12], 40.0)["Table 1: parameters of the law"]
    rows = {row[0]: dict(zip(table.headers, row, strict=True)) for row in table.rows}
    assert rows["L_inf"]["known"] == "0.3200 ± 0.0040"
    assert rows["L_inf"]["L_inf fixed (68 %)"] == "0.320"
    assert rows["L_inf"]["paper (68 %)"] == "0.320 (0.290, 0.340)"
    gamma = float(rows["gamma"]["L_inf fixed (68 %)"].split()[0])
    assert gamma == pytest.approx(0.44 * 0.22 / 0.66, rel=0.03)


def test_the_trajectory_is_the_closed_form(laws):
    law, C = laws.best, np.array([1e12, 1e14])
    best = trajectory(law, C.tolist(), 40.0)
    alpha, beta = law.params["alpha"], law.params["beta"]
    ratio = alpha * law.params["A"] / (beta * law.params["B"])
    N = ratio ** (1 / (alpha + beta)) * (C / 240) ** (beta / (alpha + beta))
    np.testing.assert_allclose(best.N, N, rtol=1e-6)
    np.testing.assert_allclose(6 * 40 * best.N * best.D, C, rtol=1e-9)


def test_rows_too_few_to_fit_get_no_plan():
    rows = planted(0.0)
    laws = fit_laws({name: column[:4] for name, column in rows.items()}, None)
    assert not laws.best.identified
    assert "The best law has no optimum: there is no plan." in laws.words()
    assert list(laws.tables(PAPER, [1e12], 40.0)) == ["Table 1: parameters of the law"]


def test_a_law_that_the_rows_decide_has_a_plan(laws):
    assert laws.best.identified
    assert not any("plan" in sentence for sentence in laws.words())
    assert "What a budget should buy" in laws.tables(PAPER, [1e12], 40.0)


def test_runs_that_only_guess_are_set_apart():
    rows = Table(
        N=np.arange(4),
        L=np.array([2.30, 2.19, 2.18, 0.9]),
        chance_loss=np.full(4, np.log(10)),
    )
    assert rows.learned()["N"].tolist() == [2, 3]
    assert rows.unlearned()["N"].tolist() == [0, 1]


def test_budgets_are_half_decades_inside_the_runs():
    rows = {"C": np.array([2e9, 5e12])}
    np.testing.assert_allclose(np.log10(budgets(rows)), np.arange(9.5, 12.6, 0.5))
    assert budgets(rows, 100)[-1] == pytest.approx(10**14.5)
