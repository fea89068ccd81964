import math
import re

import numpy as np
import pytest

from jetlab.data import ragged
from jetlab.data.features import (
    BLOCK,
    FEATURES,
    INPUTS,
    Inputs,
    featurize,
    on_device,
    parse_inputs,
    require_distinct_labels,
    resolve_inputs,
)
from jetlab.identity import identity
from jetlab.types import FlatJets, Jets
from tests.data.jetclass_files import SHARED


def one_particle(**changes: float) -> Jets:
    """A jet of pT 512 GeV and E 1024 GeV with one particle of pT 8 GeV and E 16 GeV,
    exact in float16, for arithmetic by hand."""
    values = {
        "pt": 8.0,
        "energy": 16.0,
        "deta": 0.25,
        "dphi": -0.5,
        "d0val": 0.5,
        "d0err": 0.125,
        "dzval": -2.0,
        "dzerr": 3.0,
    } | changes
    return Jets(
        label=np.array([7], np.int16),
        counts=np.array([1], np.int32),
        jet=np.array([[512.0, -1.0, 0.75, 1024.0]], np.float32),
        measured=np.array([list(values.values())], np.float16),
        charge=np.array([-1], np.int8),
        species=np.array([3], np.int8),
    )


def padded(jets: FlatJets, particles: int) -> tuple[np.ndarray, np.ndarray]:
    """Padded features and the mask of the real particles."""
    mask = np.arange(particles) < jets.counts[:, None]
    return ragged.pad(jets.x, jets.counts, particles), mask


def by_name(jets: Jets) -> dict[str, float]:
    x = featurize(jets, INPUTS["full-10"]).x[0]
    return dict(zip(FEATURES, x.tolist(), strict=True))


def test_the_names_are_the_table_of_21_in_order():
    full = INPUTS["full-40"].features
    assert len(full) == 21
    assert full == FEATURES[:21]
    assert full[:5] == (
        "part_pt_log",
        "part_e_log",
        "part_logptrel",
        "part_logerel",
        "part_deltaR",
    )
    assert full[-4:] == ("part_px", "part_py", "part_pz", "part_energy")


def test_features_of_one_particle_by_hand():
    # log 8 = 2.0794, log 16 = 2.7726, log(8/512) = log(16/1024) = -4.1589;
    # distance 0.5590; phi = 0.75 - 0.5; eta = -1 - 0.25 as the jet has eta < 0.
    px, py, pz = 7.7513, 1.9792, -12.8154
    expected = {
        "part_pt_log": 0.26561,
        "part_e_log": 0.54081,
        "part_logptrel": 0.37878,
        "part_logerel": 0.37878,
        "part_deltaR": 1.43607,
        "part_charge": -1,
        "part_isChargedHadron": 0,
        "part_isNeutralHadron": 0,
        "part_isPhoton": 0,
        "part_isElectron": 1,
        "part_isMuon": 0,
        "part_d0": 0.46212,
        "part_d0err": 0.125,
        "part_dz": -0.96403,
        "part_dzerr": 1,
        "part_deta": 0.25,
        "part_dphi": -0.5,
        "part_px": 0.4 * math.asinh(px),
        "part_py": 0.4 * math.asinh(py),
        "part_pz": 0.4 * math.asinh(pz),
        "part_energy": 0.4 * math.asinh(16),
    }
    assert by_name(one_particle()) == pytest.approx(expected, rel=6e-4)


@pytest.mark.parametrize(
    ("change", "feature", "value"),
    [
        ({"pt": 1e-4}, "part_pt_log", -5),
        ({"energy": 65504}, "part_e_log", 5),
        ({"deta": 2.9, "dphi": 0.0}, "part_deltaR", 5),
    ],
)
def test_standardised_features_are_clipped_at_five(change, feature, value):
    assert by_name(one_particle(**change))[feature] == value


