"""The simulated shower: sampler and likelihood are one process, and it is frozen."""

import hashlib
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jetlab.data.shower import parameters as fixed
from jetlab.data.shower.bayes_limit import (
    LIMITS,
    bayes_limit,
    known_rejections,
    log_posterior,
)
from jetlab.data.shower.intensity import compensator
from jetlab.data.shower.likelihood import VIEWS, log_prob, log_prob_by_configuration
from jetlab.data.shower.marks import ORIGIN_RATES, SPECIES_RATES
from jetlab.data.shower.source import BLOCK, LIMIT, TRAIN, VALID, Shower, to_ragged
from jetlab.physics.metrics import performance
from jetlab.types import CLASSES, SPECIES

# Of JetClass (arXiv:2202.03772), class by class.
MULTIPLICITY = [35.2, 42.0, 38.4, 56.3, 48.5, 28.3, 33.9, 32.2, 50.9, 27.6]
# Of the paper's fits (arXiv:2602.15781): what a tagger of JetClass tends to.
FLOOR = {"full-128": 0.32, "full-40": 0.33, "full-10": 0.59, "kinematics-40": 0.74}

SOURCE = Shower(seed=3)
VIEW = VIEWS["full-10"]


@cache
def block():
    """One block of jets that the other tests of the process share."""
    return SOURCE.showers(LIMIT, 0)


@cache
def many():
    return SOURCE.train(0, 10_000)


@cache
def posterior(name):
    """ln p(class | jet) of the block; of its start where all particles are read."""
    jets = first(300) if name == "full-128" else block()
    return np.asarray(log_posterior(jets, VIEWS[name]), np.float64)


def first(count):
    return jax.tree.map(lambda v: v[:count], block())


def standard_score(samples):
    """Distance of a mean from zero in units of its error."""
    return abs(samples.mean()) / (samples.std() / np.sqrt(len(samples)))


# The frozen decays


def test_configurations_are_those_of_the_version():
    digest = hashlib.sha256(fixed.VERSION.encode())
    for column in fixed.configurations():
        digest.update(np.round(column * 1e5).astype("<i8").tobytes())
    assert digest.hexdigest()[:16] == "1dbec0fdcec57d2d"


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
    """Compensator of the decay that made a jet, up to its first 20 particles."""

    def up_to(stop):
        return compensator(t, mask & (t < stop), stop)[label, configuration]

    return jax.vmap(up_to)(t[:20])


