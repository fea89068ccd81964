"""Elementwise layers against JAX's own."""

import jax
import jax.numpy as jnp
import numpy as np

from jetlab.models.layers import gelu


def test_gelu_and_its_derivative_are_exact():
    x = jnp.concatenate([jnp.linspace(-12, 12, 2001), jnp.array([0.0, 1e-6, 40.0])])
    exact = lambda x: jax.nn.gelu(x, approximate=False)  # noqa: E731
    np.testing.assert_allclose(gelu(x), exact(x), rtol=1e-6, atol=1e-6)
    ones = jnp.ones_like(x)
    (found,), (wanted,) = (jax.vjp(f, x)[1](ones) for f in (gelu, exact))
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-6)
    # Phi(1) + phi(1)
    assert np.isclose(jax.grad(lambda x: gelu(x)[0])(ones[:1])[0], 1.0833155)
