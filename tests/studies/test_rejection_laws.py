"""R(L) of a study's runs: planted laws come back, lower limits count for little, and
`jetlab predict` reads the JSON."""

import json
from dataclasses import replace
from math import exp

import numpy as np
import pytest
from study_records import record as run_record

from jetlab.laws import forms
from jetlab.laws.fit import fit
from jetlab.laws.plans.rejection_forecast import predict_rejections, read_fits
from jetlab.physics.metrics import EFFICIENCIES
from jetlab.records import Rejection, Table
from jetlab.studies import rejection
from jetlab.studies.rejection import (
    compare_with_ideal,
    draw,
    ideal_sentences,
    quality_table,
    rejection_table,
    repeats_sentence,
)
from jetlab.studies.rejection_laws import (
    predict_rejection,
    rejection_law,
    rejection_law_table,
    rejection_laws,
    repeats_excess,
    with_rejections,
)
from jetlab.studies.rejection_results import LowestLoss, rejection_results

A, B, C = {"Hbb": 4000.0, "Tbqq": 9000.0}, 4.0, 3.0
LOSSES = np.linspace(0.9, 2.1, 12)
SOURCE = "shower-v1:seed=0"


def record(loss, inputs="full-10", arm="single", factor=1.0, **fields):
    """A run whose rejections at every efficiency are those of the planted law."""
    rejections = []
    for name, scale in A.items():
        R = factor * (scale * exp(-B * loss) + C)
        rejections += [Rejection(name, e, R, R / 1.05, R * 1.05) for e in EFFICIENCIES]
    metrics = {"accuracy": 0.5, "auc": 0.9, "rejections": rejections}
    known = {"source": SOURCE, "inputs": inputs, "arm": arm, "metrics": metrics}
    return run_record(50_000, int(1e4 / loss**4), float(loss), **{**known, **fields})


@pytest.fixture(scope="module")
def records():
    return [record(loss) for loss in LOSSES]


def test_planted_laws_come_back(records):
    for name, one in rejection_laws(records).items():
        assert one.law.params["A"] == pytest.approx(A[name], rel=1e-3)
        assert one.law.params["B"] == pytest.approx(B, rel=1e-3)
        assert one.law.params["C"] == pytest.approx(C, rel=1e-3)
        assert one.law.identified
        expected = predict_rejection(one, 0.5)
        assert expected.rejection == pytest.approx(A[name] * exp(-2) + C, rel=1e-3)
        assert "is below" in expected.message


def test_a_limit_counts_for_little_and_is_named(records):
    """A run in which no background jet passed only bounds R from below."""
    low = Rejection("Hbb", 0.5, 50.0, 50.0, None)
    runs = [*records, replace(record(0.8), metrics={"rejections": (low,)})]
    one = rejection_law(runs, "Hbb", 0.5)
    assert one.points["is_limit"].sum() == 1
    assert one.law.rows == len(records) + 1
    assert one.law.params["A"] == pytest.approx(A["Hbb"], rel=2e-2)
    assert rejection_law_table({"Hbb": one}).rows[0][5:7] == ["13", "1"]


def test_a_class_with_limits_alone_has_no_law(records):
    limits = tuple(Rejection("Hbb", e, 50.0, 50.0, None) for e in EFFICIENCIES)
    assert (
        rejection_laws(
            [replace(one, metrics={"rejections": limits}) for one in records]
        )
        == {}
    )


def test_runs_that_guess_or_diverged_are_no_points(records):
    others = [record(2.29), replace(record(1.0), status="diverged", loss=None)]
    assert rejection_law([*records, *others], "Hbb", 0.5).law.rows == len(records)


def test_a_constant_that_is_none_is_left_out():
    """R = A e^(-B L) alone, with the scatter of counting: C is consistent with 0."""
    rng = np.random.default_rng(3)
    runs = []
    for loss in LOSSES:
        R = 4000 * exp(-B * loss) * exp(0.05 * rng.normal())
        found = (Rejection("Hbb", 0.5, R, R / 1.05, R * 1.05),)
        runs.append(replace(record(loss), metrics={"rejections": found}))
    one = rejection_law(runs, "Hbb", 0.5)
    assert one.law.identified
    assert "C" in one.law.fixed
    assert one.law.params["B"] == pytest.approx(B, abs=0.1)


def test_predict_reads_what_a_study_writes(records):
    n, d = (x.ravel() for x in np.meshgrid(np.logspace(3, 6, 4), np.logspace(3, 7, 5)))
    truth = {"L_inf": 0.6, "A": 10.0, "alpha": 0.4, "B": 6.0, "beta": 0.3}
    cells = {"N": n, "D": d}
    law = fit(forms.additive, cells | {"L": forms.additive.predict(truth, cells)})
    found = predict_rejections(
        *read_fits(with_rejections(law.to_json(), rejection_laws(records))), 1e14
    )
    R = {one.signal: one.rejection for one in found.rejections}
    assert R["Tbqq"] == pytest.approx(A["Tbqq"] * exp(-B * found.loss) + C, rel=1e-3)


