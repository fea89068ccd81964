"""Laws of repeated data: printed numbers, limits, fits, and what rows cannot tell."""

from dataclasses import replace

import numpy as np
import pytest

from jetlab.laws import forms
from jetlab.laws.amplification import amplification
from jetlab.laws.fit import fit
from jetlab.laws.repeated_data import PUBLISHED, given
from jetlab.laws.result import Draws, FitResult

# arXiv:2305.16264, Appendix A, with the digits of its published code
TEXT = {
    "L_inf": np.exp(0.6254804),
    "A": np.exp(6.255414),
    "alpha": 0.3526596,
    "B": np.exp(7.3049974),
    "beta": 0.3526596,
    **PUBLISHED,
}


def table(epochs, sizes=5, uniques=4):
    """N, D and U on a grid of sizes, unique examples and passes."""
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


def test_one_pass_at_sizes_the_data_justify_is_the_additive_law():
    rows = {"N": np.array([1e6, 1e7]), "D": np.array([1e9, 1e12])}
    plain = {name: TEXT[name] for name in forms.additive.names}
    np.testing.assert_allclose(
        forms.repetition.predict(TEXT, rows | {"U": rows["D"]}),
        forms.additive.predict(plain, rows),
        rtol=1e-14,
    )


def test_repeats_without_end_are_worth_a_bounded_number_of_examples():
    """D' tends to (1 + R_D*) U, and never decaying repeats are fresh examples."""
    plain = {name: TEXT[name] for name in forms.additive.names}
    U, N = np.array([1e9]), np.array([1e6])
    loss = forms.repetition.predict(TEXT, {"N": N, "D": U * 1e6, "U": U})
    ceiling = {"N": N, "D": U * (1 + TEXT["R_D_star"])}
    np.testing.assert_allclose(loss, forms.additive.predict(plain, ceiling), rtol=1e-13)
    lasting = TEXT | {"R_D_star": np.inf, "R_N_star": np.inf}
    loss = forms.repetition.predict(lasting, {"N": N, "D": 7 * U, "U": U})
    fresh = {"N": N, "D": 7 * U}
    np.testing.assert_allclose(loss, forms.additive.predict(plain, fresh), rtol=1e-12)


@pytest.mark.slow
def test_published_constants_come_back_from_rows_that_go_far():
    rows = table([1, 4, 16, 60])
    law = fit(forms.repetition, rows | {"L": forms.repetition.predict(TEXT, rows)})
    assert law.converged
    assert law.identified
    assert law.params == pytest.approx(TEXT, rel=1e-6)


def test_rows_of_one_pass_cannot_decide_what_repeats_are_worth():
    rows = table([1, 1, 1, 1])
    law = fit(forms.repetition, rows | {"L": forms.repetition.predict(TEXT, rows)})
    assert not law.identified
    assert "R_D_star changes the loss at no row" in law.message


def test_few_repeats_and_scatter_cannot_either():
    rows = table([1, 1.1, 1.2, 1.3])
    noise = np.random.default_rng(0).normal(size=80)
    loss = forms.repetition.predict(TEXT, rows) * np.exp(0.005 * noise)
    law = fit(forms.repetition, rows | {"L": loss})
    assert not law.identified
    assert "R_D_star" in law.message


def test_the_papers_repeated_law_and_its_limit(jets):
    """Many passes at large N: Eq. 4 of arXiv:2602.15781."""
    many = {"L_inf": 0.32, "B_rep": 5.79, "beta_rep": 0.21}
    U = np.array([1e3, 1e6])
    loss = forms.amplified.predict(
        jets | many, {"N": np.full(2, 1e40), "D": 1e4 * U, "U": U}
    )
    np.testing.assert_allclose(loss, forms.repeated.predict(many, {"D": U}), rtol=1e-12)


def test_the_papers_repeated_law_is_found():
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


def stated(form, params):
    return FitResult(
        form=form,
        params=params,
        objective=0.0,
        converged=True,
        identified=True,
        message="",
        rows=9,
        span={},
        residuals=np.zeros(9),
    )


def test_omega_of_the_paper(single, many):
    assert amplification(single, many, 1e6).omega == pytest.approx(2.7, abs=0.05)
    assert amplification(single, many, 1e6).interval is None


def test_omega_depends_on_size_where_exponents_differ(single, many):
    """Eq. 5 by hand: beta_rep = 2 beta gives omega ~ D."""
    steeper = replace(many, params=many.params | {"beta_rep": 0.44})
    small, large = (amplification(single, steeper, D).omega for D in (1e3, 1e5))
    assert large / small == pytest.approx(100)


def test_the_error_of_omega_is_that_of_both_fits(single, many):
    """ln omega = ln(B / B_rep) / beta: errors of 1 and 2 % add in quadrature."""
    rng = np.random.default_rng(1)

    def drawn(law, name, error):
        values = {k: np.full(4000, v) for k, v in law.params.items()}
        values[name] = values[name] * np.exp(error * rng.normal(size=4000))
        return replace(law, draws=Draws(values=values, asked=4000, message=""))

    pinned = replace(single, fixed={"L_inf": single.params["L_inf"]})
    many = drawn(many, "B_rep", 0.02)
    assert amplification(drawn(single, "B", 0.01), many, 1e6).interval is None
    found = amplification(drawn(pinned, "B", 0.01), many, 1e6)
    assert found.interval is not None
    half = np.diff(np.log(found.interval))[0] / 2
    assert half == pytest.approx(0.994 * np.hypot(0.01, 0.02) / 0.22, rel=0.06)


def test_repeats_are_given_by_two_names():
    assert given({"R_D_star": 3.0, "R_N_star": np.inf}).form is forms.repetition
    assert given({"B_rep": 5.8, "beta_rep": 0.2}).form is forms.amplified
    for wrong in ({}, {"R_D_star": 3.0}, {"omega": 2.0}):
        with pytest.raises(ValueError, match="repeats take"):
            given(wrong)
    with pytest.raises(ValueError, match="R_N_star is nan"):
        given({"R_D_star": 3.0, "R_N_star": np.nan})
