"""Closure of the floor: planted laws, bent laws, and grids that bear no law."""

from pathlib import Path

import numpy as np
import pytest
from jetlab.studies.closure.estimators import (
    ESTIMATORS,
    Coverage,
    Estimate,
    estimates,
    imagined,
    reaches,
)
from jetlab.studies.closure.grids import closure
from jetlab.studies.closure.report import report

from jetlab.laws import forms
from jetlab.laws.fit import fit
from jetlab.records import Record
from jetlab.runs.study import load_experiment
from jetlab.studies.joint_law import fit_laws

EXPERIMENT = Path(__file__).parents[2] / "experiments" / "known_limit.py"
LAW = {"L_inf": 0.32, "A": 11.27, "alpha": 0.44, "B": 7.22, "beta": 0.22}
SIZES, EXAMPLES = np.logspace(3, 7, 4), np.logspace(3, 8, 4)
MANY = {"B_rep": 5.0, "beta_rep": 0.25}
DEFAULT = ESTIMATORS[0].name


def planted(scatter, bend=0.0, sizes=SIZES):
    """Sixteen rows of the law; with a bend, more is gained by N at large N."""
    N, D = (column.ravel() for column in np.meshgrid(sizes, EXAMPLES))
    L = forms.additive.predict(LAW, {"N": N, "D": D}) - bend * N / SIZES.max()
    noise = np.random.default_rng(0).normal(size=N.size)
    return {"N": N, "D": D, "L": L * np.exp(scatter * noise)}


def repeated():
    """The envelope of four repeated data sets, exactly on Eq. 4."""
    U = np.logspace(3, 6, 4)
    L = LAW["L_inf"] + MANY["B_rep"] / U ** MANY["beta_rep"]
    return {"N": np.full(4, 1e6), "U": U, "D": 9 * U, "L": L}


def nothing():
    return {name: np.zeros(0) for name in ("N", "U", "D", "L")}


@pytest.fixture(scope="module")
def found():
    rows = planted(1e-3)
    laws = fit_laws(rows, (LAW["L_inf"], 0.004))
    return closure(rows, repeated(), laws, tables=4)


def test_reaches_are_nested_down_to_three_levels():
    rows = planted(0.0)
    nested = reaches(rows, "N")
    assert [reach.end for reach in nested] == SIZES[:1:-1].tolist()
    assert [len(reach.rows["L"]) for reach in nested] == [16, 12]
    for reach in nested:
        own = rows["N"] <= reach.end
        np.testing.assert_array_equal(reach.rows["L"], rows["L"][own])


def test_a_reach_has_more_cells_than_parameters():
    """Two sizes of N leave 4 x 2 and 3 x 2 cells; seeds of a cell are no cells."""
    two = planted(0.0, sizes=SIZES[:2])
    assert [len(reach.rows["L"]) for reach in reaches(two, "D")] == [8, 6]
    assert not reaches(two, "N")
    one = planted(0.0, sizes=SIZES[:1])
    seeds = {name: np.repeat(column, 3) for name, column in one.items()}
    assert not reaches(seeds, "D")


def test_every_estimator_finds_a_planted_floor(found):
    """Scatter of 0.1 % leaves about 0.005 of 0.32 open on the whole grid."""
    for estimator in ESTIMATORS:
        one = found.whole.found[estimator.name]
        assert one.identified
        assert one.value == pytest.approx(LAW["L_inf"], abs=0.01)
        np.testing.assert_allclose(one.interval, LAW["L_inf"], atol=0.015)
        assert one.interval[0] < one.value < one.interval[1]


def test_a_bend_moves_the_floor_with_the_reach_in_N():
    """What only large models gain is taken for a lower floor once they are there."""
    rows = planted(1e-3, bend=0.05)
    whole, short = (estimates(reach.rows, draws=20) for reach in reaches(rows, "N"))
    for estimator in ESTIMATORS:
        drop = short[estimator.name].value - whole[estimator.name].value
        assert 0.01 < drop < 0.3, estimator.name
    assert short[DEFAULT].value == pytest.approx(LAW["L_inf"], abs=0.02)


def test_a_term_that_runs_to_zero_is_survived():
    """Losses without a floor, that do not depend on N: nothing is identified."""
    rows = planted(0.0)
    noise = np.random.default_rng(1).normal(size=16)
    found = estimates(rows | {"L": rows["D"] ** -0.1 * np.exp(1e-3 * noise)}, draws=20)
    for one in found.values():
        assert not one.identified
        assert one.value < 0.01
        assert one.interval is None or np.isfinite(one.interval).all()


