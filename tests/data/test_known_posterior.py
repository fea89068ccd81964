"""The kept posterior of the shower's validation jets is the exact one."""

import numpy as np
import pytest

from jetlab.data.features import INPUTS, Inputs
from jetlab.data.shower.bayes_limit import BAYES_LIMITS, log_posterior
from jetlab.data.shower.known_posterior import configuration_name, known_posterior
from jetlab.data.shower.likelihood import OBSERVED
from jetlab.data.shower.source import BLOCK, VALID, Shower
from jetlab.types import KnowsPosterior

KEPT = 5_000


@pytest.mark.parametrize("name", INPUTS)
def test_its_mean_entropy_is_that_of_other_jets(name):
    """Of the 20,000 to 40,000 jets of the Bayes limit, within 3 errors."""
    p = known_posterior(0, KEPT, INPUTS[name])
    assert p is not None
    np.testing.assert_allclose(p.sum(axis=1), 1)
    entropy = -(p * np.log(p + 1e-300)).sum(axis=1)
    error = np.hypot(entropy.std() / KEPT**0.5, BAYES_LIMITS[name].entropy_error)
    assert abs(entropy.mean() - BAYES_LIMITS[name].entropy) < 3 * error


@pytest.mark.parametrize("name", INPUTS)
def test_it_is_calibrated_on_the_labels_of_the_jets(name):
    """-ln p(true class) has the entropy as its mean, within 3 errors."""
    p = known_posterior(0, KEPT, INPUTS[name])
    assert p is not None
    labels = Shower().valid(KEPT).label
    surprise = -np.log(p[np.arange(KEPT), labels])
    miss = surprise + (p * np.log(p + 1e-300)).sum(axis=1)
    assert abs(miss.mean()) < 3 * miss.std() / KEPT**0.5


@pytest.mark.slow
def test_it_is_what_the_likelihood_gives():
    log_p = log_posterior(Shower().showers(VALID, 0), OBSERVED["full-10"])
    kept = known_posterior(0, BLOCK, INPUTS["full-10"])
    assert kept is not None
    np.testing.assert_allclose(kept, np.exp(np.asarray(log_p)), atol=1e-3)


def test_it_is_kept_for_some_jets_and_inputs_only():
    shower = Shower()
    assert isinstance(shower, KnowsPosterior)
    found = shower.posterior(200, INPUTS["full-40"])
    assert found is not None
    assert found.exact
    assert found.probability.shape == (200, 10)
    assert shower.posterior(KEPT + 10, INPUTS["full-40"]) is None
    assert Shower(seed=1).posterior(200, INPUTS["full-40"]) is None
    own = Inputs(particles=12, features=INPUTS["full-10"].features)
    assert shower.posterior(200, own) is None


def test_inputs_are_known_by_what_they_read():
    known = INPUTS["kinematics-40"]
    turned = Inputs(particles=40, features=known.features[::-1], label="mine")
    assert configuration_name(turned) == "kinematics-40"
    assert configuration_name(Inputs(particles=39, features=known.features)) is None
