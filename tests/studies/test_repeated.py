"""Repeated runs: their rows, envelope and compute, against planted laws."""

from dataclasses import replace

import numpy as np
import pytest
from study_records import PLATEAU, RISING, record, repeated_record

from jetlab.laws import forms
from jetlab.laws.evidence.draws import Draws
from jetlab.laws.fit import fit
from jetlab.records import Table
from jetlab.studies.repeated_runs import (
    compute_factor,
    envelope,
    fit_envelope,
    repeated_runs,
)

LAW = {"L_inf": 0.3, "A": 10.0, "alpha": 0.4, "B": 6.0, "beta": 0.3}


@pytest.fixture
def runs():
    return repeated_runs(
        [
            repeated_record(1_000, 12800, PLATEAU - 0.1),
            repeated_record(30_000, 12800, RISING - 0.2),
            repeated_record(1_000, 1280, PLATEAU),
            repeated_record(10_000, 1280, RISING),
            repeated_record(30_000, 1280, RISING + 0.01),
            repeated_record(1_000, 12800, PLATEAU, status="failed"),
            record(1_000, 12800, 0.8, patience=5),
        ]
    )


def test_rows_are_where_the_loss_was_lowest(runs):
    assert runs["curve"].tolist() == [
        "underfits", "overfits", "underfits", "overfits", "overfits"
    ]  # fmt: skip
    best = int(np.argmin(RISING))
    assert runs["D"][3] == 128 * 10 * (best + 1)
    assert runs["epochs"][3] == best + 1
    assert runs["C"][3] == 6 * 40 * 10_000 * runs["D"][3]
    assert runs["L"][3] == RISING.min()
    assert runs["U"].tolist() == [12800, 12800, 1280, 1280, 1280]


def test_an_arm_is_a_name_and_no_patience(runs):
    """The single pass above stops early too, and is no repeated run."""
    assert runs.rows == 5
    renamed = repeated_record(1_000, 1280, PLATEAU, patience=0)
    assert repeated_runs([renamed]).rows == 1


def test_the_envelope_is_of_runs_that_overfit(runs):
    """By rising U, whatever the order of the runs."""
    lowest = envelope(runs)
    assert lowest["U"].tolist() == [1280, 12800]
    assert lowest["N"].tolist() == [10_000, 30_000]
    assert lowest["spread"] == pytest.approx([1 + 0.01 / RISING.min(), 1.0])


def test_the_envelope_leaves_out_runs_near_the_chance_loss():
    guess = repeated_record(30_000, 640, RISING - RISING.min() + 2.29)
    runs = repeated_runs([guess, repeated_record(10_000, 1280, RISING)])
    assert runs["curve"].tolist() == ["overfits", "overfits"]
    assert runs["learned"].tolist() == [False, True]
    assert envelope(runs)["U"].tolist() == [1280]


def test_a_run_stopped_if_patience_ran_out(runs):
    assert runs["stopped"].tolist() == [False, True, False, True, True]
    waited = 29 - int(np.argmin(RISING))  # evaluations after the best one
    for patience, stopped in ((waited, True), (waited + 1, False)):
        (one,) = repeated_runs([repeated_record(1, 1280, RISING, patience=patience)])[
            "stopped"
        ]
        assert one == stopped


def test_without_repeated_runs_there_is_no_envelope():
    none = repeated_runs([record(1_000, 1280, 0.8)])
    assert envelope(none).rows == 0
    assert "spread" in envelope(none)


@pytest.fixture(scope="module")
def law():
    n, d = (a.ravel() for a in np.meshgrid(np.logspace(3, 6, 4), np.logspace(3, 7, 5)))
    table = {"N": n, "D": d}
    return fit(forms.additive, table | {"L": forms.additive.predict(LAW, table)})


def test_eq_4_has_the_floor_of_the_single_passes(law):
    U = np.logspace(3, 6, 5)
    lowest = Table(U=U, L=0.3 + 4.0 / U**0.28)
    eq4 = fit_envelope(lowest, law)
    assert eq4
    assert eq4.fixed == {"L_inf": law.params["L_inf"]}
    assert eq4.params["B_rep"] == pytest.approx(4.0, rel=1e-3)
    assert eq4.params["beta_rep"] == pytest.approx(0.28, rel=1e-3)
    assert eq4.draws
    below = replace(law, params={**law.params, "L_inf": 0.0})
    found = fit_envelope(lowest, below)
    assert found
    assert found.fixed == {"L_inf": 1e-9}


def test_eq_4_needs_three_data_sets_and_a_law(law):
    lowest = Table(U=np.array([1e3, 1e4, 1e5]), L=np.array([0.9, 0.7, 0.5]))
    assert fit_envelope(lowest, law)
    assert fit_envelope(lowest.take([0, 1]), law) is None
    assert fit_envelope(lowest, replace(law, objective=np.nan)) is None


def test_a_planted_factor_in_compute_is_found(law):
    """Rows that reach the best single pass's loss with ten times its compute."""
    C = np.array([1e10, 1e12, 1e14])
    p = LAW
    total = p["alpha"] + p["beta"]
    scale = (p["alpha"] * p["A"] / (p["beta"] * p["B"])) ** (1 / total)
    N = scale * (C / 240) ** (p["beta"] / total)
    loss = forms.additive.predict(LAW, {"N": N, "D": C / 240 / N})
    rows = Table(C=np.array([5, 10, 20]) * C, L=loss)
    value, interval = compute_factor(law, rows)
    assert value == pytest.approx(10, rel=1e-5)
    assert interval is None
    drawn = {name: np.full(50, x) for name, x in law.params.items()}
    drawn["L_inf"] = drawn["L_inf"] + np.linspace(-0.01, 0.01, 50)
    wide = replace(law, draws=Draws(values=drawn, asked=50, message=""))
    value, interval = compute_factor(wide, rows)
    assert value == pytest.approx(10, rel=1e-5)
    assert interval
    assert interval[0] < 10 < interval[1]
    drawn["L_inf"][7] = 0.99 * loss[1]  # above the row of 1e14 FLOPs only
    high = replace(law, draws=Draws(values=drawn, asked=50, message=""))
    _, without = compute_factor(high, rows)
    assert without == pytest.approx(interval, rel=0.05)


def test_a_floor_above_a_row_is_refused(law):
    rows = Table(C=np.array([1e12]), L=np.array([0.2]))
    with pytest.raises(ValueError, match=r"L_inf = 0.3 lies above the loss"):
        compute_factor(law, rows)