def test_omega_is_that_of_the_planted_laws(found):
    """Eq. 5 by hand, at every reach where the floor is known."""
    known = [gain for gain in found.gains if gain.known]
    assert [(gain.cut, gain.end) for gain in known] == [
        ("D", EXAMPLES[3]), ("D", EXAMPLES[2]), ("U", 1e6), ("U", 1e5)
    ]  # fmt: skip
    for gain in known:
        for size, omega in zip((1e3, 1e6), gain.omegas, strict=True):
            power = MANY["beta_rep"] / LAW["beta"] - 1
            truth = (LAW["B"] / MANY["B_rep"]) ** (1 / LAW["beta"]) * size**power
            assert omega.omega == pytest.approx(truth, rel=0.04)


@pytest.mark.slow
def test_intervals_cover_as_docs_intervals_has_it():
    """Sixteen cells with 1 % scatter there; 50 tables are good to 0.065, and three of
    these errors are allowed."""
    truth = LAW["L_inf"]
    rows = planted(0.01)
    law = fit(forms.additive, rows, fixed={"L_inf": truth})
    tables = imagined(law, rows, 50)
    for estimator, share in zip(ESTIMATORS[:3], (0.74, 0.68, 0.70), strict=True):
        one = Coverage.of([found[estimator.name] for found in tables], truth)
        assert abs(one.held - share) < 3 * 0.065, estimator.name
        assert one.told > 0.9


def test_pulls_and_verdicts_of_an_estimate():
    one = Estimate(value=0.5, interval=(0.4, 0.7), identified=True)
    assert one.pull(0.3) == pytest.approx(2)
    assert one.pull(0.6) == pytest.approx(-0.5)
    assert (one.holds(0.3), one.holds(0.6)) == (False, True)
    none = Estimate(value=0.5, interval=None, identified=False)
    assert (none.pull(0.3), none.holds(0.3)) == (None, None)


def test_shares_of_the_imagined_tables_by_hand():
    ends = [(0.9, 1.1), (0.5, 0.7), None, (0.8, 1.4)]
    values = [1.0, 0.6, 0.1, 1.2]
    made = [
        Estimate(value=value, interval=interval, identified=interval is not None)
        for value, interval in zip(values, ends, strict=True)
    ]
    one = Coverage.of(made, 1.0)
    assert (one.identified, one.told) == (0.75, 0.75)
    assert one.held == pytest.approx(2 / 3)
    assert one.width == pytest.approx(0.1)
    assert one.error == pytest.approx(0.3)


def test_the_report_has_words_tables_and_the_figure(found):
    said = report(found)
    assert list(said.tables) == [
        "L_inf by how far the grid reaches",
        "What to expect if the law held",
        "omega by reach",
    ]
    kept = [row[0] for row in said.tables["L_inf by how far the grid reaches"].rows]
    assert kept == ["all", f"N to {SIZES[2]:,.0f}", f"D to {EXAMPLES[2]:,.0f}"]
    assert said.words[0].startswith("Known limit 0.3200 ± 0.0040 nats")
    assert list(said.figures) == ["fig_closure"]


def test_without_a_known_limit_there_is_no_truth():
    rows = planted(1e-3)
    said = report(closure(rows, nothing(), fit_laws(rows, None), tables=4))
    assert said.words[-1].endswith("nothing to close against.")
    (grid,) = said.tables.values()
    assert not any("holds" in cell or "misses" in cell for cell in grid.rows[0])
    assert list(said.figures) == ["fig_closure"]


def test_rows_that_bear_no_law_are_told():
    rows = {name: column[:4] for name, column in planted(0.0).items()}
    said = report(closure(rows, nothing(), fit_laws(rows, (0.32, 0.004)), tables=4))
    assert said.words == [
        "No grid of these runs can bear the law: there is nothing to close."
    ]
    assert not said.tables
    assert not said.figures


def record(N, D, loss, patience=0):
    return Record(
        id=f"{N}-{D}", status="done", study="test", source="none", inputs="full-10",
        width=1, N=N, D=D, epochs=1, C=60.0 * N * D, n_p=10.0, seed=0, batch=128,
        learning_rate=1e-3, weight_decay=0.0, loss=loss, loss_error=1e-3,
        num_valid=1000, patience=patience, seconds=0.0, device="", version="",
    )  # fmt: skip


def test_runs_that_only_guess_leave_nothing_to_close():
    experiment = load_experiment(EXPERIMENT)
    guess, often = record(100, 1000, 2.3), record(100, 1000, 2.0, patience=5)
    said = experiment.analyse([guess, often])
    assert said.words[-1] == "No run is left to fit: train on more jets."
    said = experiment.analyse([guess, often, record(200, 1000, 1.0)])
    assert said.words[-1].endswith("there is nothing to close.")
    assert list(said.results) == ["fit"]