def test_the_four_momentum_is_odd_and_bounded():
    forward = by_name(one_particle(dphi=-0.75))
    back = by_name(one_particle(dphi=-0.75 + math.pi))
    assert forward["part_px"] == pytest.approx(-back["part_px"], rel=1e-3)
    assert by_name(one_particle(energy=65504))["part_energy"] < 5


def test_inputs_have_their_particles_and_features():
    sizes = {name: (i.particles, len(i.features)) for name, i in INPUTS.items()}
    assert sizes == {
        "kinematics-40": (40, 3),
        "full-10": (10, 21),
        "full-40": (40, 21),
        "full-128": (128, 21),
    }
    assert INPUTS["kinematics-40"].features == ("part_deta", "part_dphi", "part_pt_log")


def test_padding_is_zero_and_masked():
    two = ragged.concatenate([one_particle(), one_particle(pt=4.0)])
    flat = featurize(two, INPUTS["kinematics-40"])
    x, mask = padded(flat, 40)
    assert (x.shape, x.dtype) == ((2, 40, 3), np.float16)
    assert mask.sum() == 2
    assert not x[~mask].any()
    assert flat.y.tolist() == [7, 7]


def test_features_of_a_subset_are_those_of_the_full_set():
    two = ragged.concatenate([one_particle(), one_particle(pt=4.0)])
    full = featurize(two, INPUTS["full-128"]).x
    columns = [FEATURES.index(name) for name in INPUTS["kinematics-40"].features]
    np.testing.assert_array_equal(
        featurize(two, INPUTS["kinematics-40"]).x, full[..., columns]
    )


def random_jets(count: int) -> Jets:
    rng = np.random.default_rng(0)
    counts = rng.integers(1, 11, count).astype(np.int32)
    total = int(counts.sum())
    measured = rng.normal(size=(total, 8))
    measured[:, :2] = np.exp(2 * measured[:, :2])
    return Jets(
        label=np.zeros(count, np.int16),
        counts=counts,
        jet=np.abs(rng.normal(size=(count, 4))).astype(np.float32),
        measured=measured.astype(np.float16),
        charge=rng.integers(-1, 2, total).astype(np.int8),
        species=rng.integers(0, 5, total).astype(np.int8),
    )


