"""The formulas against numbers worked out by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jetlab.laws import forms
from jetlab.laws.fit import fit

ROWS = {"N": np.array([1e4, 1e6]), "D": np.array([1e6, 1e6])}


def test_additive_is_the_sum_of_its_terms():
    params = {"L_inf": 0.5, "A": 10.0, "alpha": 0.5, "B": 100.0, "beta": 0.5}
    loss = forms.additive.predict(params, ROWS)
    np.testing.assert_allclose(loss, [0.5 + 0.1 + 0.1, 0.5 + 0.01 + 0.1], rtol=1e-14)


def test_one_variable_forms_read_one_column():
    params = {"L_inf": 0.5, "A": 10.0, "alpha": 0.5}
    loss = forms.model_only.predict(params, {"N": ROWS["N"]})
    np.testing.assert_allclose(loss, [0.6, 0.51], rtol=1e-14)
    params = {"L_inf": 0.5, "B": 100.0, "beta": 0.5}
    loss = forms.data_only.predict(params, {"D": ROWS["D"]})
    np.testing.assert_allclose(loss, [0.6, 0.6], rtol=1e-14)


def test_no_overflow_at_any_size():
    params = {"L_inf": 1e-3, "A": 1e200, "alpha": 30.0, "B": 1.0, "beta": 1.0}
    loss = forms.additive.predict(params, {"N": np.array([1e30]), "D": np.array([1e9])})
    np.testing.assert_allclose(loss, 1e-3 + 1e-9, rtol=1e-14)


def test_compute_alone():
    params = {"L_inf": 0.5, "K": 100.0, "gamma": 0.5}
    loss = forms.compute_only.predict(params, {"C": np.array([1e6, 1e8])})
    np.testing.assert_allclose(loss, [0.6, 0.51], rtol=1e-14)


def test_a_line_in_the_logarithm():
    sizes = np.exp([10.0, 20.0])
    loss = forms.logarithmic.predict({"a": 3.0, "b": 0.1}, {"N": sizes})
    np.testing.assert_allclose(loss, [2.0, 1.0], rtol=1e-14)


def test_a_line_that_meets_zero_goes_on_falling():
    beyond = {"N": np.exp([29.0, 31.0, 40.0])}
    loss = forms.logarithmic.predict({"a": 3.0, "b": 0.1}, beyond)
    assert np.all(np.diff(loss) < 0)
    assert np.all(loss >= 0)


def test_transfer_is_a_product_of_powers():
    """arXiv:2102.01293: D_T in column L."""
    params = {"k": 1e4, "alpha": 0.5, "beta": 0.25}
    gained = forms.transfer.predict(params, {"D": ROWS["D"], "N": np.array([1e4, 1e8])})
    np.testing.assert_allclose(gained, [1e8, 1e9], rtol=1e-14)


SIZES = np.logspace(3, 8, 12)
GRID = {
    name: column.ravel()
    for name, column in zip(
        "ND", np.meshgrid(np.logspace(5, 8, 5), np.logspace(4, 8, 5)), strict=True
    )
}


@pytest.mark.parametrize(
    ("form", "truth", "rows"),
    [
        (forms.compute_only, {"L_inf": 0.32, "K": 8.0, "gamma": 0.147}, {"C": SIZES}),
        (forms.logarithmic, {"a": 3.0, "b": 0.12}, {"N": SIZES}),
        (forms.transfer, {"k": 1.9e4, "alpha": 0.18, "beta": 0.38}, GRID),
    ],
)
def test_exact_rows_give_back_the_law(form, truth, rows):
    law = fit(form, rows | {"L": form.predict(truth, rows)})
    assert law.converged
    assert law.identified
    assert law.params == pytest.approx(truth, rel=1e-6)


@pytest.mark.parametrize("form", forms.FORMS)
def test_derivatives_of_every_form(form):
    """Automatic differentiation against central differences."""
    logs = {"N": 11.0, "D": 14.0, "U": 12.5, "C": 30.0, "X": 0.7}
    theta = {
        p.name: 2.0 - 0.1 * i if p.positive else 0.3 + 0.02 * i
        for i, p in enumerate(form.parameters)
    }
    with jax.enable_x64(True):
        theta = {name: jnp.asarray(value) for name, value in theta.items()}
        logs = {name: jnp.asarray(value) for name, value in logs.items()}
        slopes = jax.grad(form.log_loss)(theta, logs)
        assert len(slopes) == len(form.names)
        for name, slope in slopes.items():
            up, down = (
                form.log_loss(theta | {name: theta[name] + h}, logs)
                for h in (1e-5, -1e-5)
            )
            numeric = float(up - down) / 2e-5
            assert float(slope) == pytest.approx(numeric, rel=1e-6, abs=1e-8)


def test_every_form_has_a_source_and_a_formula_of_its_parameters():
    for form in forms.FORMS:
        assert "arXiv:" in form.source
        assert all(name in form.formula for name in form.names)


@pytest.mark.parametrize("form", forms.FORMS)
def test_a_form_is_found_by_its_name(form):
    assert forms.get_form(form.name) is form


def test_an_unknown_name_lists_the_known():
    with pytest.raises(ValueError, match="data_only"):
        forms.get_form("quadratic")
