"""Rejections for a budget: planted laws, closed forms, analytic intervals, warnings."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

from jetlab.laws import forms
from jetlab.laws.fit import fit
from jetlab.laws.misfit import SQUARES
from jetlab.laws.prospects import prospect, read
from jetlab.laws.rejection import rows
from jetlab.laws.rejection_forecast import Mapped
from jetlab.laws.result import Draws

PLANTED = {"A": 2e5, "B": 9.0, "C": 40.0}
BUDGET = 1e14  # whose best loss is 0.71
NORMAL = norm.ppf((np.arange(4000) + 0.5) / 4000)  # a sample that is sharply normal
REACH = norm.ppf(0.84)


def rejections(loss):
    return PLANTED["A"] * np.exp(-PLANTED["B"] * loss) + PLANTED["C"]


@pytest.fixture(scope="module")
def law(grid):
    return fit(forms.additive, grid(np.logspace(3, 7, 5), np.logspace(3, 8, 5)))


@pytest.fixture(scope="module")
def hbb():
    loss = np.linspace(0.45, 1.2, 14)
    table = rows(loss, rejections(loss), np.full(14, 0.05))
    return Mapped(0.5, "QCD", fit(forms.rejection, table, misfit=SQUARES), 0.0)


def drawn(fitted, **spread):
    """Draws at the fit's parameters, some spread about them."""
    values = {name: np.full(4000, value) for name, value in fitted.params.items()}
    return replace(
        fitted, draws=Draws(values=values | spread, asked=4000, message="for the test")
    )


def uncertain(law, sigma):
    """L_inf, and with it the loss at the optimum, known to sigma."""
    return drawn(law, L_inf=law.params["L_inf"] + sigma * NORMAL)


def alone(law, mapped, budget=BUDGET):
    (one,) = prospect(law, {"Hbb": mapped}, budget, 40).rejections
    return one


def best_loss(jets, budget):
    """arXiv:2203.15556, Eq. 4."""
    A, alpha, B, beta = (jets[name] for name in ("A", "alpha", "B", "beta"))
    scale = (alpha * A / (beta * B)) ** (1 / (alpha + beta))
    n = scale * (budget / 240) ** (beta / (alpha + beta))
    return jets["L_inf"] + A / n**alpha + B / (budget / 240 / n) ** beta


@pytest.mark.parametrize("budget", [1e11, BUDGET, 1e20])
def test_the_closed_form_of_planted_laws(law, hbb, jets, budget):
    found = prospect(law, {"Hbb": hbb}, budget, 40)
    loss = best_loss(jets, budget)
    assert found.loss == pytest.approx(loss, rel=1e-6)
    assert found.rejections[0].rejection == pytest.approx(rejections(loss), rel=1e-6)
    assert 240 * found.N * found.D == pytest.approx(budget)


def test_a_sharp_mapping_of_an_uncertain_loss(law, hbb, jets):
    sharp = hbb._replace(law=drawn(hbb.law))
    one = alone(uncertain(law, 0.02), sharp)
    ends = best_loss(jets, BUDGET) + 0.02 * REACH * np.array([1, -1])
    assert one.interval == pytest.approx(rejections(ends), rel=1e-3)
    assert not one.message


def test_both_uncertainties_are_independent(law, hbb):
    """0.02 of the loss is 0.18 of log (R - C): with 0.24 of log A they make 0.3."""
    wide = drawn(hbb.law, A=hbb.law.params["A"] * np.exp(0.24 * NORMAL))
    one = alone(uncertain(law, 0.02), hbb._replace(law=wide))
    low, high = np.log(np.array(one.interval) - PLANTED["C"])
    assert (high - low) / 2 == pytest.approx(0.3 * REACH, rel=0.03)


