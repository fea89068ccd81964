"""Eq. 4 by inputs, from records of runs with planted floors and exponents."""

from dataclasses import replace

import numpy as np
import pytest
from study_records import TIME, repeated_record

from jetlab.studies import inputs
from jetlab.studies.inputs import fit_inputs, one_exponent, table_2
from jetlab.studies.inputs_plots import PAPER_STYLES, inputs_styles

PLANTED = {"kinematics-40": (0.760, 0.21), "full-10": (0.641, 0.26)}
RISE = 0.4 * np.exp(-10 * TIME) + 0.3 * np.maximum(TIME - 0.4, 0)


def runs(label, floor, beta, sizes=7):
    """Runs whose validation losses fall to floor + 6 / D^beta, and rise again."""
    return [
        repeated_record(
            50_000, int(D), floor + 6 / D**beta + RISE - RISE.min(), inputs=label,
            source="shower-v1:seed=0", patience=12,
        )
        for D in np.geomspace(1e3, 1e6, sizes)
    ]  # fmt: skip


@pytest.fixture(scope="module")
def records():
    return [one for label, law in PLANTED.items() for one in runs(label, *law)]


@pytest.fixture(scope="module")
def found(records):
    return fit_inputs(records)


def test_planted_floors_and_exponents_come_back(found):
    assert [one.label for one in found] == list(PLANTED)
    for one in found:
        floor, beta = PLANTED[one.label]
        free = one.fits["free"]
        assert free.params["L_inf"] == pytest.approx(floor, rel=1e-3)
        assert free.params["beta_rep"] == pytest.approx(beta, rel=1e-2)
        assert one.floor[0] == pytest.approx(floor, abs=2e-3)
        assert one.fits["L_inf fixed"].fixed == {"L_inf": one.floor[0]}


def test_the_report_has_what_the_paper_has(records):
    said = inputs.analyse(records)
    assert list(said.figures) == ["fig_4_inputs"]
    assert list(said.results) == ["fit_kinematics-40", "fit_full-10"]
    table = said.tables["Table 2: Eq. 4 by inputs"]
    kinds = ("free", "L_inf fixed", "known floor")
    labels = [("kinematics-40", kind) for kind in kinds]
    assert [(row[0], row[1]) for row in table.rows[:3]] == labels
    assert table.rows[2][3] == "0.7600 ± 0.0046"
    (beta,) = [one for one in said.known if one.startswith("kinematics-40 (L_inf")]
    assert "beta_rep = 0.2" in beta
    (floor,) = [one for one in said.unknown if one.startswith("kinematics-40: L_inf")]
    assert "one curve over a factor" in floor
    assert "the known floor is 0.76" in floor
    assert any("one beta_rep is contradicted" in line for line in said.known)


def test_jetclass_has_the_papers_values_beside_its_own(found):
    jetclass = [replace(one, floor=None) for one in found]
    row = table_2(jetclass).rows[0]
    assert row[:2] == ["kinematics-40", "paper, JetClass"]
    assert row[3] == "0.740 (0.670, 0.770)"


def test_exponents_of_026_and_021_are_not_one(found):
    rows = one_exponent(found).rows
    assert [row[0] for row in rows] == ["free", "known"]
    for row in rows:
        assert row[1] == "kinematics-40, full-10"
        assert 0.21 < float(row[2]) < 0.26
        assert float(row[4]) < 0.05
        assert row[-1].startswith("one beta_rep is contradicted")


def test_known_floors_enter_the_test_of_known_floors_alone():
    """Runs with floors 0.2 nats above the known floors: free fits find the exponents,
    those with L_inf fixed find lower ones."""
    records = [
        one
        for label, (floor, beta) in PLANTED.items()
        for one in runs(label, floor + 0.2, beta)
    ]
    free, known = (
        [float(x) for x in row[3].split(", ")]
        for row in one_exponent(fit_inputs(records)).rows
    )
    assert free == pytest.approx([0.21, 0.26], abs=0.003)
    assert max(known) < 0.19


def test_equal_exponents_are_not_contradicted():
    """1e-4 scatter about one exponent."""
    rng = np.random.default_rng(1)
    records = []
    for label, (floor, _) in PLANTED.items():
        for run in runs(label, floor, 0.24):
            noise = 1 + 1e-4 * rng.normal(size=len(run.valid_curve))
            points = zip(run.valid_curve, noise, strict=True)
            curve = [(step, x * by) for (step, x), by in points]
            loss = min(x for _, x in curve)
            records.append(replace(run, loss=loss, valid_curve=curve))
    free, known = one_exponent(fit_inputs(records)).rows
    for row in (free, known):
        assert float(row[2]) == pytest.approx(0.24, abs=0.003)
        assert float(row[4]) > 0.05
        assert row[-1].startswith("not contradicted")


def test_own_inputs_have_a_free_fit_and_their_label():
    """In the order of the runs, without published numbers and a known floor."""
    records = [*runs("angles", 0.8, 0.2), *runs("full-10", *PLANTED["full-10"])]
    found = fit_inputs(records)
    assert [one.label for one in found] == ["angles", "full-10"]
    assert (found[0].floor, list(found[0].fits)) == (None, ["free"])
    assert [row[:2] for row in table_2(found).rows[:2]] == [
        ["angles", "free"], ["full-10", "free"]
    ]  # fmt: skip
    assert one_exponent(found).rows[1][-1].startswith("not tested: two inputs")
    assert "fit_angles" in inputs.analyse(records).results


def test_own_inputs_have_colours_of_their_own():
    styles = inputs_styles(["b", "full-40", "a", *PAPER_STYLES])
    assert styles["full-40"] == PAPER_STYLES["full-40"]
    assert styles["b"].name == "b"
    assert len({style.color for style in styles.values()}) == 6


def test_few_runs_are_not_fitted(records):
    """Two data sets determine no law of three parameters."""
    found = fit_inputs([r for r in records if r.D in (1000, 1_000_000)])
    assert not found[0].fits["free"].identified
    assert all(row[-1].startswith("not tested") for row in one_exponent(found).rows)


def test_without_runs_that_overfit_there_is_no_fit(records):
    plateau = [replace(one, valid_curve=one.valid_curve[:12]) for one in records]
    assert fit_inputs(plateau) == []
    found = inputs.analyse(plateau)
    assert found.figures == {}
    assert found.sentences[-1].startswith("No run that has learned overfits")
