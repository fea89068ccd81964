"""Closure test of L_inf: planted laws, bent laws, and grids too small for a law."""

from dataclasses import replace

import numpy as np
import pytest
from study_records import record, repeated_record

from jetlab.laws import forms
from jetlab.laws.fit import fit
from jetlab.records import Table
from jetlab.studies import closure
from jetlab.studies.closure import closure_test, report
from jetlab.studies.floor_estimates import (
    ESTIMATORS,
    Coverage,
    Estimate,
    estimates,
    p_value,
    toys,
    truncations,
)
from jetlab.studies.joint_law import fit_free_and_fixed

LAW = {"L_inf": 0.32, "A": 11.27, "alpha": 0.44, "B": 7.22, "beta": 0.22}
SIZES, EXAMPLES = np.logspace(3, 7, 4), np.logspace(3, 8, 4)
MANY = {"B_rep": 5.0, "beta_rep": 0.25}
DEFAULT = ESTIMATORS[0]
FLOOR = (0.32, 0.004)


def planted(scatter, bend=0.0, sizes=SIZES):
    """Sixteen rows of the law; with a bend, more is gained by N at large N."""
    N, D = (column.ravel() for column in np.meshgrid(sizes, EXAMPLES))
    L = forms.additive.predict(LAW, {"N": N, "D": D}) - bend * N / SIZES.max()
    noise = np.random.default_rng(0).normal(size=N.size)
    return Table(N=N, D=D, L=L * np.exp(scatter * noise))


def repeated():
    """The envelope of four repeated data sets, exactly on Eq. 4."""
    U = np.logspace(3, 6, 4)
    L = LAW["L_inf"] + MANY["B_rep"] / U ** MANY["beta_rep"]
    return Table(N=np.full(4, 1e6), U=U, D=9 * U, L=L)


def nothing():
    return Table({name: np.zeros(0) for name in ("N", "U", "D", "L")})


def whole_test(rows, lowest, floor, count=4):
    fits = fit_free_and_fixed(forms.additive, rows, floor)
    return closure_test(rows, lowest, fits, floor, count)


@pytest.fixture(scope="module")
def found():
    return whole_test(planted(1e-3), repeated(), FLOOR)


def test_truncated_grids_are_nested_down_to_three_levels():
    rows = planted(0.0)
    nested = truncations(rows, "N")
    assert [grid.end for grid in nested] == SIZES[:1:-1].tolist()
    assert [grid.rows.rows for grid in nested] == [16, 12]
    for grid in nested:
        own = rows["N"] <= grid.end
        np.testing.assert_array_equal(grid.rows["L"], rows["L"][own])


def test_a_truncated_grid_has_more_cells_than_parameters():
    """Two sizes of N leave 4 x 2 and 3 x 2 cells; seeds of a cell are no cells."""
    two = planted(0.0, sizes=SIZES[:2])
    assert [grid.rows.rows for grid in truncations(two, "D")] == [8, 6]
    assert not truncations(two, "N")
    one = planted(0.0, sizes=SIZES[:1])
    seeds = one.take(np.repeat(np.arange(4), 3))
    assert not truncations(seeds, "D")
    assert len(truncations(two.take([0, 1, 2, 4, 5, 6]), "D")) == 1
    assert not truncations(two.take([0, 1, 2, 4, 5]), "D")


def test_both_estimators_find_a_planted_floor(found):
    """Scatter of 0.1 % leaves about 0.005 of 0.32 open on the whole grid."""
    for name in ESTIMATORS:
        one = found.whole.estimates[name]
        assert one.reliable
        assert one.value == pytest.approx(LAW["L_inf"], abs=0.01)
        np.testing.assert_allclose(one.interval, LAW["L_inf"], atol=0.015)
        assert one.interval[0] < one.value < one.interval[1]
    assert found.by_n[0].runs == 16
    assert found.whole.lowest == planted(1e-3)["L"].min()


