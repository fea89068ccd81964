"""The formulas against numbers worked out by hand."""

import numpy as np
import pytest

from jetlab.laws import forms

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


@pytest.mark.parametrize("form", forms.FORMS)
def test_a_form_is_found_by_its_name(form):
    assert forms.named(form.name) is form


def test_an_unknown_name_lists_the_known():
    with pytest.raises(ValueError, match="data_only"):
        forms.named("quadratic")
