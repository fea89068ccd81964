"""The simulated shower: sampler and likelihood agree, and both are frozen."""

import hashlib
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jetlab.data import ragged
from jetlab.data.features import INPUTS, Inputs
from jetlab.data.shower import bayes_limit as limits_module
from jetlab.data.shower import parameters as fixed
from jetlab.data.shower import sampling
from jetlab.data.shower.bayes_limit import (
    BAYES_LIMITS,
    bayes_limit,
    known_limit,
    known_rejections,
    log_posterior,
    posterior,
)
from jetlab.data.shower.intensity import compensator
from jetlab.data.shower.likelihood import OBSERVED, log_prob, log_prob_by_configuration
from jetlab.data.shower.marks import ORIGIN_RATES, SPECIES_RATES
from jetlab.data.shower.source import BAYES, BLOCK, TRAIN, VALID, Shower, to_jets
from jetlab.physics.metrics import performance
from jetlab.types import CLASSES, SPECIES

# Mean multiplicity of JetClass (arXiv:2202.03772) by class.
MULTIPLICITY = [35.2, 42.0, 38.4, 56.3, 48.5, 28.3, 33.9, 32.2, 50.9, 27.6]
# Floors fitted to taggers of JetClass (arXiv:2602.15781).
FLOOR = {"full-128": 0.32, "full-40": 0.33, "full-10": 0.59, "kinematics-40": 0.74}

SOURCE, SEED_0 = Shower(seed=3), Shower(seed=0)
VARIABLES = OBSERVED["full-10"]
KINEMATICS = INPUTS["kinematics-40"].features


@cache
def block():
    """A block of jets that tests share."""
    return SOURCE.showers(BAYES, 0)


def test_jets_do_not_depend_on_the_slots_that_they_are_computed_with(monkeypatch):
    """But for rounding, which a compiler decides."""
    narrow = block()
    monkeypatch.setattr(sampling, "NARROW", (sampling.SLOTS,))
    wide = SOURCE.showers(BAYES, 0)
    for name in ("label", "configuration", "axis", "mask"):
        np.testing.assert_array_equal(getattr(narrow, name), getattr(wide, name))
    np.testing.assert_array_equal(narrow.marks.species, wide.marks.species)
    np.testing.assert_allclose(narrow.t, wide.t, rtol=1e-5)
    np.testing.assert_allclose(narrow.y, wide.y, atol=1e-6)


@cache
def many():
    return SOURCE.train(0, 10_000)


@cache
def log_p_of(name):
    """ln p(class | jet) of the block, or of fewer jets for many particles."""
    jets = first({"full-10": BLOCK, "full-128": 100}.get(name, 300))
    return np.asarray(log_posterior(jets, OBSERVED[name]), np.float64)


def first(count):
    return jax.tree.map(lambda v: v[:count], block())


def standard_score(samples):
    """Absolute mean in units of its standard error."""
    return abs(samples.mean()) / (samples.std() / np.sqrt(len(samples)))


# The frozen decays


def test_configurations_are_those_of_the_version():
    digest = hashlib.sha256(fixed.VERSION.encode())
    for column in fixed.configurations():
        digest.update(np.round(column * 1e5).astype("<i8").tobytes())
    assert digest.hexdigest()[:16] == "1dbec0fdcec57d2d"