@pytest.mark.parametrize("spare", [1003, -1003])
def test_features_have_the_same_bits_in_any_shape(spare):
    """Two blocks on the host; more or fewer rows than particles on the device."""
    jets, inputs = random_jets(BLOCK // 5), INPUTS["full-10"]
    here = featurize(jets, inputs).x
    assert BLOCK < len(here) < 2 * BLOCK
    there = np.asarray(on_device(jets, inputs, len(here) + spare))
    assert len(there) == len(here) + spare
    rows = min(len(here), len(there))
    np.testing.assert_array_equal(
        here[:rows].view(np.uint16), there[:rows].view(np.uint16)
    )


def test_features_of_a_jet_do_not_depend_on_the_batch():
    jets, inputs = random_jets(30), INPUTS["full-10"]
    alone = [featurize(ragged.take(jets, np.array([i])), inputs).x for i in range(30)]
    np.testing.assert_array_equal(featurize(jets, inputs).x, np.concatenate(alone))


# Own input configurations


@pytest.mark.parametrize("features", [("part_pz",), ("part_isMuon", "part_d0")])
@pytest.mark.parametrize("particles", [1, 3, 128])
def test_features_of_own_inputs_are_columns_of_the_full_set(particles, features):
    jets = random_jets(30)
    own = featurize(jets, Inputs(particles=particles, features=features))
    leading = featurize(ragged.truncate(jets, particles), INPUTS["full-128"])
    columns = [FEATURES.index(name) for name in features]
    assert own.counts.max() == min(particles, 10)
    np.testing.assert_array_equal(own.x, leading.x[:, columns])
    np.testing.assert_array_equal(own.counts, leading.counts)


def test_the_default_label_is_a_known_name_or_counts_features_and_particles():
    kinematics = ("part_deta", "part_dphi", "part_pt_log")
    labels = [
        Inputs(particles=40, features=kinematics).label,
        Inputs(particles=40, features=kinematics[::-1]).label,
        Inputs(particles=41, features=kinematics).label,
        Inputs(particles=10, features=FEATURES).label,
        Inputs(particles=10, features=FEATURES, label="mine").label,
    ]
    assert labels == ["kinematics-40", "3f-40p", "3f-41p", "full-10", "mine"]
    assert {name: inputs.label for name, inputs in INPUTS.items()} == {
        name: name for name in INPUTS
    }


def test_the_label_decides_neither_equality_nor_identity():
    one, other = (
        Inputs(particles=7, features=("part_d0",), label=label) for label in "ab"
    )
    assert one == other
    assert hash(one) == hash(other)
    assert identity(one) == identity(other)
    assert identity(one) != identity(Inputs(particles=8, features=("part_d0",)))
    assert identity(one) != identity(Inputs(particles=7, features=("part_dz",)))


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"features": ("part_mass", "part_d0")}, "unknown features part_mass: choose"),
        ({"features": ()}, "no features: choose from part_pt_log, part_e_log, "),
        ({"features": ("part_d0", "part_d0")}, "duplicate features part_d0: "),
        ({"particles": 0}, "particles is 0: choose 1 to 128"),
        ({"particles": 129}, "particles is 129: choose 1 to 128"),
        ({"label": "a/b"}, "label 'a/b': use letters, digits"),
        ({"label": "-x"}, "label '-x': use letters, digits"),
        ({"label": "full-40"}, "label 'full-40' names another input configuration"),
    ],
)
def test_impossible_inputs_are_refused(choice, message):
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        Inputs(**{"particles": 40, "features": ("part_d0", "part_dz")} | choice)


def test_inputs_resolve_by_name_or_are_themselves():
    own = Inputs(particles=1, features=("part_d0",))
    assert resolve_inputs("full-40") is INPUTS["full-40"]
    assert resolve_inputs(own) is own
    with pytest.raises(ValueError, match="inputs 'full-41': choose from kinematics-40"):
        resolve_inputs("full-41")


def test_inputs_are_parsed_from_names_and_definitions():
    assert parse_inputs("full-128") == "full-128"
    plain = parse_inputs("2:part_d0,part_dz")
    named = parse_inputs("tracks=2:part_d0, part_dz")
    assert plain == named == Inputs(particles=2, features=("part_d0", "part_dz"))
    assert [resolve_inputs(one).label for one in (plain, named)] == ["2f-2p", "tracks"]
    kinematics = "40:part_deta,part_dphi,part_pt_log"
    assert parse_inputs(kinematics) == "kinematics-40"
    assert parse_inputs(f"kinematics-40={kinematics}") == "kinematics-40"
    assert resolve_inputs(parse_inputs(f"own={kinematics}")).label == "own"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("full-41", "inputs 'full-41': choose from kinematics-40, full-10, full-40,"),
        ("", "inputs '': choose from"),
        ("=2:part_d0", "inputs '=2:part_d0': choose from"),
        ("a=b=2:part_d0", "inputs 'a=b=2:part_d0': choose from"),
        ("many:part_d0", "inputs 'many:part_d0': choose from"),
        ("-2:part_d0", "inputs '-2:part_d0': choose from"),
        ("2:", "no features: choose from part_pt_log"),
        ("2:part_d0,part_d0", "duplicate features part_d0"),
        ("2:part_d0,d1", "unknown features d1: choose from part_pt_log"),
        ("200:part_d0", "particles is 200: choose 1 to 128"),
        ("full-10=2:part_d0", "label 'full-10' names another input configuration"),
        ("a b=2:part_d0", "label 'a b': use letters"),
    ],
)
def test_unusable_definitions_of_inputs_are_refused(text, message):
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        parse_inputs(text)


