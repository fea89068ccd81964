"""Laws of repeated data: printed numbers, limits, fits, and the amplification."""

from dataclasses import replace

import numpy as np
import pytest

from jetlab.laws import forms
from jetlab.laws.amplification import amplification
from jetlab.laws.fit import fit
from jetlab.laws.repeated_data import MUENNIGHOFF, repeat_model
from tests.laws.stated import draws, stated

# arXiv:2305.16264, Appendix A, with the digits of its published code
TEXT = {
    "L_inf": np.exp(0.6254804),
    "A": np.exp(6.255414),
    "alpha": 0.3526596,
    "B": np.exp(7.3049974),
    "beta": 0.3526596,
    **MUENNIGHOFF,
}
PLAIN = {name: TEXT[name] for name in forms.additive.names}


def table(epochs, sizes=5, uniques=4):
    """N, D and U on a grid of sizes, unique examples and epochs."""
    N, U, E = np.meshgrid(
        np.logspace(7, 10, sizes), np.logspace(8, 10.5, uniques), epochs
    )
    return {"N": N.ravel(), "D": (U * E).ravel(), "U": U.ravel()}


def test_the_printed_losses():
    rows = {
        "N": np.array([6.34e9, 8.67e9]),
        "D": np.array([242e9, 178e9]),
        "U": np.array([25e9, 25e9]),
    }
    loss = forms.repetition.predict(TEXT, rows)
    np.testing.assert_allclose(loss, [2.225644, 2.226963], rtol=0, atol=5e-7)


@pytest.mark.parametrize("epochs", [0.5, 1.0, 7.0])
@pytest.mark.parametrize("size", [1e4, 1e9])
def test_muennighoffs_form_by_hand(jets, epochs, size):
    """arXiv:2305.16264, Section 3.1, for alpha = 2 beta, below and above N_opt(U),
    before, at and after the first epoch."""
    p = jets | {"R_D_star": 15.4, "R_N_star": 5.3}
    unique = 1e6

    def effective(once, total, star):
        return once * (1 + star * (1 - np.exp(-(total / once - 1) / star)))

    N_opt = (p["alpha"] * p["A"] / (p["beta"] * p["B"])) ** (1 / p["alpha"]) * (
        unique ** (p["beta"] / p["alpha"])
    )
    D = unique * epochs
    data = effective(unique, D, 15.4) if epochs > 1 else D
    N = effective(N_opt, size, 5.3) if size > N_opt else size
    expected = 0.32 + p["A"] / N ** p["alpha"] + p["B"] / data ** p["beta"]
    row = {"N": np.array([size]), "D": np.array([D]), "U": np.array([unique])}
    assert forms.repetition.predict(p, row)[0] == pytest.approx(expected, rel=1e-12)


def test_one_epoch_below_the_optimal_size_is_the_additive_law():
    rows = {"N": np.array([1e6, 1e7]), "D": np.array([1e9, 1e12])}
    np.testing.assert_allclose(
        forms.repetition.predict(TEXT, rows | {"U": rows["D"]}),
        forms.additive.predict(PLAIN, rows),
        rtol=1e-14,
    )


def test_endless_repeats_are_worth_a_bounded_number_of_examples():
    """D' tends to (1 + R_D*) U, and without decay repeats are fresh examples."""
    U, N = np.array([1e9]), np.array([1e6])
    loss = forms.repetition.predict(TEXT, {"N": N, "D": U * 1e6, "U": U})
    ceiling = {"N": N, "D": U * (1 + TEXT["R_D_star"])}
    np.testing.assert_allclose(loss, forms.additive.predict(PLAIN, ceiling), rtol=1e-13)
    no_decay = TEXT | {"R_D_star": np.inf, "R_N_star": np.inf}
    loss = forms.repetition.predict(no_decay, {"N": N, "D": 7 * U, "U": U})
    fresh = {"N": N, "D": 7 * U}
    np.testing.assert_allclose(loss, forms.additive.predict(PLAIN, fresh), rtol=1e-12)


@pytest.mark.slow
def test_published_constants_are_recovered_from_rows_of_many_epochs():
    rows = table([1, 4, 16, 60])
    law = fit(forms.repetition, rows | {"L": forms.repetition.predict(TEXT, rows)})
    assert law.reliable
    assert law.params == pytest.approx(TEXT, rel=1e-6)


def test_rows_of_one_epoch_do_not_identify_the_worth_of_repeats():
    rows = table([1, 1, 1, 1])
    law = fit(forms.repetition, rows | {"L": forms.repetition.predict(TEXT, rows)})
    assert not law.identified
    assert "R_D_star" in law.message


def test_few_repeats_with_scatter_do_not_either():
    rows = table([1, 1.1, 1.2, 1.3])
    noise = np.random.default_rng(0).normal(size=80)
    loss = forms.repetition.predict(TEXT, rows) * np.exp(0.005 * noise)
    law = fit(forms.repetition, rows | {"L": loss})
    assert not law.identified
    assert "R_D_star" in law.message