@pytest.mark.parametrize(("factor", "more"), [(1.0, 0.0), (1.3, 30.0)])
def test_repeated_runs_reject_as_much_at_equal_loss_or_more(records, factor, more):
    """Planted: repeated runs reject as much, and 30 % more."""
    both = [*records, *(record(x, arm="repeated", factor=factor) for x in LOSSES)]
    found = repeats_excess(list(rejection_laws(both).values()))
    assert found
    value, (low, high) = found
    assert value == pytest.approx(more, abs=3)
    assert low <= value <= high
    sentence = repeats_sentence(list(rejection_laws(both).values()))
    assert sentence.startswith("At equal loss repeated runs reject")


def test_the_interval_of_the_excess_resamples_runs_and_not_classes():
    """Runs of either kind scatter by 20 %, alike in both classes: the interval of the
    difference of two means of 12 is that of 24 numbers, not of 48."""
    rng = np.random.default_rng(4)
    held = 0
    for _ in range(40):
        runs = [
            record(loss, arm=kind, factor=exp(0.2 * rng.normal()))
            for kind in ("single", "repeated")
            for loss in LOSSES
        ]
        law = rejection_law(runs, "Hbb", 0.5, draws=0)
        found = repeats_excess([law, replace(law, signal="Tbqq")])
        assert found
        held += found[1][0] <= 0 <= found[1][1]
    assert 0.45 < held / 40 < 0.9


def test_the_excess_is_of_losses_that_both_kinds_have(records):
    """log R above R(L) by hand: 0.1 of two repeated runs between 1 and 3 nats; others
    lie outside, or are limits."""
    single = [(loss, 0.0, False) for loss in (1.0, 2.0, 3.0)] + [(4.0, -5.0, False)]
    often = [(0.5, 9.0, False), (2.0, 0.1, False), (3.0, 0.1, False), (2.5, 7.0, True)]
    loss, off, limit = np.array(single + often).T
    one = rejection_law(records, "Hbb", 0.5, draws=0)
    points = Table(
        loss=loss, arm=np.repeat(["single", "repeated"], 4), is_limit=limit.astype(bool)
    )
    by_hand = replace(one, points=points, law=replace(one.law, residuals=-off))
    excess = repeats_excess([by_hand])
    assert excess
    assert excess[0] == pytest.approx(100 * np.expm1(0.1))
    assert excess[1] == pytest.approx((excess[0], excess[0]))


def test_runs_of_one_kind_are_not_compared(records):
    sentence = repeats_sentence(list(rejection_laws(records).values()))
    assert "too few losses in common" in sentence


def test_a_law_of_limits_is_not_reliable(records):
    """More than a third of the runs with limits only: R(L) would be a fit to these."""
    limit = tuple(Rejection(n, e, 900.0, 900.0, None) for n in A for e in EFFICIENCIES)
    some = [replace(one, metrics={"rejections": limit}) for one in records[:5]]
    one = rejection_law([*some, *records[5:]], "Hbb", 0.5)
    assert not one.law.reliable
    assert "5 of 12 runs give a lower limit only" in one.law.message


def test_the_error_that_runs_share_is_that_of_the_best(records):
    assert rejection_law(records, "Hbb", 0.5).common_error == pytest.approx(
        np.log(1.05)
    )


def test_a_third_of_limits_is_allowed(records):
    limit = tuple(Rejection(n, e, 900.0, 900.0, None) for n in A for e in EFFICIENCIES)
    some = [replace(one, metrics={"rejections": limit}) for one in records[:4]]
    law = rejection_law([*some, *records[4:]], "Hbb", 0.5).law
    assert "lower limit only" not in law.message


def test_the_common_error_is_that_of_the_lowest_loss_without_a_limit(records):
    low = Rejection("Hbb", 0.5, 50.0, 50.0, None)
    best = Rejection("Hbb", 0.5, 50.0, 40.0, 60.0)
    runs = [
        replace(record(0.7), metrics={"rejections": (low,)}),
        replace(record(0.8), metrics={"rejections": (best,)}),
        *records,
    ]
    error = rejection_law(runs, "Hbb", 0.5, draws=0).common_error
    assert error == pytest.approx(np.log(60 / 40) / 2)


def test_runs_without_rejections_are_not_the_best(records):
    old = replace(record(0.5), metrics={"rejections": ()})
    found = rejection_results([*records, old])
    assert found[-1].best.loss == pytest.approx(LOSSES[0])
    (*_, why) = rejection.analyse([old]).sentences
    assert "no class is called QCD" in why
    (*_, why) = rejection.analyse([record(2.29)]).sentences
    assert why.startswith("No run has learned")