def test_extrapolation_is_said(law, hbb):
    inside = prospect(law, {"Hbb": hbb}, BUDGET, 40)
    assert inside.message.startswith("interpolation")
    assert "lies" not in inside.message
    far = prospect(law, {"Hbb": hbb, "Hcc": hbb}, 1e20, 40)
    assert "extrapolation" in far.message
    below = f"the expected loss {far.loss:.4g} lies below 0.45, the lowest"
    assert below in far.rejections[0].message
    assert f"Hbb, Hcc: {below}" in far.message
    assert "lies above 1.2, the highest" in alone(law, hbb, 1e10).message


def test_what_the_rows_cannot_tell_is_not_to_be_quoted(law, hbb):
    blind = replace(hbb.law, identified=False, message="two rows")
    message = alone(law, hbb._replace(law=blind)).message
    assert "does not bear a number to be quoted (two rows)" in message
    vague = replace(law, converged=False, message="it stopped")
    message = prospect(vague, {"Hbb": hbb}, BUDGET, 40).message
    assert "it stopped" in message
    assert "neither the loss nor the rejections are to be quoted" in message


def test_no_confident_wrong_number(law, hbb):
    nothing = dict.fromkeys(PLANTED, np.nan)
    lost = replace(hbb.law, params=nothing, message="no rows")
    one = alone(law, hbb._replace(law=lost))
    assert one.rejection is None
    assert one.interval is None
    assert one.message == "R(L) gives no number (no rows)"
    turned = replace(hbb.law, params=PLANTED | {"B": -2.0})
    assert "(B = -2)" in alone(law, hbb._replace(law=turned)).message
    wild = drawn(hbb.law, B=np.full(4000, -1e4))
    one = alone(uncertain(law, 0.02), hbb._replace(law=wild))
    assert one.interval is None
    assert "no finite interval" in one.message
    with pytest.raises(ValueError, match="no parameters"):
        alone(replace(law, params=dict.fromkeys(law.params, np.nan)), hbb)
    with pytest.raises(ValueError, match="budget is nan"):
        alone(law, hbb, np.nan)
    with pytest.raises(ValueError, match="the law of Hbb is L_inf"):
        alone(law, hbb._replace(law=law))


def test_without_draws_there_is_no_interval(law, hbb):
    assert alone(law, hbb).interval is None
    assert "draws of the loss" in alone(law, hbb).message
    assert "draws of R(L)" in alone(uncertain(law, 0.02), hbb).message
    empty = drawn(hbb.law, A=np.full(4000, np.nan))
    message = alone(uncertain(law, 0.02), hbb._replace(law=empty)).message
    assert "draws of R(L)" in message


def test_draws_without_an_optimum_are_counted(law, hbb):
    rising = np.full(4000, law.params["alpha"])
    rising[:100] = -0.5
    found = prospect(drawn(law, alpha=rising), {"Hbb": hbb}, BUDGET, 40)
    assert "100 of 4000 draws have no optimum" in found.message


def record(law, hbb):
    rejecting = json.loads(hbb.law.to_json())
    one = {"efficiency": 0.5, "background": "QCD", "law": rejecting, "common_error": 0}
    return json.loads(law.to_json()) | {"rejections": {"Hbb": one}}


def test_a_file_says_what_its_fits_said(law, hbb):
    law, hbb = uncertain(law, 0.02), hbb._replace(law=drawn(hbb.law))
    fitted, mappings = read(json.dumps(record(law, hbb)))
    assert mappings["Hbb"][:2] == (0.5, "QCD")
    again, once = alone(fitted, mappings["Hbb"]), alone(law, hbb)
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
def test_files_that_do_not_serve(law, hbb, change, words):
    with pytest.raises(ValueError, match=words):
        read(json.dumps(record(law, hbb) | change))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"efficiency": 1.5}, "the efficiency of Hbb is 1.5"),
        ({"efficiency": "half"}, "the efficiency of Hbb is 'half'"),
        ({"common_error": -1}, "the common error of Hbb is -1"),
        ({"law": {"form": "rejection"}}, "the law of Hbb is not a fit"),
    ],
)
def test_classes_that_do_not_serve(law, hbb, change, words):
    whole = record(law, hbb)
    whole["rejections"]["Hbb"] |= change
    with pytest.raises(ValueError, match=words):
        read(json.dumps(whole))