def test_jets_are_those_of_the_version():
    """The first jets of seed 0: axis, number of particles, and the leading two."""
    jets = SEED_0.train(0, BLOCK)
    assert jets.label[:4].tolist() == [7, 1, 3, 7]
    assert jets.counts[:4].tolist() == [41, 40, 53, 55]
    assert jets.counts.sum() == 39_088
    assert np.bincount(jets.species).tolist() == [18422, 4228, 15793, 365, 280]
    axis = [[0.5860, 2.6404], [1.7913, -2.7284], [-1.6113, 3.1345], [-0.6563, 2.7249]]
    np.testing.assert_allclose(jets.jet[:4, 1:3], axis, atol=1e-4)
    first = ragged.first_rows(jets)[:4]
    rows = np.stack([first, first + 1], 1).ravel()
    np.testing.assert_allclose(jets.measured[rows], MEASURED_V1, rtol=2e-3, atol=1e-6)
    assert jets.charge[rows].tolist() == [1, 0, -1, 1, 0, 0, -1, 0]
    assert jets.species[rows].tolist() == [0, 2, 0, 0, 2, 2, 0, 1]
    valid = SEED_0.valid(10)
    assert valid.counts.tolist() == [38, 25, 31, 38, 36, 19, 35, 38, 59, 22]
    np.testing.assert_allclose(valid.jet[0, 1:3], [0.4930, 0.6167], atol=1e-4)


MEASURED_V1 = [
    [121.8, 137.1, -0.09088, 0.006172, 0.01973, 0.01255, 0.005089, 0.03137],
    [85.94, 97.88, -0.06458, 0.008751, 0.0, 0.0, 0.0, 0.0],
    [73.25, 281.2, 0.2295, 0.047, -0.2842, 0.007988, 0.002735, 0.01996],
    [65.75, 244.6, 0.1967, 0.02083, -0.4878, 0.00901, 0.5771, 0.02254],
    [42.19, 88.31, -0.2426, -0.6313, 0.0, 0.0, 0.0, 0.0],
    [41.19, 96.94, -0.1108, -0.1384, 0.0, 0.0, 0.0, 0.0],
    [156.9, 205.8, 0.1134, -0.03378, -0.01688, 0.01399, 0.00106, 0.03497],
    [54.31, 59.81, -0.2095, 0.006481, 0.0, 0.0, 0.0, 0.0],
]


def test_likelihoods_are_those_of_the_version():
    """log p(jet | class) of a QCD, an Hbb and an Hcc jet for 10 particles."""
    log_p = log_prob(block(), VARIABLES)[:3]
    np.testing.assert_allclose(log_p, LOG_P_V1, rtol=0, atol=2e-3)


LOG_P_V1 = [
    [12.394, 4.743, 7.133, 8.658, 9.981, 12.165, 11.053, 11.375, 6.074, 5.676],
    [-6.372, 6.772, -0.139, -3.031, -4.989, -9.137, 0.332, -6.327, -0.403, -5.323],
    [-0.118, 10.049, 12.784, 0.404, -0.539, -0.667, 7.483, 5.510, 4.687, -2.051],
]


@pytest.mark.parametrize("name", OBSERVED)
def test_posteriors_are_those_of_the_version(name):
    """ln p(class | jet) of a QCD jet of 17 particles."""
    known = POSTERIOR_V1["full-40" if name == "full-128" else name]
    np.testing.assert_allclose(log_p_of(name)[0], known, rtol=0, atol=2e-3)


POSTERIOR_V1 = {
    "kinematics-40": [
        *(-1.666, -6.277, -5.108, -7.782, -3.647),
        *(-0.622, -2.783, -2.042, -7.352, -3.051),
    ],
    "full-10": [
        *(-0.932, -8.583, -6.193, -4.668, -3.345),
        *(-1.161, -2.273, -1.951, -7.252, -7.650),
    ],
    "full-40": [
        *(-1.602, -11.967, -7.859, -7.525, -4.377),
        *(-0.469, -2.728, -2.367, -9.527, -8.224),
    ],
}


def test_jets_of_fewer_than_40_particles_need_no_more():
    few = np.asarray(block().mask.sum(1))[:100] < 40
    assert 20 < few.sum() < 80
    most, all_ = (log_p_of(name)[:100] for name in ("full-40", "full-128"))
    np.testing.assert_allclose(most[few], all_[few], rtol=0, atol=2e-3)
    assert abs(most[~few] - all_[~few]).max() > 0.1