def test_tables_and_figures_of_own_inputs_and_of_the_paper(records):
    """In the order of the runs; ParT stands beside inputs of the paper only, and jets
    whose floor is unknown."""
    other = [record(loss, inputs="angles") for loss in LOSSES]
    found = rejection_results([*records, *other])
    assert [one.label for one in found] == ["full-10", "angles"]
    paper, own = found
    assert paper.lowest
    assert paper.lowest.loss == pytest.approx(0.6409)
    assert np.std(paper.lowest.draws) == pytest.approx(0.0048, rel=0.1)
    assert own.lowest is None
    assert paper.best.loss == own.best.loss == pytest.approx(LOSSES[0])
    assert set(draw(found)) == {
        "fig_5_rejection", "fig_6a_roc", "fig_6b_rejection_by_inputs"
    }  # fmt: skip
    jetclass = replace(paper, best=replace(paper.best, source="store:abc"))
    table, own_table = rejection_table(jetclass), rejection_table(own)
    assert [row[0] for row in table.rows] == ["Hbb, 50 %", "Tbqq, 50 %"]
    assert [row[-1] for row in table.rows] == ["9,569", "17,699"]
    for one in (own_table, rejection_table(paper)):
        assert "ParT (plain), JetClass" not in one.headers
    assert [row[2:] for row in own_table.rows] == [["", "", ""]] * 2
    names = [row[0] for row in quality_table([jetclass, own]).rows]
    assert names == ["full-10", "angles", "ParT (plain), JetClass"]
    assert [row[0] for row in quality_table([own]).rows] == ["angles"]


def test_jets_without_a_bayes_limit_have_no_floor_and_no_ideal(records):
    found = rejection_results([replace(one, source="store:abc") for one in records])
    assert found[-1].lowest is None
    assert found[-1].ideal == {}
    assert "fig_5_rejection" in draw(found)
    assert [row[2:5] for row in rejection_table(found[-1]).rows] == [["", "", ""]] * 2


def test_predictions_are_compared_with_the_ideal_tagger(records):
    """Planted so that R(L) at the Bayes limit is half the truth for one class; the
    other has a limit only and does not count."""
    result = rejection_results(records)[-1]
    assert result.lowest
    hbb = result.laws["Hbb"]
    predicted = predict_rejection(hbb, result.lowest.loss).rejection or 0.0
    ideal = {
        ("Hbb", 0.5): (2 * predicted, 1.9 * predicted, 2.1 * predicted),
        ("Tbqq", 0.5): (9.0, 9.0, None),
    }
    half = replace(result, ideal=ideal)
    pair = compare_with_ideal(half, "Hbb")
    assert pair
    assert pair.ratio == pytest.approx(0.5)
    assert not pair.agrees
    assert pair.error == pytest.approx(np.log(2.1 / 1.9) / 2)
    assert compare_with_ideal(half, "Tbqq") is None
    (sentence,) = ideal_sentences(half)
    assert "agrees with the ideal tagger in 0 of 1 classes" in sentence
    assert "ratio 0.5 to 0.5" in sentence
    equal = {("Hbb", 0.5): (predicted, 0.9 * predicted, 1.1 * predicted)}
    pair = compare_with_ideal(replace(result, ideal=equal), "Hbb")
    assert pair
    assert pair.agrees
    assert ideal_sentences(replace(result, ideal={})) == []
    assert ideal_sentences(replace(half, lowest=None)) == []


def test_agreement_takes_both_intervals_in_quadrature(records):
    """Widths of log R of 0.03 (draws of the loss) and 0.04: they reach to 0.05."""
    result = rejection_results(records)[-1]
    exact = LowestLoss(0.64, np.array([0.64]))
    sharp = predict_rejection(result.laws["Hbb"], 0.64, exact.draws)
    assert sharp.interval
    assert sharp.rejection
    width = np.log(sharp.interval[1] / sharp.interval[0]) / 2
    for share, agrees in ((0.99, True), (1.01, False)):
        off = share * np.hypot(width, 0.04)
        value = sharp.rejection * np.exp(off)
        ideal = {("Hbb", 0.5): (value, value * np.exp(-0.04), value * np.exp(0.04))}
        one = replace(result, lowest=exact, ideal=ideal)
        pair = compare_with_ideal(one, "Hbb")
        assert pair
        assert pair.agrees == agrees


def test_the_ideal_tagger_of_the_very_jets_goes_first(records):
    """A run's record has it where the posterior of its validation jets is known."""
    best = Rejection("Hbb", 0.5, 123.0, 120.0, 126.0)
    known = [
        replace(r, metrics={**r.metrics, "ideal": {"rejections": (best,)}})
        for r in records
    ]
    assert rejection_results(known)[0].ideal == {("Hbb", 0.5): (123.0, 120.0, 126.0)}
    assert ("Hbb", 0.5) in rejection_results(records)[0].ideal


def test_the_analysis_writes_the_law_of_single_passes_with_rejections(records):
    both = [*records, *(record(x, arm="repeated") for x in LOSSES)]
    found = rejection.analyse(both)
    assert list(found.results) == ["fit", "fit_known_limit"]
    assert "Fig. 5: R(L) with full-10" in found.tables
    assert json.loads(found.results["fit"])["rows"] == len(LOSSES)
    assert set(json.loads(found.results["fit"])["rejections"]) == set(A)
