"""Relabelled jets: the labels follow the posterior, and its entropy is the floor."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from jetlab.data.features import INPUTS, Inputs
from jetlab.data.shower.source import Shower
from jetlab.data.taught import Taught
from jetlab.types import CLASSES, KnowsPosterior, Source


@dataclass(frozen=True)
class Counter:
    """A teacher of one rule: the logit of class k is k times (multiplicity - 20) / 20,
    with at most 40 particles counted."""

    classes: tuple[str, ...] = CLASSES
    inputs: Inputs = INPUTS["full-40"]
    digest: str = "counter"

    def __call__(self, jets):
        few = np.minimum(jets.counts, self.inputs.particles)
        return np.outer((few - 20) / 20, np.arange(10))


@pytest.fixture(scope="module")
def taught() -> Taught:
    return Taught(source=Shower(), teacher=Counter())


def test_it_is_a_source_that_knows_its_posterior(taught):
    assert isinstance(taught, Source)
    assert isinstance(taught, KnowsPosterior)
    assert taught.identity == f"taught-counter@{Shower().identity}"
    assert (taught.size, taught.held_out, taught.classes) == (None, None, CLASSES)


def test_labels_follow_the_posterior(taught):
    """Class shares, and -ln p of the labels against the entropy, to four sigmas."""
    jets = taught.train(0, 8000)
    p = taught.probability(jets)
    shares = np.bincount(jets.label, minlength=10) / len(jets.label)
    error = np.sqrt((p * (1 - p)).sum(0)) / len(p)
    assert (np.abs(shares - p.mean(0)) < 4 * error + 1e-12).all()
    surprise = -np.log(p[np.arange(len(p)), jets.label])
    entropy = -(p * np.log(p)).sum(1)
    assert surprise.std() > 0.3
    miss = (surprise - entropy).mean() / (surprise - entropy).std() * np.sqrt(len(p))
    assert abs(miss) < 4


def test_only_the_labels_change(taught):
    """And a jet's label does not depend on how jets are read."""
    whole, plain = taught.train(0, 5000), Shower().train(0, 5000)
    for name in ("counts", "jet", "measured", "charge", "species"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(plain, name))
    assert whole.label.dtype == plain.label.dtype
    parts = [taught.train(a, b).label for a, b in ((0, 4000), (4000, 4500))]
    np.testing.assert_array_equal(np.concatenate(parts), whole.label[:4500])
    assert (taught.valid(1000).label != whole.label[:1000]).any()
    other = replace(taught, seed=1)
    assert (other.train(0, 1000).label != whole.label[:1000]).mean() > 0.2
    assert other.identity != taught.identity


@pytest.mark.parametrize(
    ("inputs", "exact"),
    [
        (INPUTS["full-40"], True),
        (INPUTS["full-128"], True),
        (INPUTS["full-10"], False),
        (INPUTS["kinematics-40"], False),
    ],
)
def test_the_posterior_is_exact_for_inputs_with_all_that_the_teacher_reads(
    taught, inputs, exact
):
    found = taught.posterior(100, inputs)
    assert found.exact is exact
    np.testing.assert_allclose(found.probability.sum(1), 1)
    np.testing.assert_array_equal(
        found.probability, taught.probability(taught.valid(100))
    )


def test_a_larger_scale_lowers_the_floor(taught):
    def entropy(scale):
        p = replace(taught, scale=scale).posterior(500, INPUTS["full-40"]).probability
        return -(p * np.log(p + 1e-300)).sum(1).mean()

    assert entropy(0.5) > entropy(1.0) > entropy(2.0)
    assert replace(taught, scale=2.0).identity.startswith("taught-counter*2@")


def test_what_cannot_be():
    with pytest.raises(ValueError, match="the teacher has 3 classes"):
        Taught(source=Shower(), teacher=Counter(classes=("a", "b", "c")))
    with pytest.raises(ValueError, match="scale is 0: choose a positive number"):
        Taught(source=Shower(), teacher=Counter(), scale=0.0)
