"""Runs of several passes: what is read off their records, against planted laws."""

from dataclasses import replace

import numpy as np
import pytest
from jetlab.studies.repetition.repeated import compute_factor, envelope, repeats

from jetlab.laws import forms
from jetlab.laws.fit import fit
from jetlab.laws.result import Draws
from jetlab.records import Record

LAW = {"L_inf": 0.3, "A": 10.0, "alpha": 0.4, "B": 6.0, "beta": 0.3}


def record(N, D, curve, patience=5):
    """A run at the lowest point of its curve, evaluated every ten steps."""
    best = int(np.argmin(curve))
    return Record(
        id=f"{N}-{D}", status="done", study="test", source="none", inputs="full-40",
        width=1, N=N, D=D, epochs=50, C=0.0, n_p=40.0, seed=0, batch=128,
        learning_rate=1e-3, weight_decay=0.0, loss=float(curve[best]), num_valid=1000,
        valid_curve=[(10 * (i + 1), float(loss)) for i, loss in enumerate(curve)],
        steps=10 * (best + 1), patience=patience, seconds=0.0, device="", version="",
    )  # fmt: skip


TIME = np.linspace(0, 1, 30)
PLATEAU = 0.8 + 0.4 * np.exp(-10 * TIME)
RISING = PLATEAU + 0.1 * np.maximum(TIME - 0.4, 0)


@pytest.fixture
def found():
    return repeats(
        [
            record(1_000, 1280, PLATEAU),
            record(10_000, 1280, RISING),
            record(30_000, 1280, RISING + 0.01),
            record(1_000, 12800, PLATEAU - 0.1),
            record(30_000, 12800, RISING - 0.2),
            record(1_000, 12800, PLATEAU, patience=0),
        ]
    )


def test_rows_are_where_the_loss_was_lowest(found):
    assert found.verdicts == (
        "underfits", "overfits", "overfits", "underfits", "overfits"
    )  # fmt: skip
    rows = found.rows
    best = int(np.argmin(RISING))
    assert rows["D"][1] == 128 * 10 * (best + 1)
    assert rows["epoch"][1] == best + 1
    assert rows["C"][1] == 6 * 40 * 10_000 * rows["D"][1]
    assert rows["L"][1] == RISING.min()


def test_the_envelope_is_of_runs_that_overfit(found):
    best = envelope(found)
    assert best["U"].tolist() == [1280, 12800]
    assert best["N"].tolist() == [10_000, 30_000]
    assert best["spread"] == pytest.approx([1 + 0.01 / RISING.min(), 1.0])


def test_the_envelope_leaves_out_runs_that_only_unlearn():
    """A run that begins to overfit at the loss of a guess has got nothing out."""
    guessing = record(30_000, 640, RISING - RISING.min() + 2.29)
    found = repeats([guessing, record(10_000, 1280, RISING)])
    assert found.verdicts == ("overfits", "overfits")
    assert found.begun.tolist() == [False, True]
    assert envelope(found)["U"].tolist() == [1280]


def test_a_run_cut_by_the_last_pass_is_told_from_one_that_stopped(found):
    assert found.stopped.tolist() == [False, True, True, False, True]


def test_no_repeated_runs_are_no_trouble():
    none = repeats([record(1_000, 1280, PLATEAU, patience=0)])
    assert envelope(none)["L"].size == 0


@pytest.fixture(scope="module")
def law():
    n, d = (a.ravel() for a in np.meshgrid(np.logspace(3, 6, 4), np.logspace(3, 7, 5)))
    table = {"N": n, "D": d}
    return fit(forms.additive, table | {"L": forms.additive.predict(LAW, table)})


def test_a_planted_factor_in_compute_is_found(law):
    """Rows that reach the best single pass's loss with ten times its compute."""
    C = np.array([1e10, 1e12, 1e14])
    p = LAW
    total = p["alpha"] + p["beta"]
    scale = (p["alpha"] * p["A"] / (p["beta"] * p["B"])) ** (1 / total)
    N = scale * (C / 240) ** (p["beta"] / total)
    loss = forms.additive.predict(LAW, {"N": N, "D": C / 240 / N})
    rows = {"C": 10 * C, "L": loss}
    value, interval = compute_factor(law, rows, 40.0)
    assert value == pytest.approx(10, rel=1e-5)
    assert interval is None
    drawn = {name: np.full(50, x) for name, x in law.params.items()}
    drawn["L_inf"] = drawn["L_inf"] + np.linspace(-0.01, 0.01, 50)
    wide = replace(law, draws=Draws(values=drawn, asked=50, message=""))
    value, interval = compute_factor(wide, rows, 40.0)
    assert value == pytest.approx(10, rel=1e-5)
    assert interval
    assert interval[0] < 10 < interval[1]


def test_a_floor_above_a_row_is_told(law):
    with pytest.raises(ValueError, match="floor lies above a row"):
        compute_factor(law, {"C": np.array([1e12]), "L": np.array([0.2])}, 40.0)
