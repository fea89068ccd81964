"""Fits that the studies share: planted laws, the choice between fits, known floors."""

from dataclasses import replace

import numpy as np
import pytest
from study_records import record

from jetlab.laws import forms
from jetlab.laws.fit import fit
from jetlab.onset import beats_chance
from jetlab.records import Table
from jetlab.studies.joint_law import (
    FIXED,
    FREE,
    begun,
    budgets_spanned,
    compute_optimal_path,
    fit_free_and_fixed,
    fit_sentences,
    fits_as_json,
    for_figures,
    has_optimum,
    known_floor,
    law_table,
    preferred,
)
from jetlab.studies.run_quality import (
    quality_sentences,
    unlearned_sentences,
)

FLOOR = (0.32, 0.004)


def planted(scatter: float) -> Table:
    """The law of arXiv:2602.15781, Table 1, on a grid, with scatter of log L."""
    N, D = (a.ravel() for a in np.meshgrid([1e3, 1e4, 1e5, 1e6], np.logspace(3, 7, 5)))
    L = 0.32 + 11.27 / N**0.44 + 7.22 / D**0.22
    noise = np.random.default_rng(0).normal(size=len(L))
    return Table(N=N, D=D, C=6 * 40 * N * D, L=L * np.exp(scatter * noise))


@pytest.fixture(scope="module")
def fits():
    return fit_free_and_fixed(forms.additive, planted(0.002), FLOOR)


def rows_of(table):
    return {row[0]: dict(zip(table.headers, row, strict=True)) for row in table.rows}


def test_the_papers_values_stand_beside_jets_without_a_known_floor(fits):
    rows = rows_of(law_table({FREE: fits[FREE]}, None, "full-128"))
    assert list(rows) == ["paper, JetClass", FREE]
    assert rows["paper, JetClass"]["L_inf"] == "0.320 (0.290, 0.340)"
    assert rows["paper, JetClass"]["a"] == "0.333"


def test_the_table_has_both_fits_and_the_bayes_limit(fits):
    table = law_table(fits, FLOOR, "full-128")
    rows = rows_of(table)
    assert list(rows) == [FREE, FIXED, "known floor"]
    assert rows["known floor"]["L_inf"] == "0.3200 ± 0.0040"
    assert rows[FIXED]["L_inf"] == "0.320"
    gamma = float(rows[FIXED]["gamma"].split()[0])
    assert gamma == pytest.approx(0.44 * 0.22 / 0.66, rel=0.03)
    assert float(rows[FREE]["a"].split()[0]) == pytest.approx(1 / 3, rel=0.1)
    assert rows[FREE]["rows"] == "20"
    assert rows[FREE]["verdict"] == rows[FIXED]["verdict"] == "decided"


def test_the_median_residual_is_of_log_L_in_per_cent(fits):
    law = fits[FIXED]
    shown = float(rows_of(law_table(fits, FLOOR, "own"))[FIXED]["median residual"][:-2])
    assert shown == pytest.approx(100 * np.median(np.abs(law.residuals)), abs=0.005)


def test_published_numbers_stand_beside_inputs_of_the_paper_only(fits):
    assert list(rows_of(law_table(fits, None, "angles"))) == [FREE, FIXED]


def test_the_free_fit_is_used_if_it_is_reliable(fits):
    free, fixed = fits[FREE], fits[FIXED]
    doubtful = replace(free, doubt="too narrow")
    assert preferred(fits) is free
    assert preferred({FREE: doubtful, FIXED: fixed}) is fixed
    assert preferred({FREE: doubtful}) is doubtful
    both = {FREE: doubtful, FIXED: replace(fixed, converged=False)}
    assert preferred(both) is both[FIXED]
    assert "is used: the free one is not reliable." in fit_sentences(both)[-1]
    assert not any("is used" in sentence for sentence in fit_sentences(fits))


def test_a_free_fit_with_an_optimum_is_drawn_though_it_is_not_reliable(fits):
    doubtful = replace(fits[FREE], doubt="too narrow")
    assert for_figures({**fits, FREE: doubtful}) is doubtful
    stray = replace(fits[FREE], converged=False)
    assert for_figures({**fits, FREE: stray}) is fits[FIXED]
    flat = replace(doubtful, params={**doubtful.params, "A": 0.0})
    assert for_figures({**fits, FREE: flat}) is fits[FIXED]


def test_a_term_that_is_negligible_at_every_row_has_no_optimum(fits):
    """A/N^alpha at the smallest N, on both sides of 1e-12."""
    law = replace(fits[FREE], span={"N": (10.0, 1e9), "D": (10.0, 1e9)})
    params = {"L_inf": 0.3, "alpha": 1.0, "B": 1.0, "beta": 0.5}
    assert has_optimum(replace(law, params={**params, "A": 1.1e-11}))
    assert not has_optimum(replace(law, params={**params, "A": 0.9e-11}))
    assert not has_optimum(replace(law, params={**params, "A": 1.0, "beta": -0.1}))


def test_the_path_is_the_closed_form(fits):
    law, C = preferred(fits), np.array([1e12, 1e14])
    path = compute_optimal_path(law, C.tolist())
    alpha, beta = law.params["alpha"], law.params["beta"]
    ratio = alpha * law.params["A"] / (beta * law.params["B"])
    N = ratio ** (1 / (alpha + beta)) * (C / 240) ** (beta / (alpha + beta))
    np.testing.assert_allclose(path["N"], N, rtol=1e-6)
    np.testing.assert_allclose(6 * 40 * path["N"] * path["D"], C, rtol=1e-9)
    np.testing.assert_allclose(path["loss"], law.predict(path), rtol=1e-9)
    assert path["C"].tolist() == C.tolist()