def test_a_bend_moves_the_floor_with_the_reach_in_N():
    """What only large models gain is taken for a lower floor once they are there."""
    rows = planted(1e-3, bend=0.05)
    whole, short = (estimates(grid.rows, draws=20) for grid in truncations(rows, "N"))
    for name in ESTIMATORS:
        assert 0.01 < short[name].value - whole[name].value < 0.3, name
    assert short[DEFAULT].value == pytest.approx(LAW["L_inf"], abs=0.02)


def test_losses_without_a_floor_or_N_give_no_reliable_estimate():
    rows = planted(0.0)
    noise = np.random.default_rng(1).normal(size=16)
    found = estimates(rows | {"L": rows["D"] ** -0.1 * np.exp(1e-3 * noise)}, draws=20)
    for one in found.values():
        assert not one.reliable
        assert one.value < 0.01
        assert one.interval is None or np.isfinite(one.interval).all()


def test_omega_is_that_of_the_planted_laws(found):
    """Eq. 5 by hand, at every reach where the floor is known."""
    known = [one for one in found.omegas if one.known]
    assert [(one.cut, one.end) for one in known] == [
        ("D", EXAMPLES[3]), ("D", EXAMPLES[2]), ("U", 1e6), ("U", 1e5)
    ]  # fmt: skip
    for one in known:
        for size, omega in zip((1e3, 1e6), one.omegas, strict=True):
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
    tables = toys(law, rows, 50)
    for name, share in zip(ESTIMATORS, (0.74, 0.68), strict=True):
        one = Coverage.of([toy[name] for toy in tables], truth)
        assert abs(one.coverage - share) < 3 * 0.065, name
        assert one.with_interval > 0.9


def test_toys_have_the_losses_and_the_scatter_of_the_law():
    """Of a law with scatter s, mean and sigma of log L / log law over 16 x 20 draws:
    0 to s / 18 and s to 4 %, five errors allowed."""
    rows = planted(0.02)
    law = fit(forms.additive, rows, fixed={"L_inf": LAW["L_inf"]})
    seen = []

    def record_table(table, *, draws):
        seen.append(np.log(table["L"] / law.predict(rows)))
        return {}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("jetlab.studies.floor_estimates.estimates", record_table)
        toys(law, rows, 20)
    noise = np.array(seen) / law.scatter
    assert noise.shape == (20, 16)
    assert abs(noise.mean()) < 5 / np.sqrt(320)
    assert noise.std() == pytest.approx(1, abs=5 / np.sqrt(640))


def test_pulls_and_coverage_of_an_estimate():
    one = Estimate(value=0.5, interval=(0.4, 0.7), reliable=True)
    assert one.pull(0.3) == pytest.approx(2)
    assert one.pull(0.6) == pytest.approx(-0.5)
    assert (one.covers(0.3), one.covers(0.6)) == (False, True)
    none = Estimate(value=0.5, interval=None, reliable=False)
    assert (none.pull(0.3), none.covers(0.3)) == (None, None)


def made():
    ends = [(0.9, 1.1), (0.5, 0.7), None, (0.8, 1.4)]
    return [
        Estimate(value=value, interval=interval, reliable=interval is not None)
        for value, interval in zip([1.0, 0.6, 0.1, 1.2], ends, strict=True)
    ]


def test_shares_of_toys_by_hand():
    one = Coverage.of(made(), 1.0)
    assert (one.reliable, one.with_interval) == (0.75, 0.75)
    assert one.coverage == pytest.approx(2 / 3)
    assert one.width == pytest.approx(0.1)
    assert one.error == pytest.approx(0.3)


def test_the_p_value_is_the_share_of_toys_at_least_as_far_on_either_side():
    """Distances 0, 0.4, 0.9 and 0.2 from the truth."""
    assert p_value(made(), 1.0, 1.3) == 0.5
    assert p_value(made(), 1.0, 0.6) == 0.5
    assert p_value(made(), 1.0, 1.5) == 0.25


