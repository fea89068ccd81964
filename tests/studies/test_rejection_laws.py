"""R(L) of a study's runs: planted laws come back, limits are no rows, and what is
written is what `jetlab predict` reads."""

from dataclasses import replace
from math import exp

import numpy as np
import pytest
from jetlab.studies.performance.rejection_laws import (
    at_loss,
    beside,
    mapping,
    mappings,
    parameters,
)
from jetlab.studies.performance.tables import quality, rejections
from jetlab.studies.performance.views import (
    against_ideal,
    draw,
    nothing,
    one_curve,
    repeats_reject_more,
    views,
)

from jetlab.laws import forms
from jetlab.laws.fit import fit
from jetlab.laws.rejection_forecast import predict_rejections, read_fits
from jetlab.physics.metrics import EFFICIENCIES
from jetlab.records import Record, Rejected

A, B, C = {"Hbb": 4000.0, "Tbqq": 9000.0}, 4.0, 3.0
LOSSES = np.linspace(0.9, 2.1, 12)
SOURCE = "shower-v1:seed=0"


def record(loss, inputs="full-10", patience=0, factor=1.0):
    """A run whose rejections at every efficiency are those of the planted law."""
    found = []
    for name, scale in A.items():
        R = factor * (scale * exp(-B * loss) + C)
        found += [Rejected(name, e, R, R / 1.05, R * 1.05) for e in EFFICIENCIES]
    return Record(
        id=f"{inputs}-{loss:.4f}-{patience}", status="done", study="test",
        source=SOURCE, inputs=inputs, width=32, N=50_000, D=int(1e4 / loss**4),
        epochs=1, C=0.0, n_p=10.0, seed=0, batch=128, learning_rate=1e-3,
        weight_decay=0.0, num_valid=1000, loss=float(loss),
        metrics={"accuracy": 0.5, "auc": 0.9, "rejections": found},
        patience=patience, seconds=0.0, device="", version="",
    )  # fmt: skip


@pytest.fixture(scope="module")
def records():
    return [record(loss) for loss in LOSSES]


def test_planted_laws_come_back(records):
    for name, one in mappings(records).items():
        assert one.law.params["A"] == pytest.approx(A[name], rel=1e-3)
        assert one.law.params["B"] == pytest.approx(B, rel=1e-3)
        assert one.law.params["C"] == pytest.approx(C, rel=1e-3)
        assert one.law.identified
        expected = at_loss(one, 0.5)
        assert expected.rejection == pytest.approx(A[name] * exp(-2) + C, rel=1e-3)
        assert "is below" in expected.message


def test_a_limit_counts_for_little_and_is_named(records):
    """A run of which no background jet passed says little but that R is larger."""
    low = Rejected("Hbb", 0.5, 50.0, 50.0, None)
    runs = [*records, replace(record(0.8), metrics={"rejections": (low,)})]
    one = mapping(runs, "Hbb", 0.5)
    assert one.points["limit"].sum() == 1
    assert one.law.rows == len(records) + 1
    assert one.law.params["A"] == pytest.approx(A["Hbb"], rel=2e-2)
    assert "1 runs give a limit" in parameters({"Hbb": one}).rows[0][-1]


def test_a_class_with_limits_alone_has_no_law(records):
    limits = tuple(Rejected("Hbb", e, 50.0, 50.0, None) for e in EFFICIENCIES)
    assert (
        mappings([replace(one, metrics={"rejections": limits}) for one in records])
        == {}
    )


def test_runs_that_guess_or_diverged_are_no_points(records):
    others = [record(2.29), replace(record(1.0), status="diverged", loss=None)]
    assert mapping([*records, *others], "Hbb", 0.5).law.rows == len(records)


def test_a_constant_that_is_none_is_left_out():
    """R = A e^(-B L) alone, with the scatter of counting: C is not told from zero."""
    rng = np.random.default_rng(3)
    runs = []
    for loss in LOSSES:
        R = 4000 * exp(-B * loss) * exp(0.05 * rng.normal())
        found = (Rejected("Hbb", 0.5, R, R / 1.05, R * 1.05),)
        runs.append(replace(record(loss), metrics={"rejections": found}))
    one = mapping(runs, "Hbb", 0.5)
    assert one.law.identified
    assert "C" in one.law.fixed
    assert one.law.params["B"] == pytest.approx(B, abs=0.1)


