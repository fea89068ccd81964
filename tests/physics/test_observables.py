"""Observables of jets: by hand, by brute force, and as FastJet has them."""

import itertools
import warnings
from functools import cache
from typing import Any

import numpy as np
import pytest

from jetlab.data import ragged
from jetlab.data.shower.source import Shower
from jetlab.physics.observables import FEWEST, R0, Scheme, observables

WIDEST = 128


def padded(*jets) -> Any:
    """Columns pt, deta, dphi and mask of jets given as lists of (pt, deta, dphi)."""
    longest = max(map(len, jets))
    columns = np.zeros((3, len(jets), longest))
    mask = np.zeros((len(jets), longest), bool)
    for i, jet in enumerate(jets):
        columns[:, i, : len(jet)] = np.array(jet).T
        mask[i, : len(jet)] = True
    return (*columns, mask)


@cache
def shower_jets(count) -> Any:
    jets = Shower(seed=5).train(0, count)
    owner = np.repeat(np.arange(count), jets.counts)
    place = np.arange(len(owner)) - np.repeat(ragged.first_rows(jets), jets.counts)
    columns = np.zeros((3, count, WIDEST))
    mask = np.zeros((count, WIDEST), bool)
    columns[:, owner, place] = jets.measured[:, [0, 2, 3]].T
    # float16 has jets with particles of equal pT, of which either may win
    columns[0] *= 1 + 1e-4 * np.random.default_rng(0).random(columns[0].shape)
    mask[owner, place] = True
    return (*columns, mask)


def test_two_particles_by_hand():
    """m^2 = 2 pT1 pT2 (cosh deta - cos dphi); one axis lies at the sum."""
    found = observables(*padded([(30.0, 0.1, 0.0), (10.0, -0.2, 0.4)]))
    mass = np.sqrt(2 * 30 * 10 * (np.cosh(0.3) - np.cos(0.4)))
    assert found.mass[0] == pytest.approx(mass, rel=1e-12)
    assert found.multiplicity[0] == 2
    assert found.few == 1
    assert np.isnan([found.tau21[0], found.tau32[0], found.d2[0]]).all()


def test_three_particles_by_hand():
    """The two nearest in kT are one subjet; the third is its own axis."""
    jet = [(100.0, 0.0, 0.0), (10.0, 0.1, 0.0), (50.0, 0.0, 0.6)]
    found = observables(*padded(jet), scheme="WTA")
    # Axes of two: the first (it wins over the second) and the third; of one: the first.
    one, two = (10 * 0.1 + 50 * 0.6) / R0, 10 * 0.1 / R0
    assert found.tau21[0] == pytest.approx(two / one, rel=1e-12)
    assert found.tau32[0] == 0
    z = np.array([100, 10, 50]) / 160
    R = {(0, 1): 0.1, (0, 2): 0.6, (1, 2): np.hypot(0.1, 0.6)}
    e2 = sum(z[i] * z[j] * d for (i, j), d in R.items())
    e3 = z.prod() * np.prod(list(R.values()))
    assert found.d2[0] == pytest.approx(e3 / e2**3, rel=1e-12)


def test_d2_is_the_sum_over_triplets():
    pt, deta, dphi, mask = (column[:4] for column in shower_jets(1000))
    found = observables(pt, deta, dphi, mask)
    for i in range(4):
        n = mask[i].sum()
        z = pt[i, :n] / pt[i, :n].sum()
        R = np.hypot(
            deta[i, :n, None] - deta[i, None, :n], dphi[i, :n, None] - dphi[i, None, :n]
        )
        e2 = sum(z[a] * z[b] * R[a, b] for a, b in itertools.combinations(range(n), 2))
        e3 = sum(
            z[a] * z[b] * z[c] * R[a, b] * R[a, c] * R[b, c]
            for a, b, c in itertools.combinations(range(n), 3)
        )
        assert found.d2[i] == pytest.approx(e3 / e2**3, rel=1e-9)


def test_padding_and_chunks_change_nothing(monkeypatch):
    pt, deta, dphi, mask = (column[:12] for column in shower_jets(1000))
    whole = observables(pt, deta, dphi, mask)
    longest = mask.sum(1).max()
    short = observables(*(a[:, :longest] for a in (pt, deta, dphi, mask)))
    monkeypatch.setattr("jetlab.physics.observables.CHUNK", 4)
    parts = observables(pt, deta, dphi, mask)
    for one, two, three in zip(whole, short, parts, strict=True):
        np.testing.assert_allclose(two, one, rtol=1e-9)
        np.testing.assert_allclose(three, one, rtol=1e-9)


@pytest.mark.parametrize(("scheme", "axes"), [("E", "KT_Axes"), ("WTA", "WTA_KT_Axes")])
def test_they_are_those_of_fastjet(scheme: Scheme, axes):
    fastjet, ak = pytest.importorskip("fastjet"), pytest.importorskip("awkward")
    vector = pytest.importorskip("vector")
    vector.register_awkward()
    pt, deta, dphi, mask = shower_jets(1000)
    found = observables(pt, deta, dphi, mask, scheme)
    kept = ak.Array([np.flatnonzero(row).tolist() for row in mask])
    columns = {
        "px": pt * np.cos(dphi), "py": pt * np.sin(dphi),
        "pz": pt * np.sinh(deta), "E": pt * np.cosh(deta),
    }  # fmt: skip
    momenta = ak.zip(
        {n: ak.from_regular(ak.Array(c))[kept] for n, c in columns.items()},
        with_name="Momentum4D",
    )
    found_by = fastjet.JetDefinition(fastjet.kt_algorithm, 1000.0)
    clusters = fastjet.ClusterSequence(momenta, found_by)
    tau = ak.to_numpy(
        clusters.njettiness("NormalizedMeasure", axes, njets=[1, 2, 3], R0=R0)
    ).reshape(-1, 3)
    with warnings.catch_warnings():  # of exclusive jets, whichever the algorithm
        warnings.simplefilter("ignore")
        jet = clusters.exclusive_jets(1)
        d2 = clusters.exclusive_jets_energy_correlator(njets=1, func="d2")
    square = jet.E**2 - jet.px**2 - jet.py**2 - jet.pz**2
    enough = found.multiplicity >= FEWEST
    assert enough.sum() > 990
    for ours, theirs in (
        (found.tau21, tau[:, 1] / tau[:, 0]),
        (found.tau32, tau[:, 2] / tau[:, 1]),
        (found.d2, ak.to_numpy(d2).ravel()),
        (found.mass**2, ak.to_numpy(square).ravel()),
        (found.pt, ak.to_numpy(np.hypot(jet.px, jet.py)).ravel()),
    ):
        np.testing.assert_allclose(ours[enough], theirs[enough], rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"pt": -1.0}, "constituent 1: pT -1"),
        ({"deta": np.nan}, "constituent 1: pT 2, deta nan"),
        ({"mask": False}, "jet 0 has no constituents"),
    ],
)
def test_bad_jets(change, match):
    names = ("pt", "deta", "dphi", "mask")
    columns = dict(zip(names, padded([(3.0, 0.0, 0.0), (2.0, 0.1, 0.1)]), strict=True))
    for name, value in change.items():
        columns[name][0, slice(None) if name == "mask" else 1] = value
    with pytest.raises(ValueError, match=match):
        observables(**columns)
