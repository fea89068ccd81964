"""Rejections for a budget: planted laws, closed forms, analytic intervals, warnings."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

from jetlab.laws import forms
from jetlab.laws.plans.rejection_forecast import (
    WorkingPoint,
    predict_rejections,
    read_fits,
)
from jetlab.records import Table
from tests.laws.stated import draws, stated

PLANTED = {"C": 40.0, "A": 2e5, "B": 9.0}
BUDGET = 1e14  # whose lowest loss is 0.71
PERMUTED = [0, 7, 4, 2, 8, 1, 5, 3, 6]
COUNT = 4000
NORMAL = norm.ppf((np.arange(COUNT) + 0.5) / COUNT)  # quantiles of a normal
SIGMA = norm.ppf(0.84)  # half a 68 % interval


def rejections(loss):
    return PLANTED["A"] * np.exp(-PLANTED["B"] * loss) + PLANTED["C"]


@pytest.fixture
def law(jets):
    span = {"N": (1e3, 1e7), "D": (1e3, 1e8), "ND": (1e6, 1e15)}
    rows = {"N": np.geomspace(1e3, 1e7, 9), "D": 10 ** np.linspace(3, 8, 9)[PERMUTED]}
    table = Table(rows, L=forms.additive.predict(jets, rows))
    return stated(forms.additive, jets, span=span, table=table)


@pytest.fixture
def hbb():
    """R(L) fitted to losses from 0.45 to 1.2."""
    span = {"X": (np.exp(0.45), np.exp(1.2))}
    loss = np.linspace(0.45, 1.2, 9)
    table = Table({"X": np.exp(loss), "L": rejections(loss)})
    fitted = stated(forms.rejection, PLANTED, span=span, table=table)
    return WorkingPoint(0.5, "QCD", fitted, 0.0)


def drawn(fitted, **spread):
    return replace(fitted, draws=draws(fitted.params, COUNT, **spread))


def uncertain(law, sigma):
    """L_inf, and with it the loss at the optimum, known to sigma."""
    return drawn(law, L_inf=law.params["L_inf"] + sigma * NORMAL)


def alone(law, point, flops=BUDGET):
    (one,) = predict_rejections(law, {"Hbb": point}, flops).rejections
    return one


def interval(law, point):
    found = alone(law, point).interval
    assert found is not None
    return np.array(found)


def best_loss(jets, flops):
    """arXiv:2203.15556, Eq. 4."""
    A, alpha, B, beta = (jets[name] for name in ("A", "alpha", "B", "beta"))
    scale = (alpha * A / (beta * B)) ** (1 / (alpha + beta))
    n = scale * (flops / 240) ** (beta / (alpha + beta))
    return jets["L_inf"] + A / n**alpha + B / (flops / 240 / n) ** beta


@pytest.mark.parametrize("flops", [1e11, BUDGET, 1e20])
def test_the_closed_form_of_planted_laws(law, hbb, jets, flops):
    found = predict_rejections(law, {"Hbb": hbb}, flops)
    loss = best_loss(jets, flops)
    assert found.loss == pytest.approx(loss, rel=1e-9)
    assert found.rejections[0].rejection == pytest.approx(rejections(loss), rel=1e-9)
    assert 240 * found.N * found.D == pytest.approx(flops)
    few = predict_rejections(law, {"Hbb": hbb}, flops, particles=4)
    assert 24 * few.N * few.D == pytest.approx(flops)


def test_a_sharp_fit_at_an_uncertain_loss(law, hbb, jets):
    one = alone(uncertain(law, 0.02), hbb._replace(law=drawn(hbb.law)))
    ends = best_loss(jets, BUDGET) + 0.02 * SIGMA * np.array([1, -1])
    assert one.interval == pytest.approx(rejections(ends), rel=1e-3)
    assert one.warnings == ()


def test_uncertainties_are_combined_as_independent(law, hbb):
    """0.02 of the loss is 0.18 of log (R - C): with 0.24 of log A they make 0.3."""
    wide = drawn(hbb.law, A=hbb.law.params["A"] * np.exp(0.24 * NORMAL))
    ends = interval(uncertain(law, 0.02), hbb._replace(law=wide))
    low, high = np.log(ends - PLANTED["C"])
    assert (high - low) / 2 == pytest.approx(0.3 * SIGMA, rel=0.03)


def test_the_common_error_is_in_the_interval(law, hbb):
    """Alone: 0.1 of log R."""
    point = hbb._replace(law=drawn(hbb.law), common_error=0.1)
    low, high = np.log(interval(drawn(law), point))
    assert (high - low) / 2 == pytest.approx(0.1 * SIGMA, rel=0.05)


def test_a_loss_outside_the_fit_is_a_warning(law, hbb):
    inside = predict_rejections(law, {"Hbb": hbb}, BUDGET)
    assert inside.message.startswith("interpolation")
    assert "the loss" not in inside.message.replace("the loss has no draws", "")
    far = predict_rejections(law, {"Hbb": hbb, "Hcc": hbb}, 1e20)
    assert "extrapolation" in far.message
    below = f"the loss {far.loss:.4g} is below 0.45, the lowest"
    assert below in far.rejections[0].message
    assert f"Hbb, Hcc: {below}" in far.message
    assert "is above 1.2, the highest" in alone(law, hbb, 1e10).message


@pytest.mark.parametrize("end", [0, 1])
def test_the_edge_of_the_losses_fitted_counts_as_inside(law, hbb, jets, end):
    """Both sides of a tolerance of 1e-9 nats."""
    edge, outward = best_loss(jets, BUDGET), (1, -1)[end]
    for distance, warned in ((1e-8, True), (1e-10, False)):
        ends = [0.1, 9.0]
        ends[end] = edge + outward * distance
        fitted = replace(hbb.law, span={"X": tuple(np.exp(ends))})
        message = alone(law, hbb._replace(law=fitted)).message
        assert ("the fit of R(L)" in message) is warned


def test_unreliable_fits_are_warnings(law, hbb):
    unreliable = replace(hbb.law, doubt="two rows")
    message = alone(law, hbb._replace(law=unreliable)).message
    assert "the fit of R(L) is not reliable (two rows)" in message
    stopped = replace(law, converged=False, outcome="it stopped")
    message = predict_rejections(stopped, {"Hbb": hbb}, BUDGET).message
    assert "indicative only, N, D, loss, a, gamma undecided: it stopped" in message


def test_no_number_without_a_finite_one(law, hbb):
    nothing = dict.fromkeys(PLANTED, np.nan)
    lost = replace(hbb.law, params=nothing, converged=False, outcome="no rows")
    one = alone(law, hbb._replace(law=lost))
    assert one.rejection is None
    assert one.interval is None
    assert one.message == "R(L) has no finite value (no rows)"
    turned = replace(hbb.law, params=PLANTED | {"B": -2.0})
    assert "(B = -2)" in alone(law, hbb._replace(law=turned)).message
    wild = drawn(hbb.law, B=np.full(COUNT, -1e4))
    one = alone(uncertain(law, 0.02), hbb._replace(law=wild))
    assert one.interval is None
    assert "draws of R(L) overflow" in one.message


def test_predictions_that_cannot_be_made(law, hbb):
    with pytest.raises(ValueError, match="no parameters"):
        alone(replace(law, params=dict.fromkeys(law.params, np.nan)), hbb)
    with pytest.raises(ValueError, match="budget is nan"):
        alone(law, hbb, np.nan)
    with pytest.raises(ValueError, match="the law of Hbb is L_inf"):
        alone(law, hbb._replace(law=law))


def test_without_draws_there_is_no_interval(law, hbb):
    assert alone(law, hbb).interval is None
    assert "the loss has no draws" in alone(law, hbb).message
    assert "R(L) has no draws" in alone(uncertain(law, 0.02), hbb).message
    empty = drawn(hbb.law, A=np.full(COUNT, np.nan))
    message = alone(uncertain(law, 0.02), hbb._replace(law=empty)).message
    assert "R(L) has no draws" in message


def test_draws_that_are_not_finite_are_left_out(law, hbb, jets):
    A = np.full(COUNT, PLANTED["A"])
    A[:100] = np.nan
    one = alone(drawn(law), hbb._replace(law=drawn(hbb.law, A=A)))
    R = rejections(best_loss(jets, BUDGET))
    assert one.interval == pytest.approx((R, R), rel=1e-9)


def test_draws_without_an_optimum_are_counted(law, hbb):
    rising = np.full(COUNT, law.params["alpha"])
    rising[:100] = -0.5
    found = predict_rejections(drawn(law, alpha=rising), {"Hbb": hbb}, BUDGET)
    assert "100 of 4000 draws have no optimum" in found.message


def record(law, hbb):
    rejecting = json.loads(hbb.law.to_json())
    one = {"efficiency": 0.5, "background": "QCD", "law": rejecting, "common_error": 0}
    return json.loads(law.to_json()) | {"rejections": {"Hbb": one}}


def test_json_keys_are_those_that_scripts_read(law, hbb):
    found = predict_rejections(law, {"Hbb": hbb}, BUDGET)
    written = json.loads(found.to_json())
    assert {"N", "D", "loss", "budget", "intervals", "message"} <= written.keys()
    assert "jet_cost" not in written
    (one,) = written["rejections"]
    assert set(one) == {
        "signal", "efficiency", "background", "rejection", "interval", "message",
        "warnings",
    }  # fmt: skip
    assert (one["signal"], one["efficiency"], one["background"]) == ("Hbb", 0.5, "QCD")
    assert one["message"] in written["message"]
    assert f"Hbb at 50 %: {one['rejection']:.3g}" in repr(found)


def test_a_file_gives_the_numbers_of_its_fits(law, hbb):
    law, hbb = uncertain(law, 0.02), hbb._replace(law=drawn(hbb.law))
    fitted, points = read_fits(json.dumps(record(law, hbb)))
    assert points["Hbb"][:2] == (0.5, "QCD")
    again, once = alone(fitted, points["Hbb"]), alone(law, hbb)
    assert again.rejection == pytest.approx(once.rejection, rel=1e-12)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rejections": None}, "holds no rejection laws: predict takes the fit.json"),
        ({"rejections": {}}, "holds no rejection laws"),
        ({"rejections": [1]}, "not an object"),
        ({"rejections": {"Hbb": {"efficiency": 0.5}}}, "Hbb must have"),
        ({"form": "nonsense"}, "no form is called 'nonsense'"),
    ],
)
def test_files_that_cannot_be_read(law, hbb, change, words):
    with pytest.raises(ValueError, match=words):
        read_fits(json.dumps(record(law, hbb) | change))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"efficiency": 0}, "the efficiency of Hbb is 0"),
        ({"efficiency": 1.5}, "the efficiency of Hbb is 1.5"),
        ({"efficiency": "half"}, "the efficiency of Hbb is 'half'"),
        ({"common_error": -1}, "the common error of Hbb is -1"),
        ({"law": {"form": "rejection"}}, "the law of Hbb is not a fit"),
    ],
)
def test_classes_that_cannot_be_read(law, hbb, change, words):
    whole = record(law, hbb)
    whole["rejections"]["Hbb"] |= change
    with pytest.raises(ValueError, match=words):
        read_fits(json.dumps(whole))