def test_different_inputs_of_one_label_are_refused():
    one, other = (Inputs(particles=2, features=(name,)) for name in FEATURES[:2])
    require_distinct_labels(["full-40", one, INPUTS["full-40"], one])
    with pytest.raises(ValueError, match="two input configurations have the label '1f"):
        require_distinct_labels([one, "full-40", other])


# JetClass


@pytest.mark.skipif(not SHARED.is_dir(), reason="the real jets are not here")
def test_real_jets_keep_their_values_and_moments():
    vectors = np.load(SHARED / "SMALLpfVectors.npy").transpose(0, 2, 1)
    points = np.load(SHARED / "SMALLpfPoints.npy").transpose(0, 2, 1)
    mask = np.load(SHARED / "SMALLpfMask.npy")[:, 0] > 0
    label = np.load(SHARED / "SMALLlabels.npy").argmax(1)
    flat = featurize(_as_ragged(vectors, points, mask, label), INPUTS["full-128"])
    x, real = padded(flat, 128)
    x = {name: x[..., i][real].astype(float) for i, name in enumerate(FEATURES)}
    np.testing.assert_array_equal(real, mask)
    np.testing.assert_allclose(x["part_deta"], points[mask][:, 0], rtol=5e-4, atol=1e-7)
    np.testing.assert_allclose(x["part_dphi"], points[mask][:, 1], rtol=5e-4, atol=1e-7)
    # The momenta rebuilt from pT, angles and the jet's axis are those of the file.
    for column, name in enumerate(("part_px", "part_py", "part_pz", "part_energy")):
        momentum = np.sinh(x[name] / 0.4)
        np.testing.assert_allclose(momentum, vectors[mask][:, column], 8e-3, atol=8e-3)
    # JetClass: 43.8 % of jets have over 40 particles, 0.4 % of particles dR > 0.8.
    assert (real.sum(1) > 40).mean() == pytest.approx(0.438)
    assert (x["part_deltaR"] > (0.8 - 0.2) * 4).mean() == pytest.approx(0.004, abs=5e-4)
    # Mean multiplicities by class, each within three standard errors.
    published = [35.2, 42.0, 38.4, 56.3, 48.5, 28.3, 33.9, 32.2, 50.9, 27.6]
    for number, expected in enumerate(published):
        counts = real[flat.y == number].sum(1)
        assert abs(counts.mean() - expected) < 3 * counts.std() / len(counts) ** 0.5


def _as_ragged(vectors, points, mask, label) -> Jets:
    px, py, pz, energy = vectors[mask].T
    deta, dphi = points[mask].T
    counts = mask.sum(1).astype(np.int32)
    first = np.cumsum(counts) - counts
    pt, phi = np.hypot(px, py), np.arctan2(py, px)
    eta = np.arcsinh(pz / pt)
    # The axis is the direction of the leading particle minus its distance. The sign of
    # eta is the one for which all particles agree.
    axis_phi = (phi - dphi)[first]
    axis_eta = np.array(
        [
            _axis(eta[a : a + n], deta[a : a + n])
            for a, n in zip(first, counts, strict=True)
        ]
    )
    total = np.add.reduceat(vectors[mask], first)
    jet = np.stack(
        [np.hypot(total[:, 0], total[:, 1]), axis_eta, axis_phi, total[:, 3]], 1
    )
    zeros = np.zeros((len(pt), 4))
    return Jets(
        label=label.astype(np.int16),
        counts=counts,
        jet=jet.astype(np.float32),
        measured=ragged.to_float16(np.column_stack([pt, energy, deta, dphi, zeros])),
        charge=np.zeros(len(pt), np.int8),
        species=np.zeros(len(pt), np.int8),
    )


def _axis(eta: np.ndarray, deta: np.ndarray) -> float:
    axes = (eta - deta, eta + deta)
    return float(min(axes, key=np.ptp)[0])