def test_visible_products_carry_the_jet_and_its_axis():
    decay = fixed.configurations()
    present = decay.rate > 0
    lepton = decay.lepton_efficiency > 0
    share = (decay.share * present).sum(-1) + decay.lepton_share * lepton
    moment = (decay.share * present)[..., None] * decay.direction
    axis = moment.sum(-2) + (
        (decay.lepton_share * lepton)[..., None] * decay.lepton_direction
    )
    np.testing.assert_allclose(share, 1.0, atol=1e-12)
    np.testing.assert_allclose(axis, 0.0, atol=1e-12)


def test_two_prongs_have_the_mass_of_their_parent():
    """m^2 = zeta_1 zeta_2 (pT dR)^2 for two massless prongs at small angles."""
    decay = fixed.configurations()
    mass = {}
    for name in ("Hbb", "Zqq", "Wqq"):
        k = CLASSES.index(name)
        one, two = decay.direction[k, :, 0], decay.direction[k, :, 1]
        share = decay.share[k, :, 0] * decay.share[k, :, 1]
        mass[name] = np.median(np.sqrt(share) * np.hypot(*(one - two).T) * 600.0)
    assert mass == pytest.approx({"Hbb": 125.0, "Zqq": 91.2, "Wqq": 80.4}, rel=0.06)


@pytest.mark.parametrize("rates", [SPECIES_RATES, ORIGIN_RATES])
def test_mark_rates_sum_to_one(rates):
    np.testing.assert_allclose(rates.sum(1), 1.0, atol=1e-12)


# Sampler against likelihood


@jax.jit
@jax.vmap
def true_compensator(t, mask, label, configuration):
    """Compensator of the true configuration, up to each of the first 20 particles."""

    def up_to(stop):
        return compensator(t, mask & (t < stop), stop)[label, configuration]

    return jax.vmap(up_to)(t[:20])


def test_time_change_gives_unit_exponentials():
    """Compensators between particles of a point process are Exp(1).

    The last step, cut by the end of the shower, is completed by an independent
    exponential, which is exact (memorylessness). The number of steps is then a stopping
    time, so by Wald's identity sums over a jet of f(step) - E f average to zero for any
    f, where E is the mean under Exp(1).
    """
    jets = block()
    hadronic = np.flatnonzero(~fixed.configurations().lepton_efficiency.any(1))
    jets = jax.tree.map(lambda v: v[np.isin(jets.label, hadronic)], jets)
    total = true_compensator(jets.t, jets.mask, jets.label, jets.configuration)
    steps = np.diff(np.asarray(total, np.float64), axis=1, prepend=0.0)
    real = np.asarray(jets.mask[:, :20])
    last = ~real & (np.cumsum(~real, axis=1) == 1)
    steps += last * np.random.default_rng(0).exponential(size=steps.shape)
    for function, mean in (
        (lambda x: x, 1.0),
        (lambda x: np.exp(-x), 0.5),
        (lambda x: np.exp(-10 * x), 1 / 11),
        (lambda x: x > 2, np.exp(-2)),
    ):
        excess = ((function(steps) - mean) * (real | last)).sum(1)
        assert standard_score(excess) < 3.5


def test_the_hardest_particle_follows_its_distribution():
    """P(t_1 > s | c, u) = exp(-Lambda(s)) (1 - epsilon F(s)), leptons included."""
    jets, decay = block(), fixed.configurations()
    label, u = np.asarray(jets.label), np.asarray(jets.configuration)
    first = true_compensator(jets.t, jets.mask, jets.label, jets.configuration)[:, 0]
    age = np.maximum(jets.t[:, 0] + np.log(decay.lepton_share[label, u]), 0.0)
    found = 1 - np.exp(-fixed.LEPTON_HARDNESS * age)
    survival = np.exp(-first) * (1 - decay.lepton_efficiency[label, u] * found)
    for power in (1, 2, 3):
        assert standard_score(survival**power - 1 / (1 + power)) < 3.5


