"""What repeats add to a law of single passes: planted B_rep and beta_rep come back as
the omega of Eq. 5, and what cannot be told is not made up."""

import numpy as np
import pytest
from jetlab.studies.repetition.analysis import analyse_repeats
from test_repeated import LAW, RISING, record

from jetlab.laws import forms
from jetlab.studies.joint_law import fit_laws

MANY = {"B_rep": 4.0, "beta_rep": 0.28}


@pytest.fixture(scope="module")
def single():
    """Rows of single passes on the law, with the jitter that identifies a fit."""
    n, d = (a.ravel() for a in np.meshgrid(np.logspace(3, 6, 4), np.logspace(3, 7, 5)))
    jitter = np.exp(1e-3 * np.random.default_rng(0).normal(size=n.size))
    return {"N": n, "D": d, "L": forms.additive.predict(LAW, {"N": n, "D": d}) * jitter}


def repeated(floor=LAW["L_inf"]):
    """Runs of three sizes that overfit six data sets, the smallest the best."""
    sizes = 128 * np.array([10, 30, 100, 300, 1000, 3000])
    return [
        record(N, int(U), RISING - RISING.min() + worse + floor
               + MANY["B_rep"] / U ** MANY["beta_rep"])
        for U in sizes
        for N, worse in ((10_000, 0.0), (30_000, 0.01), (100_000, 0.02))
    ]  # fmt: skip


@pytest.fixture(scope="module")
def found(single):
    laws = fit_laws(single, (LAW["L_inf"], 0.002))
    return analyse_repeats(repeated(), single, laws, 40.0)


def test_omega_is_that_of_the_planted_laws(found):
    """(B / B_rep)^(1/beta) U^(beta_rep/beta - 1) by hand, at the ends."""
    rows = {
        row[0]: row[2] for row in found.tables["Table 2 and Eq. 5: repeated data"].rows
    }
    for unique in (1_280, 384_000):
        omega = (LAW["B"] / MANY["B_rep"]) ** (1 / LAW["beta"])
        omega *= unique ** (MANY["beta_rep"] / LAW["beta"] - 1)
        value = float(rows[f"omega at {unique:,} jets"].split(" ")[0])
        assert value == pytest.approx(omega, rel=0.03)
    assert float(rows["beta_rep"].split(" ")[0]) == pytest.approx(0.28, abs=0.002)


def test_the_paper_is_quoted_for_the_same_inputs(found):
    table = found.tables["Table 2 and Eq. 5: repeated data"]
    assert table.rows[0][1].startswith("7.080")  # 40 particles


def test_it_is_said_that_size_matters(found):
    (words,) = [w for w in found.words if "overfit the same jets" in w]
    assert "in the paper N drops out" in words
    assert any("No overfitting threshold: no run underfits" in w for w in found.words)


def test_figures_are_those_of_the_paper(found):
    assert {"fig_2ab_loss_against_compute", "fig_2c_loss_against_data",
            "fig_3_overfitting"} <= set(found.figures)  # fmt: skip
    assert len(found.figures["fig_2c_loss_against_data"].axes) == 2


@pytest.mark.slow
def test_without_a_law_of_single_passes_there_is_no_eq_4(single):
    """Four rows bear no law: the verdicts are told, and no omega."""
    few = {name: column[:4] for name, column in single.items()}
    found = analyse_repeats(repeated(), few, fit_laws(few, None), 40.0)
    assert "Table 2 and Eq. 5: repeated data" not in found.tables
    assert "Fig. 3: runs by their validation curves" in found.tables
    assert not found.results


@pytest.mark.slow
def test_a_floor_above_the_envelope_gives_no_eq_4(single):
    laws = fit_laws(single, (LAW["L_inf"] + 2, 0.002))
    found = analyse_repeats(repeated(), single, laws, 40.0)
    assert any("Eq. 4" in words for words in found.words)