def test_predict_reads_what_a_study_writes(records):
    n, d = (x.ravel() for x in np.meshgrid(np.logspace(3, 6, 4), np.logspace(3, 7, 5)))
    truth = {"L_inf": 0.6, "A": 10.0, "alpha": 0.4, "B": 6.0, "beta": 0.3}
    cells = {"N": n, "D": d}
    law = fit(forms.additive, cells | {"L": forms.additive.predict(truth, cells)})
    found = predict_rejections(
        *read_fits(beside(law.to_json(), mappings(records))), 1e14
    )
    R = {one.signal: one.rejection for one in found.rejections}
    assert R["Tbqq"] == pytest.approx(A["Tbqq"] * exp(-B * found.loss) + C, rel=1e-3)


@pytest.mark.parametrize(("factor", "more"), [(1.0, 0.0), (1.3, 30.0)])
def test_whether_repeats_lie_on_the_curve_of_single_passes(records, factor, more):
    """Planted: repeated runs reject as much, and 30 % more."""
    both = [*records, *(record(x, patience=5, factor=factor) for x in LOSSES)]
    found = repeats_reject_more(list(mappings(both).values()))
    assert found
    value, (low, high) = found
    assert value == pytest.approx(more, abs=3)
    assert low <= value <= high
    assert "At equal loss repeated runs reject" in one_curve(mappings(both))


def test_the_difference_knows_that_classes_share_their_runs():
    """Runs of either kind scatter by 20 %, alike in both classes: the interval of the
    difference of two means of 12 is that of 24 numbers, not of 48."""
    rng = np.random.default_rng(4)
    held = 0
    for _ in range(40):
        runs = [
            record(loss, patience=kind, factor=exp(0.2 * rng.normal()))
            for kind in (0, 5)
            for loss in LOSSES
        ]
        law = mapping(runs, "Hbb", 0.5, draws=0)
        found = repeats_reject_more([law, replace(law, signal="Tbqq")])
        assert found
        held += found[1][0] <= 0 <= found[1][1]
    assert 0.45 < held / 40 < 0.9


def test_one_kind_of_runs_compares_nothing(records):
    assert "share no range of losses" in one_curve(mappings(records))


def test_a_law_of_limits_is_not_told(records):
    """Where most runs let nothing pass, R(L) would be made of what stands for them."""
    limit = tuple(Rejected(n, e, 900.0, 900.0, None) for n in A for e in EFFICIENCIES)
    some = [replace(one, metrics={"rejections": limit}) for one in records[:5]]
    one = mapping([*some, *records[5:]], "Hbb", 0.5)
    assert not one.told
    assert "5 of 12 runs give a lower limit only" in one.law.message


def test_the_error_that_runs_share_is_that_of_the_best(records):
    assert mapping(records, "Hbb", 0.5).common_error == pytest.approx(np.log(1.05))


def test_runs_of_before_rejections_are_no_views(records):
    old = replace(record(0.5), metrics={"rejections": ()})
    assert views([*records, old])[-1].best.loss == pytest.approx(LOSSES[0])
    assert "no background" in nothing([old])


def test_tables_and_figures_of_two_choices_of_inputs(records):
    other = [record(loss, inputs="kinematics-40") for loss in LOSSES]
    found = views([*records, *other])
    assert [view.name for view in found] == ["kinematics-40", "full-10"]
    assert found[-1].floor
    assert found[-1].floor.loss == pytest.approx(0.6409)
    assert found[-1].best.loss == pytest.approx(LOSSES[0])
    assert set(draw(found)) == {
        "fig_5_rejection", "fig_6a_roc", "fig_6b_rejection_by_inputs"
    }  # fmt: skip
    assert len(rejections(found[-1]).rows) == len(A)
    assert [row[0] for row in quality(found).rows][:2] == ["kinematics-40", "full-10"]


def test_a_source_that_nobody_knows_has_no_floor_and_no_ideal(records):
    found = views([replace(one, source="store:abc") for one in records])
    assert found[-1].floor is None
    assert found[-1].ideal == {}
    assert "fig_5_rejection" in draw(found)
    assert [row[2:4] for row in rejections(found[-1]).rows] == [["", ""]] * 2


def test_what_is_foretold_is_held_against_the_ideal_tagger(records):
    """Planted so that R(L) at the known limit is half the truth for one class and right
    for the other, which has a limit only and does not count."""
    view = views(records)[-1]
    assert view.floor
    foretold = at_loss(view.maps["Hbb"], view.floor.loss).rejection or 0.0
    ideal = {
        ("Hbb", 0.5): (2 * foretold, 1.9 * foretold, 2.1 * foretold),
        ("Tbqq", 0.5): (9.0, 9.0, None),
    }
    (said,) = against_ideal(replace(view, ideal=ideal))
    assert "within both 68 % intervals in 0 of 1 classes" in said
    assert "0.5 to 0.5 times" in said
    assert against_ideal(replace(view, ideal={})) == []