def test_the_amplified_law_tends_to_that_of_many_epochs(jets):
    """Many epochs at large N: Eq. 4 of arXiv:2602.15781."""
    many = {"L_inf": 0.32, "B_rep": 5.79, "beta_rep": 0.21}
    U = np.array([1e3, 1e6])
    loss = forms.amplified.predict(
        jets | many, {"N": np.full(2, 1e40), "D": 1e4 * U, "U": U}
    )
    np.testing.assert_allclose(loss, forms.repeated.predict(many, {"D": U}), rtol=1e-12)


def test_the_amplified_law_by_hand(jets):
    """Three epochs: D' = U (1 + (omega - 1)(1 - exp(-2 / (omega - 1))))."""
    p = jets | {"B_rep": 5.0, "beta_rep": 0.2}
    U = 1e5
    omega = (p["B"] / 5.0) ** (1 / 0.22) * U ** (0.2 / 0.22 - 1)
    data = U * (1 + (omega - 1) * (1 - np.exp(-2 / (omega - 1))))
    expected = 0.32 + 11.27 / 1e4**0.44 + 7.22 / data**0.22
    row = {"N": np.array([1e4]), "D": np.array([3 * U]), "U": np.array([U])}
    assert omega > 1
    assert forms.amplified.predict(p, row)[0] == pytest.approx(expected, rel=1e-12)


def test_the_law_of_many_epochs_is_recovered():
    truth = {"L_inf": 0.32, "B_rep": 5.79, "beta_rep": 0.22}
    sizes = np.logspace(3, 6, 10)
    law = fit(
        forms.repeated, {"D": sizes, "L": forms.repeated.predict(truth, {"D": sizes})}
    )
    assert law.converged
    assert law.params == pytest.approx(truth, rel=1e-6)


@pytest.fixture
def single(jets):
    """Table 1 of arXiv:2602.15781."""
    return stated(forms.additive, jets)


@pytest.fixture
def many():
    """Table 2, 21 features and 128 particles."""
    return stated(forms.repeated, {"L_inf": 0.32, "B_rep": 5.79, "beta_rep": 0.22})


def test_omega_of_the_paper(single, many):
    assert amplification(single, many, 1e6).omega == pytest.approx(2.7, abs=0.05)
    assert amplification(single, many, 1e6).interval is None


def test_omega_depends_on_size_where_exponents_differ(single, many):
    """Eq. 5 by hand: beta_rep = 2 beta gives omega = (B / B_rep)^(1 / beta) D."""
    steeper = replace(many, params=many.params | {"beta_rep": 0.44})
    found = amplification(single, steeper, 1e3).omega
    assert found == pytest.approx((7.22 / 5.79) ** (1 / 0.22) * 1e3, rel=1e-12)


def test_the_error_of_omega_is_that_of_both_fits(single, many):
    """ln omega = ln(B / B_rep) / beta: errors of 1 and 2 % add in quadrature, for
    unequal numbers of draws, of which the common order does not correlate them."""
    noise = np.random.default_rng(1).normal(size=4000)
    B = draws(single.params, 4000, B=7.22 * np.exp(0.01 * noise))
    B_rep = draws(many.params, 3900, B_rep=5.79 * np.exp(0.02 * noise[:3900]))
    many = replace(many, draws=B_rep)
    fixed = {"L_inf": single.params["L_inf"]}
    assert amplification(replace(single, draws=B), many, 1e6).interval is None
    found = amplification(replace(single, draws=B, fixed=fixed), many, 1e6)
    assert found.interval is not None
    half = np.diff(np.log(found.interval))[0] / 2
    assert half == pytest.approx(0.994 * np.hypot(0.01, 0.02) / 0.22, rel=0.06)


def test_amplification_needs_its_forms_and_a_size(single, many):
    with pytest.raises(ValueError, match="repeated has no B and beta"):
        amplification(many, many, 1e6)
    with pytest.raises(ValueError, match="additive has no B_rep and beta_rep"):
        amplification(single, single, 1e6)
    with pytest.raises(ValueError, match="examples is 0"):
        amplification(single, many, 0.0)


def test_two_parameters_name_a_model_of_repeats():
    assert repeat_model({"R_D_star": 3.0, "R_N_star": np.inf}).form is forms.repetition
    found = repeat_model({"B_rep": 5.8, "beta_rep": 0.2})
    assert found.form is forms.amplified
    assert "B_rep = 5.8, beta_rep = 0.2 as given, and an expon" in found.assumption
    for wrong in ({}, {"R_D_star": 3.0}, {"omega": 2.0}):
        with pytest.raises(ValueError, match="repeats take"):
            repeat_model(wrong)
    with pytest.raises(ValueError, match="R_N_star is nan"):
        repeat_model({"R_D_star": 3.0, "R_N_star": np.nan})
    with pytest.raises(ValueError, match="B_rep is inf"):
        repeat_model({"B_rep": np.inf, "beta_rep": 0.2})
    with pytest.raises(ValueError, match="R_D_star is 0"):
        repeat_model({"R_D_star": 0.0, "R_N_star": 1.0})