def test_time_change_gives_unit_exponentials():
    """Compensators between particles of a point process are Exp(1).

    The step that the end of the shower cuts is completed by a fresh exponential, which
    is exact (no memory). The number of steps is then a stopping time, so by Wald sums
    over a jet of any f(step) less its mean under Exp(1) average to zero.
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


def test_hardest_particle_follows_its_law():
    """P(t_1 > s | c, u) = exp(-Lambda(s)) (1 - epsilon F(s)), leptons included."""
    jets, decay = block(), fixed.configurations()
    label, u = np.asarray(jets.label), np.asarray(jets.configuration)
    first = true_compensator(jets.t, jets.mask, jets.label, jets.configuration)[:, 0]
    age = np.maximum(jets.t[:, 0] + np.log(decay.lepton_share[label, u]), 0.0)
    found = 1 - np.exp(-fixed.LEPTON_HARDNESS * age)
    survival = np.exp(-first) * (1 - decay.lepton_efficiency[label, u] * found)
    for power in (1, 2, 3):
        assert standard_score(survival**power - 1 / (1 + power)) < 3.5


@pytest.mark.parametrize("name", VIEWS)
def test_exact_posterior_is_calibrated(name):
    """Its loss is its own entropy, and it gives each class a tenth on average."""
    log_p = posterior(name)
    label = block().label[: len(log_p)]
    loss = -log_p[np.arange(len(log_p)), label]
    entropy = -(np.exp(log_p) * log_p).sum(1)
    assert standard_score(loss - entropy) < 3.5
    for column in np.exp(log_p).T:
        # Jets are balanced by class, which makes this error an upper bound.
        assert standard_score(column - 0.1) < 3.5


def test_posterior_of_the_configuration_is_calibrated():
    jets = block()
    joint = log_prob_by_configuration(jets, VIEW)
    log_p = jax.nn.log_softmax(joint[np.arange(BLOCK), jets.label])
    log_p = np.asarray(log_p, np.float64)
    loss = -log_p[np.arange(BLOCK), jets.configuration]
    entropy = -(np.exp(log_p) * log_p).sum(1)
    assert standard_score(loss - entropy) < 3.5


def test_jets_do_not_depend_on_their_neighbours():
    """A batch gives what single jets give: compilers have failed at this."""
    jets = first(32)
    alone = jax.jit(lambda jet: log_prob(jax.tree.map(lambda v: v[None], jet), VIEW)[0])
    single = [alone(jax.tree.map(lambda v, i=i: v[i], jets)) for i in range(32)]
    batch = log_prob(block(), VIEW)[:32]
    np.testing.assert_allclose(batch, np.stack(single), rtol=0, atol=1e-3)


def test_float32_is_enough():
    jets = first(100)
    single = np.asarray(log_prob(jets, VIEW))
    with jax.enable_x64(True):
        wide = jax.tree.map(
            lambda v: v.astype(jnp.float64) if v.dtype == jnp.float32 else v, jets
        )
        double = np.asarray(log_prob(wide, VIEW))
    assert double.dtype == np.float64
    best = double.max(1, keepdims=True)
    relevant = double > best - 20
    np.testing.assert_allclose(single[relevant], double[relevant], rtol=0, atol=5e-4)


def test_stored_jets_keep_what_the_likelihood_reads():
    """float16 columns move the loss of the exact posterior by less than 0.005."""
    jets, stored = block(), to_ragged(block())
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
    log_p = np.asarray(log_posterior(read, VIEW))
    every = np.arange(BLOCK)
    change = (log_p - posterior("full-10"))[every, jets.label]
    assert abs(change.mean()) < 0.005


# Limits


def test_limits_are_ordered_as_the_floors_and_near_them():
    limits = [LIMITS[name].loss for name in FLOOR]
    assert limits == sorted(limits)
    for name, floor in FLOOR.items():
        assert abs(LIMITS[name].loss - floor) < 0.1
        assert LIMITS[name].loss == pytest.approx(
            LIMITS[name].entropy, abs=3 * LIMITS[name].error
        )


@pytest.mark.parametrize("name", VIEWS)
def test_limits_are_those_of_the_version(name):
    log_p = posterior(name)
    entropy = -(np.exp(log_p) * log_p).sum(1)
    assert standard_score(entropy - LIMITS[name].entropy) < 3.5


def test_bayes_limit_agrees_with_the_posterior():
    limit = bayes_limit(VIEW, jets=BLOCK, seed=SOURCE.seed)
    log_p = posterior("full-10")
    loss = -log_p[np.arange(BLOCK), block().label]
    assert limit.loss == pytest.approx(loss.mean(), abs=1e-5)
    assert limit.error == pytest.approx(loss.std() / np.sqrt(BLOCK), rel=1e-4)


def test_rejections_of_the_ideal_tagger_are_those_of_fresh_jets():
    """Those kept with the version, from 40,000 jets, against 1,000 others."""
    known = known_rejections(SOURCE.identity, "full-10") or {}
    log_p, label = bayes_limit.posterior(VIEW, jets=BLOCK, seed=SOURCE.seed)
    found = performance(log_p, label, CLASSES).rejections
    assert set(known) == set(found)
    pulls = [
        np.log(r.value / known[at][0]) / (np.log(r.high / r.low) / 2)
        for at, r in found.items()
        if not r.is_limit and known[at][2] is not None
    ]
    assert np.sqrt(np.mean(np.square(pulls))) < 2  # efficiencies of a class go together


def test_more_particles_reject_no_less():
    """Of the same 40,000 jets the ideal tagger reads more: Z and W at 50 %."""
    ten, forty = (
        known_rejections(SOURCE.identity, name) or {} for name in ("full-10", "full-40")
    )
    for signal in ("Zqq", "Wqq"):
        assert forty[signal, 0.5][1] > (ten[signal, 0.5][2] or np.inf)


def test_nobody_knows_the_ideal_tagger_of_other_jets():
    assert known_rejections("store:abc", "full-10") is None


def test_bayes_limit_wants_whole_blocks():
    with pytest.raises(ValueError, match="multiple of 1000"):
        bayes_limit(VIEW, jets=1500)


# The source


def test_multiplicities_are_near_those_of_jetclass():
    jets = many()
    mean = [jets.counts[jets.label == k].mean() for k in range(len(CLASSES))]
    assert mean == pytest.approx(MULTIPLICITY, rel=0.15)


def test_train_is_the_same_jets_however_it_is_asked():
    whole = SOURCE.train(0, 2100)
    pieces = [SOURCE.train(0, 990), SOURCE.train(990, 1005), SOURCE.train(1005, 2100)]
    for column, parts in zip(whole, zip(*pieces, strict=True), strict=True):
        np.testing.assert_array_equal(column, np.concatenate(parts))


def test_streams_and_seeds_are_disjoint():
    first = {
        (seed, stream): Shower(seed=seed).showers(stream, 0).t[:, 0]
        for seed in (0, 1)
        for stream in (TRAIN, VALID, LIMIT)
    }
    hardest = np.concatenate([np.asarray(t) for t in first.values()])
    # Two of 6000 values of t in float32 may meet by chance; whole jets do not.
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


def test_species_and_shares_are_near_those_of_jetclass():
    jets = many()
    fraction = np.bincount(jets.species, minlength=len(SPECIES)) / len(jets.species)
    wanted = [0.470, 0.107, 0.408, 0.009, 0.006]
    assert fraction == pytest.approx(wanted, rel=0.2)
    owner = np.repeat(np.arange(len(jets.counts)), jets.counts)
    share = np.bincount(owner, jets.measured[:, 0].astype(float)) / 600.0
    assert share.mean() == pytest.approx(1.0, abs=0.05)


def test_counts_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="multiple of 10"):
        SOURCE.valid(25)
    with pytest.raises(ValueError, match="start < stop"):
        SOURCE.train(5, 5)


def test_identity_names_version_and_seed():
    assert Shower(seed=7).identity == f"shower-{fixed.VERSION}:seed=7"
    assert Shower().size is None