@pytest.mark.parametrize("name", OBSERVED)
def test_exact_posterior_is_calibrated(name):
    """Its loss equals its entropy, and the mean probability of each class is 0.1."""
    log_p = log_p_of(name)
    label = block().label[: len(log_p)]
    loss = -log_p[np.arange(len(log_p)), label]
    entropy = -(np.exp(log_p) * log_p).sum(1)
    assert standard_score(loss - entropy) < 3.5
    for column in np.exp(log_p).T:
        # The error is an upper bound, as jets are balanced by class.
        assert standard_score(column - 0.1) < 3.5


def test_posterior_of_the_configuration_is_calibrated():
    jets, every = first(500), np.arange(500)
    joint = log_prob_by_configuration(jets, VARIABLES)
    mixture = jax.nn.logsumexp(joint, axis=2) - np.log(fixed.CONFIGURATIONS)
    np.testing.assert_allclose(mixture, log_prob(block(), VARIABLES)[:500], atol=1e-3)
    log_p = jax.nn.log_softmax(joint[every, jets.label])
    log_p = np.asarray(log_p, np.float64)
    loss = -log_p[every, jets.configuration]
    entropy = -(np.exp(log_p) * log_p).sum(1)
    assert standard_score(loss - entropy) < 3.5


def test_jets_do_not_depend_on_their_neighbours():
    """A batch agrees with single jets: compilers have failed at this."""
    jets = [jax.tree.map(lambda v, i=i: v[i : i + 1], block()) for i in range(20)]
    single = [log_prob(jet, VARIABLES)[0] for jet in jets]
    batch = log_prob(block(), VARIABLES)[:20]
    np.testing.assert_allclose(batch, np.stack(single), rtol=0, atol=1e-3)


@pytest.mark.slow
def test_float32_is_enough():
    jets = first(40)
    single = np.asarray(log_prob(block(), VARIABLES))[:40]
    with jax.enable_x64(True):
        wide = jax.tree.map(
            lambda v: v.astype(jnp.float64) if v.dtype == jnp.float32 else v, jets
        )
        double = np.asarray(log_prob(wide, VARIABLES))
    assert double.dtype == np.float64
    best = double.max(1, keepdims=True)
    relevant = double > best - 20
    np.testing.assert_allclose(single[relevant], double[relevant], rtol=0, atol=5e-4)


def test_rounding_of_stored_jets_does_not_move_the_likelihood():
    """float16 changes the loss of the exact posterior by less than 0.005."""
    jets, stored = block(), to_jets(block())
    mask = np.asarray(jets.mask)

    def padded(column, fill=0.0):
        values = np.full(mask.shape, fill, np.float32)
        values[mask] = column
        return jnp.asarray(values)

    pt, _, deta, dphi, *impact = stored.measured.astype(np.float32).T
    marks = jets.marks._replace(
        **dict(zip(("d0", "d0err", "dz", "dzerr"), map(padded, impact), strict=True))
    )
    read = jets._replace(
        t=padded(np.log(600.0 / pt), fixed.END),
        y=jnp.stack([padded(deta), padded(dphi)], axis=-1),
        marks=marks,
    )
    log_p = np.asarray(log_posterior(read, VARIABLES))
    every = np.arange(BLOCK)
    change = (log_p - log_p_of("full-10"))[every, jets.label]
    assert abs(change.mean()) < 0.005


# Limits


def test_limits_are_ordered_as_the_floors_and_close_to_them():
    limits = [BAYES_LIMITS[name].loss for name in FLOOR]
    assert limits == sorted(limits)
    for name, floor in FLOOR.items():
        assert abs(BAYES_LIMITS[name].loss - floor) < 0.1
        assert BAYES_LIMITS[name].loss == pytest.approx(
            BAYES_LIMITS[name].entropy, abs=3 * BAYES_LIMITS[name].error
        )


