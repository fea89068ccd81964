"""Eq. 4 by inputs, from records of runs with planted floors and exponents."""

from dataclasses import replace

import numpy as np
import pytest
from jetlab.studies.repetition.inputs import compare_inputs, configurations

from jetlab.records import Record

SOURCE = "shower-v1:seed=0"
PLANTED = {"kinematics-40": (0.760, 0.21), "full-10": (0.641, 0.26)}
TIME = np.linspace(0, 1, 30)
RISE = 0.4 * np.exp(-10 * TIME) + 0.3 * np.maximum(TIME - 0.4, 0)


def record(inputs, num_train, loss, source=SOURCE):
    """A run whose validation loss falls to `loss`, and rises again."""
    curve = loss + RISE - RISE.min()
    best = int(np.argmin(curve))
    return Record(
        id=f"{inputs}-{num_train}", status="done", study="test", source=source,
        inputs=inputs, width=32, N=50_000, D=int(num_train), epochs=50, C=0.0, n_p=40.0,
        seed=0, batch=128, learning_rate=1e-3, weight_decay=0.0, num_valid=1000,
        loss=float(curve[best]), steps=10 * (best + 1), patience=12, seconds=0.0,
        valid_curve=[(10 * (i + 1), float(v)) for i, v in enumerate(curve)],
        device="", version="",
    )  # fmt: skip


@pytest.fixture(scope="module")
def records():
    return [
        record(inputs, D, floor + 6 / D**beta)
        for inputs, (floor, beta) in PLANTED.items()
        for D in np.geomspace(1e3, 1e6, 7)
    ]


@pytest.fixture(scope="module")
def found(records):
    return configurations(records)


def test_planted_floors_and_exponents_come_back(found):
    assert [one.name for one in found] == list(PLANTED)
    for one in found:
        floor, beta = PLANTED[one.name]
        assert one.free.params["L_inf"] == pytest.approx(floor, rel=1e-3)
        assert one.free.params["beta_rep"] == pytest.approx(beta, rel=1e-2)
        assert one.limit[0] == pytest.approx(floor, abs=2e-3)


def test_the_report_has_what_the_paper_has(found):
    said = compare_inputs(found)
    assert list(said.figures) == ["fig_4_inputs"]
    table = said.tables["Table 2: Eq. 4 by inputs"]
    assert table.rows[0][:3] == [
        "kinematics-40", "L_inf", "0.740 (0.670, 0.770)"
    ]  # fmt: skip
    asked = said.tables["Do the inputs share one exponent?"]
    assert [row[0].split(":")[0] for row in asked.rows] == ["free", "known"]
    assert all(float(row[3]) < 0.05 for row in asked.rows)  # .21 and .26 are not one
    assert sum("contradict one beta_rep" in words for words in said.words) == 2


def test_a_source_without_a_limit_has_no_pinned_fit(records):
    elsewhere = [replace(one, source="store:abc") for one in records]
    found = configurations(elsewhere)
    assert [one.limit for one in found] == [None, None]
    assert [one.pinned for one in found] == [None, None]
    assert len(compare_inputs(found).tables["Table 2: Eq. 4 by inputs"].rows) == 6


def test_few_runs_are_said_to_be_few(records):
    """Two data sets decide no law of three parameters; nothing is made up."""
    found = configurations([r for r in records if r.D in (1000, 1_000_000)])
    said = compare_inputs(found)
    assert not found[0].free.identified
    assert any("cannot be tested" in words for words in said.words)


def test_no_run_that_overfits_gives_no_configuration(records):
    plateau = [replace(one, valid_curve=one.valid_curve[:12]) for one in records]
    assert configurations(plateau) == []
    assert compare_inputs([]).figures == {}
