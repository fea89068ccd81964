"""Binned tokens: published numbers, values within their bins, and what is refused."""

import pickle
from dataclasses import replace

import numpy as np
import pytest

from jetlab.data.shower.source import Shower
from jetlab.models.tokenizer import PUBLISHED, Binned, Particles, Tokenizer

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def jets():
    return Shower(seed=2).train(0, 1000)


@pytest.fixture(scope="module")
def published(jets):
    return Binned.fit([jets])


def test_published_numbers_of_bins(published):
    assert PUBLISHED == (40, 30, 30)
    assert published.shape == (41, 31, 31)
    assert published.vocabulary == 39_401 + 2
    assert (published.start, published.stop) == (39_401, 39_402)
    assert isinstance(published, Tokenizer)


def test_edges_are_those_of_the_training_jets(jets, published):
    log_pt = np.log(jets.measured[:, 0].astype(float))
    assert published.log_pt[0] == np.quantile(log_pt, 1e-3)
    assert published.log_pt[-1] == log_pt.max()
    np.testing.assert_allclose(np.diff(published.log_pt), np.ptp(published.log_pt) / 39)
    assert published.deta == published.dphi
    assert (published.deta[0], published.deta[-1]) == (-0.8, 0.8)


def test_particles_stay_in_their_bins(jets, published):
    """Decoded particles have the tokens that they were made of."""
    inner = Particles.of(jets)
    kept = (np.abs(inner.deta) < 0.8) & (np.abs(inner.dphi) < 0.8)
    kept &= (np.log(inner.pt) > published.log_pt[0]) & (
        np.log(inner.pt) < published.log_pt[-1]
    )
    inner = Particles(*(column[kept] for column in inner))
    tokens = published.encode(inner)
    assert tokens.min() >= 0
    assert tokens.max() < published.start
    made = published.decode(tokens, RNG)
    np.testing.assert_array_equal(published.encode(made), tokens)
    width = 1.6 / 29
    assert np.abs(made.deta - inner.deta).max() < width
    # Uniform in a bin: a difference of two uniform numbers if the truth is flat too.
    assert np.std(made.dphi - inner.dphi) == pytest.approx(width / 6**0.5, rel=0.1)


def test_particles_outside_are_counted_and_come_back_at_the_edge(published):
    outside = Particles(
        np.array([1e-6, 1e6, 10.0]),
        np.array([-2.0, 0.0, 0.1]),
        np.array([0.0, 1.0, 0.1]),
    )
    assert published.outside(outside) == {"log_pt": 2, "deta": 1, "dphi": 1}
    made = published.decode(published.encode(outside), RNG)
    np.testing.assert_allclose(
        np.log(made.pt[:2]), [published.log_pt[0], published.log_pt[-1]]
    )
    assert made.deta[0] == -0.8
    assert made.dphi[1] == 0.8


def test_equal_bins_hold_equally_many_particles(jets):
    coarse = Binned.fit([jets], shape=(14, 12, 12), equal=True)
    assert coarse.vocabulary == 15 * 13 * 13 + 2
    place = np.unravel_index(coarse.encode(Particles.of(jets)), coarse.shape)
    for bins, own in zip(coarse.shape, place, strict=True):
        share = np.bincount(own, minlength=bins) / len(own)
        assert share[[0, -1]].max() < 0.002
        assert np.abs(share[1:-1] - 1 / (bins - 2)).max() < 0.02  # float16 has ties
    made = coarse.decode(coarse.encode(Particles.of(jets)), RNG)
    for name in ("deta", "dphi"):
        own, back = getattr(Particles.of(jets), name), getattr(made, name)
        assert np.std(back) == pytest.approx(np.std(own), rel=0.3)
    with pytest.raises(ValueError, match="no jets"):
        Binned.fit([])


def test_tokens_depend_on_the_edges_alone(published):
    moved = replace(published, deta=(*published.deta[:-1], 0.81))
    assert moved.digest != published.digest
    assert pickle.loads(pickle.dumps(published)) == published
    assert Binned(*map(tuple, published._edges)).digest == published.digest


@pytest.mark.parametrize("value", [0.0, -1.0, np.nan, np.inf])
def test_particles_that_cannot_be_encoded(published, value):
    bad = Particles(np.array([1.0, value]), np.zeros(2), np.zeros(2))
    with pytest.raises(ValueError, match="particle 1 has pT"):
        published.encode(bad)


def test_tokens_that_are_no_particle(published):
    for token in (published.start, published.stop, -1):
        with pytest.raises(ValueError, match=f"{token} at place 1 is no particle"):
            published.decode(np.array([0, token]), RNG)


@pytest.mark.parametrize("edges", [(0.0,), (0.0, 0.0), (1.0, 0.0)])
def test_edges_that_cannot_be(edges):
    with pytest.raises(ValueError, match="edges in deta: give two or more that rise"):
        Binned((0.0, 1.0), edges, (0.0, 1.0))