def test_the_files_of_fits_keep_their_names(fits):
    assert list(fits_as_json(fits)) == ["fit", "fit_known_limit"]
    assert '"evidence"' in fits_as_json(fits)["fit"]
    assert list(fits_as_json({FREE: fits[FREE]})) == ["fit"]


def test_rows_too_few_to_fit_have_no_numbers():
    few = fit_free_and_fixed(forms.additive, planted(0.0).take(range(4)), None)
    (row,) = law_table(few, None, "own").rows
    assert row == [FREE, "4", *[""] * 8, "undecided"]
    assert not has_optimum(few[FREE])


def test_budgets_are_half_decades_inside_the_runs():
    C = np.array([2e9, 5e12])
    np.testing.assert_allclose(np.log10(budgets_spanned(C)), np.arange(9.5, 12.6, 0.5))
    assert budgets_spanned(C, 100)[-1] == pytest.approx(10**14.5)
    assert budgets_spanned(np.array([2e9, 2.5e9])) == [2e9, 2.5e9]


@pytest.mark.parametrize(
    ("fields", "floor"),
    [
        ({}, (0.6409, 0.0048)),
        ({"inputs": "full-128"}, (0.3302, 0.0051)),
        ({"inputs": "angles"}, None),
        ({"source": "store:abc"}, None),
        ({"task": "mass"}, None),
    ],
)
def test_the_floor_is_known_for_tagging_of_the_shower(fields, floor):
    known = {"source": "shower-v1:seed=0", "inputs": "full-10", **fields}
    assert known_floor(record(1, 1, 1.0, **known)) == floor


def test_a_run_has_learned_if_it_beats_the_chance_loss_by_five_per_cent():
    chance = np.full(4, np.log(10))
    losses = np.array([2.30, 0.9501 * np.log(10), 0.9499 * np.log(10), 0.9])
    assert beats_chance(losses, chance).tolist() == [False, False, True, True]
    rows = Table(N=np.arange(4), D=np.arange(4), L=losses, chance_loss=chance)
    assert rows.learned()["N"].tolist() == [2, 3]
    (sentence,) = unlearned_sentences(rows.unlearned())
    assert ", 2 of them: " in sentence
    assert sentence.endswith(": (N=0, D=0), (N=1, D=1).")
    assert unlearned_sentences(rows.learned().take([])) == []


@pytest.mark.parametrize(("error", "advice"), [(0.0049, False), (0.0051, True)])
def test_errors_of_losses_above_half_a_per_cent_are_named(error, advice):
    runs = [record(1, 1, 2.0, loss_error=x) for x in (0.001, 2 * error)]
    first, *_ = quality_sentences([replace(r, id=str(i)) for i, r in enumerate(runs)])
    assert f"at most {100 * error:.2f} % of the loss" in first
    assert ("use more jets" in first) == advice


def test_quality_names_rates_failures_and_correlations_once():
    """A run that stands under two arms is one run."""
    lost = record(7, 8, None, status="diverged", learning_rate=1e-4, id="lost")
    runs = [record(1, 1, 2.0, id="a", trajectory="t"), lost, replace(lost, arm="scan")]
    _, rates, failed, correlated = quality_sentences(runs)
    assert rates == "Learning rate: constant, 0.0001 to 0.001."
    assert failed.startswith("Runs that did not finish, 1: N=7, D=8, rate 0.0001")
    assert "correlated" in correlated
    assert len(quality_sentences([record(1, 1, 2.0)])) == 2
    (_, paper) = quality_sentences([record(1, 1, 2.0, learning_rate=1e-4)])
    assert "as in arXiv:2602.15781" in paper


def test_the_fit_is_that_of_the_laws(fits):
    table = planted(0.002)
    alone = fit(forms.additive, table, fixed={"L_inf": 0.32}, bootstrap=1000)
    assert fits[FIXED].params == alone.params
    assert fits[FIXED].intervals == alone.intervals


def test_the_late_start_of_a_trajectory_leaves_the_fit():
    """A seed of one N that lies 60 and 25 % above the law at its two smallest D, and
    falls ever less steeply as a law does: no change point, found by the fit."""
    N, D = (
        a.ravel() for a in np.meshgrid([1e3, 4e3, 1.6e4, 6.4e4], np.logspace(4, 7, 6))
    )
    N, D, seed = np.tile(N, 2), np.tile(D, 2), np.repeat([0, 1], len(N))
    noise = np.random.default_rng(0).normal(size=len(N))
    L = (0.32 + 11.27 / N**0.44 + 7.22 / D**0.22) * np.exp(0.003 * noise)
    late = (N == 1e3) & (seed == 1)
    order = np.flatnonzero(late)[np.argsort(D[late])]
    L[order[:2]] *= [1.6, 1.25]
    runs = Table(
        N=N, D=D, L=L, seed=seed, learning_rate=np.full(len(N), 1e-3),
        chance_loss=np.full(len(N), 10.0),
    )  # fmt: skip
    assert runs.unlearned().rows == 0
    rows, left_out = begun(forms.additive, runs)
    assert rows.rows == len(N) - 2
    assert sorted(left_out["D"]) == sorted(D[order[:2]])
    assert set(left_out["seed"]) == {1}
    clean = runs.where(seed=0)
    assert begun(forms.additive, clean)[1].rows == 0


def test_few_rows_are_taken_as_they_are():
    runs = Table(N=[1, 2, 3], D=[1, 2, 3], L=[1.0, 0.9, 0.8], chance_loss=[2.0] * 3)
    rows, left_out = begun(forms.additive, runs)
    assert (rows.rows, left_out.rows) == (3, 0)
