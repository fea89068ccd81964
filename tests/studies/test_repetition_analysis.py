"""The study of repeated data: planted B_rep and beta_rep come back as the omega of
Eq. 5, and missing runs leave no numbers."""

from dataclasses import replace

import numpy as np
import pytest
from study_records import PLATEAU, RISING, record, repeated_record

from jetlab.laws import forms
from jetlab.records import Table
from jetlab.studies import repetition
from jetlab.studies.repetition import fit_repetition, quantities

LAW = {"L_inf": 0.3302, "A": 10.0, "alpha": 0.4, "B": 6.0, "beta": 0.3}
MANY = {"B_rep": 4.0, "beta_rep": 0.28}
SHOWER = {"source": "shower-v1:seed=0", "inputs": "full-128"}
SIZES = (1_000, 10_000, 100_000, 1_000_000)


def single():
    """Single passes on the law, with 0.1 % scatter, on jets with a known floor."""
    rng = np.random.default_rng(0)
    records = []
    for N in SIZES:
        for D in np.logspace(3, 7, 5):
            row = {"N": np.array([N]), "D": np.array([D])}
            loss = float(forms.additive.predict(LAW, row)[0])
            noise = np.exp(1e-3 * rng.normal())
            records.append(record(N, int(D), loss * noise, **SHOWER))
    return records


def repeated(smallest=10_000):
    """Runs of three sizes that overfit six data sets, the smallest the best."""
    sizes = 128 * np.array([10, 30, 100, 300, 1000, 3000])
    return [
        repeated_record(
            N, int(U), RISING - RISING.min() + worse + LAW["L_inf"]
            + MANY["B_rep"] / U ** MANY["beta_rep"], **SHOWER,
        )
        for U in sizes
        for N, worse in ((smallest, 0.0), (30_000, 0.01), (100_000, 0.02))
    ]  # fmt: skip


@pytest.fixture(scope="module")
def records():
    return [*repeated(), *single()]


@pytest.fixture(scope="module")
def found(records):
    rows = Table.of_records(records).where(arm="single")
    return fit_repetition(records, rows)


def values(table):
    return {row[0]: row[1:] for row in table.rows}


def test_omega_is_that_of_the_planted_laws(found):
    """(B / B_rep)^(1/beta) U^(beta_rep/beta - 1) by hand, at the ends."""
    rows = values(quantities(replace(found, floor=None), "full-128"))
    for unique in (1_280, 384_000):
        omega = (LAW["B"] / MANY["B_rep"]) ** (1 / LAW["beta"])
        omega *= unique ** (MANY["beta_rep"] / LAW["beta"] - 1)
        paper, here, _ = rows[f"omega at {unique:,} jets"]
        assert paper == "2.7"
        assert float(here.split(" ")[0]) == pytest.approx(omega, rel=0.03)
    assert float(rows["beta_rep"][1].split(" ")[0]) == pytest.approx(0.28, abs=0.002)


def test_the_paper_is_quoted_for_its_own_inputs(found):
    """And beside jets whose floor is unknown."""
    rows = values(quantities(replace(found, floor=None), "full-40"))
    assert rows["B_rep"][0] == "7.080 (6.270, 7.790)"
    assert rows["omega at 1,280 jets"][0] == ""
    assert {row[0] for row in values(quantities(found, "full-40")).values()} == {""}
    assert {row[0] for row in values(quantities(found, "angles")).values()} == {""}


def test_runs_that_overfit_the_same_jets_are_compared(found):
    """0.02 nats above the lowest of each data set."""
    lowest = found.lowest["L"]
    spread = [f"{1 + 0.02 / loss:.3f}" for loss in (lowest.max(), lowest.min())]
    name = "highest over lowest loss of runs that overfit the same jets"
    assert values(quantities(found, "own"))[name][1] == " to ".join(spread)


def test_plateaus_at_the_last_epoch_are_counted(records):
    """Small models on a plateau, large ones that overfit: a threshold between."""
    flat = [
        repeated_record(100, r.D, PLATEAU + 0.001 * i, **SHOWER)
        for i, r in enumerate(repeated()[::3])
    ]
    early = PLATEAU.copy()
    early[20] = early.min() - 1e-6  # the best: patience ended this run
    flat.append(repeated_record(100, 1_280, early, **SHOWER))
    rows = Table.of_records(records).where(arm="single")
    fitted = replace(fit_repetition([*records, *flat], rows), floor=None)
    line = values(quantities(fitted, "full-128"))[
        "lambda of the overfitting threshold N = k D^lambda"
    ]
    assert line[0] == "0.47"
    assert float(line[1].split(" ")[0]) == pytest.approx(0, abs=0.2)
    assert "6 runs were on a plateau at the last epoch allowed" in line[2]


@pytest.mark.slow
def test_the_analysis_has_the_figures_of_the_paper(records):
    analysis = repetition.analyse(records)
    assert set(analysis.figures) == {
        "fig_2ab_loss_against_compute", "fig_2c_loss_against_data",
        "fig_3_overfitting", "validation_curves",
    }  # fmt: skip
    assert len(analysis.figures["fig_2c_loss_against_data"].axes) == 2
    lines = analysis.figures["fig_2ab_loss_against_compute"].axes[0].lines
    (path,) = [line for line in lines if str(line.get_label()).startswith("best")]
    most = max(r.C for r in records if r.arm == "single")
    assert most < np.max(path.get_xdata()) < 10 * most
    assert set(analysis.results) == {"fit", "fit_known_limit", "fit_repeated"}
    assert any(line.startswith("omega at") and "(" in line for line in analysis.known)
    assert [row[0] for row in analysis.tables["Backtest of laws of repeated data"].rows]


def test_without_a_law_of_single_passes_there_is_no_eq_4(records):
    """Four single passes determine no law: no omega, and the reasons stand there."""
    few = Table.of_records([r for r in records if r.arm == "single"][:4])
    found = fit_repetition([r for r in records if r.arm == "repeated"], few)
    rows = values(quantities(found, "full-128"))
    assert "needs 3 data sets" in rows["B_rep, beta_rep, omega"][2]
    assert rows["lambda of the overfitting threshold N = k D^lambda"][2].startswith(
        "no threshold: no run underfits"
    )


def test_without_runs_that_overfit_there_is_no_compute(records):
    rows = Table.of_records(records).where(arm="single")
    flat = [repeated_record(1_000, 1_280, PLATEAU, **SHOWER)]
    cells = values(quantities(fit_repetition(flat, rows), "full-128"))
    assert "no run overfits" in cells[
        "compute over that of the best single pass of equal loss"
    ][2]  # fmt: skip


def test_single_passes_that_guess_leave_nothing_to_fit():
    found = repetition.analyse([*repeated(), record(1_000, 1_280, 2.3, **SHOWER)])
    assert found.sentences[-1].startswith("No run has learned")
    assert not found.tables