@pytest.mark.parametrize("name", OBSERVED)
def test_limits_are_those_of_the_version(name):
    log_p = log_p_of(name)
    entropy = -(np.exp(log_p) * log_p).sum(1)
    assert standard_score(entropy - BAYES_LIMITS[name].entropy) < 3.5


def test_bayes_limit_agrees_with_the_posterior():
    limit = bayes_limit(VARIABLES, jets=BLOCK, seed=SOURCE.seed)
    log_p = log_p_of("full-10")
    loss = -log_p[np.arange(BLOCK), block().label]
    entropy = -(np.exp(log_p) * log_p).sum(1)
    assert limit.loss == pytest.approx(loss.mean(), abs=1e-5)
    assert limit.error == pytest.approx(loss.std() / np.sqrt(BLOCK), rel=1e-4)
    assert limit.entropy == pytest.approx(entropy.mean(), abs=1e-5)
    error = entropy.std() / np.sqrt(BLOCK)
    assert limit.entropy_error == pytest.approx(error, rel=1e-4)
    # of version v1
    assert limit.loss == pytest.approx(0.65129, abs=1e-3)
    assert limit.entropy == pytest.approx(0.66900, abs=1e-3)
    assert limit.accuracy == pytest.approx(0.770, abs=2e-3)


def test_the_posterior_takes_one_block_after_the_other(monkeypatch):
    monkeypatch.setattr(
        limits_module, "log_posterior", lambda jets, _: jets.y[:, :10, 0]
    )
    found, label = posterior(VARIABLES, jets=2 * BLOCK, seed=SOURCE.seed)
    blocks = [block(), SOURCE.showers(BAYES, 1)]
    expected = np.concatenate([jets.y[:, :10, 0] for jets in blocks])
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(label, np.arange(2 * BLOCK) % 10)


def test_known_rejections_agree_with_other_jets():
    """Those of the version, from 40,000 jets, against 1,000 jets of another seed."""
    known = known_rejections(SOURCE.identity, "full-10") or {}
    log_p, label = posterior(VARIABLES, jets=BLOCK, seed=SOURCE.seed)
    found = performance(log_p, label, CLASSES).rejections
    assert set(known) == set(found)
    pulls = [
        np.log(r.value / known[at][0]) / (np.log(r.high / r.low) / 2)
        for at, r in found.items()
        if not r.is_limit and known[at][2] is not None
    ]
    assert np.sqrt(np.mean(np.square(pulls))) < 2  # correlated within a class


def test_more_particles_reject_no_less():
    """Of the same 40,000 jets: Z and W at 50 % signal efficiency."""
    ten, forty = (
        known_rejections(SOURCE.identity, name) or {} for name in ("full-10", "full-40")
    )
    for signal in ("Zqq", "Wqq"):
        assert forty[signal, 0.5][1] > (ten[signal, 0.5][2] or np.inf)


def test_limits_are_known_for_shower_jets_and_the_four_inputs():
    """By name, or for own inputs of the same particles and features in any order."""
    own = Inputs(particles=40, features=KINEMATICS[::-1], label="own")
    assert known_limit("shower-v1:seed=7", "kinematics-40") == (0.7600, 0.0046)
    assert known_limit("shower-v1:0123456789ab", own) == (0.7600, 0.0046)
    assert known_limit("shower-v1:seed=7", "full-128") == (0.3302, 0.0051)
    by_name = known_rejections("shower-v1:seed=7", "kinematics-40")
    assert known_rejections("shower-v1:seed=7", own) == by_name
    assert by_name is not None
    fewer = Inputs(particles=40, features=KINEMATICS[:2])
    shorter = Inputs(particles=39, features=KINEMATICS)
    for source, inputs in [
        ("store:0123456789ab", "full-10"),
        ("shower-v2:seed=7", "full-10"),
        ("shower-v1:seed=7", "own"),
        ("shower-v1:seed=7", fewer),
        ("shower-v1:seed=7", shorter),
    ]:
        assert known_limit(source, inputs) is None
        assert known_rejections(source, inputs) is None