def test_the_report_has_sentences_tables_and_the_figure(found):
    said = report(found)
    assert list(said.tables) == [
        "L_inf by the reach of the grid",
        "Toys on which the law holds",
        "omega by the reach of the grid",
    ]
    rows = said.tables["L_inf by the reach of the grid"].rows
    kept = [row[0] for row in rows]
    assert kept == ["all", f"N to {SIZES[2]:,.0f}", f"D to {EXAMPLES[2]:,.0f}"]
    for name, cell in zip(ESTIMATORS, rows[0][3:], strict=True):
        covers = found.whole.estimates[name].covers(FLOOR[0])
        assert ("; covers, pull" in cell) == covers
        assert ("; misses, pull" in cell) != covers
    assert said.sentences[0].startswith("Known floor 0.3200 ± 0.0040 nats")
    assert list(said.figures) == ["fig_closure"]


def with_toys(found, *, reliable, interval, value=0.32, count=100):
    """Toys alike, so that shares are 0 or 1."""
    one = Estimate(value=value, interval=interval, reliable=reliable)
    return replace(found, toys=[dict.fromkeys(ESTIMATORS, one)] * count)


def test_the_verdict_names_every_reason(found):
    """Toys that all miss, none reliable, and all nearer than the value found."""
    near = found.whole.estimates[DEFAULT].value - FLOOR[0]
    bad = with_toys(found, reliable=False, interval=(0.5, 0.6), value=0.32 + near / 2)
    (verdict,) = report(bad).unknown
    assert "the grid is too short (0 % of the toys are reliable)" in verdict
    assert "the intervals of the bootstrap are too narrow (coverage 0.00)" in verdict
    assert "the intervals of the profile are too narrow (coverage 0.00)" in verdict
    assert "the losses do not follow the law (p-value 0)" in verdict
    good = with_toys(found, reliable=True, interval=(0.3, 0.4), value=0.32 + 2 * near)
    (verdict,) = report(good).known
    assert verdict == "L_inf agrees with the known floor: p-value 1 on toys."


def test_a_coverage_three_errors_below_68_per_cent_is_too_narrow(found):
    """Of 100 toys: 0.68 - 3 sqrt(0.68 0.32 / 100) = 0.540."""
    hit = Estimate(value=0.32, interval=(0.3, 0.4), reliable=True)
    miss = replace(hit, interval=(0.4, 0.5))
    for hits, narrow in ((54, True), (55, False)):
        mixed = [hit] * hits + [miss] * (100 - hits)
        one = replace(found, toys=[dict.fromkeys(ESTIMATORS, toy) for toy in mixed])
        said = report(one)
        assert ("too narrow" in [*said.known, *said.unknown][0]) == narrow


def test_without_a_bayes_limit_there_is_no_truth():
    said = report(whole_test(planted(1e-3), nothing(), None))
    assert "is unknown" in said.sentences[-1]
    (grid,) = said.tables.values()
    assert not any("covers" in cell or "misses" in cell for cell in grid.rows[0])
    assert list(said.figures) == ["fig_closure"]


def test_too_few_rows_are_not_tested():
    said = report(whole_test(planted(0.0).take(range(4)), nothing(), FLOOR))
    assert said.sentences == ["No closure test: too few runs for a fit of L(N, D)."]
    assert not said.tables
    assert not said.figures


SHOWER = {"source": "shower-v1:seed=0", "inputs": "full-10"}


def test_the_analysis_leaves_a_table_of_the_fits_and_its_files():
    guess = record(100, 1000, 2.3, **SHOWER)
    often = repeated_record(100, 1000, np.full(30, 2.0), **SHOWER)
    found = closure.analyse([guess, often])
    assert found.sentences[-1].startswith("No run has learned")
    found = closure.analyse([guess, often, record(200, 1000, 1.0, **SHOWER)])
    assert found.sentences[-1].startswith("No closure test: too few runs")
    assert list(found.results) == ["fit", "fit_known_limit"]
    assert list(found.tables) == ["Table 1: parameters of the law"]