@pytest.mark.parametrize("jets", [0, 1500])
def test_bayes_limit_needs_whole_blocks(jets):
    with pytest.raises(ValueError, match="positive multiple of 1000"):
        bayes_limit(VARIABLES, jets=jets)


# The source


def test_multiplicities_are_close_to_those_of_jetclass():
    jets = many()
    mean = [jets.counts[jets.label == k].mean() for k in range(len(CLASSES))]
    assert mean == pytest.approx(MULTIPLICITY, rel=0.15)


def test_train_does_not_depend_on_the_division_into_calls():
    whole = SOURCE.train(0, 2100)
    pieces = [SOURCE.train(0, 990), SOURCE.train(990, 1005), SOURCE.train(1005, 2100)]
    for column, parts in zip(whole, zip(*pieces, strict=True), strict=True):
        np.testing.assert_array_equal(column, np.concatenate(parts))


def test_streams_and_seeds_are_disjoint():
    first = {
        (seed, stream): Shower(seed=seed).showers(stream, 0).t[:, 0]
        for seed in (0, 1)
        for stream in (TRAIN, VALID, BAYES)
    }
    hardest = np.concatenate([np.asarray(t) for t in first.values()])
    # A few of 6000 float32 values of t coincide by chance.
    assert len(np.unique(hardest)) > 0.99 * len(hardest)


def test_blocks_are_balanced_and_training_is_shuffled():
    train, valid = SOURCE.train(0, BLOCK), SOURCE.valid(250)
    assert np.bincount(train.label).tolist() == [BLOCK // 10] * 10
    assert np.bincount(valid.label).tolist() == [25] * 10
    assert (train.label[:250] != valid.label).any()


def test_jets_as_stored():
    jets = SOURCE.train(0, BLOCK)
    pt, energy, deta, _, d0, d0err, dz, dzerr = jets.measured.astype(np.float64).T
    owner = np.repeat(np.arange(BLOCK), jets.counts)
    assert jets.counts.min() >= 1
    assert jets.counts.max() <= 128
    assert jets.counts.sum() == len(pt)
    assert (np.diff(pt)[np.diff(owner) == 0] <= 0).all()
    assert pt.min() >= 0.5
    eta = jets.jet[owner, 1]
    expected = pt * np.cosh(eta + np.where(eta < 0, -1, 1) * deta)
    np.testing.assert_allclose(energy, expected, rtol=2e-3)
    neutral = np.isin(jets.species, [1, 2])
    assert (jets.charge[neutral] == 0).all()
    assert (np.abs(jets.charge[~neutral]) == 1).all()
    for column in (d0, d0err, dz, dzerr):
        assert (column[neutral] == 0).all()
    assert (d0err[~neutral] > 0).all()


def test_species_and_pt_are_close_to_those_of_jetclass():
    jets = many()
    fraction = np.bincount(jets.species, minlength=len(SPECIES)) / len(jets.species)
    wanted = [0.470, 0.107, 0.408, 0.009, 0.006]
    assert fraction == pytest.approx(wanted, rel=0.2)
    owner = np.repeat(np.arange(len(jets.counts)), jets.counts)
    share = np.bincount(owner, jets.measured[:, 0].astype(float)) / 600.0
    assert share.mean() == pytest.approx(1.0, abs=0.05)


def test_impossible_counts_are_refused():
    with pytest.raises(ValueError, match="multiple of 10"):
        SOURCE.valid(25)
    with pytest.raises(ValueError, match="start < stop"):
        SOURCE.train(5, 5)
    with pytest.raises(ValueError, match="start < stop"):
        SOURCE.train(-1, 5)


def test_identity_names_version_and_seed():
    assert Shower(seed=7).identity == f"shower-{fixed.VERSION}:seed=7"
    assert Shower().size is None
