"""Propagation, tracking, calorimeters and jet finding against values worked out by
hand."""

from typing import Any

import numpy as np
import pytest

pytest.importorskip("fastjet")
pytest.importorskip("pythia8mc")

from jetlab.data.pythia import tracking
from jetlab.data.pythia.calorimeter import ECAL, HCAL, Hits, lognormal
from jetlab.data.pythia.detector import (
    CHARGED_HADRON,
    ELECTRON,
    MUON,
    NEUTRAL_HADRON,
    PHOTON,
    ParticleFlow,
    simulate_detector,
)
from jetlab.data.pythia.jet_finding import find_jets, substructure
from jetlab.data.pythia.kinematics import delta_r, eta_phi, wrap_phi
from jetlab.data.pythia.tracking import (
    CURVATURE,
    FIELD,
    SOLENOID_RADIUS,
    StableParticles,
)


def stable(momentum, *, pid=211, charge=1, mass=0.14, vertex=(0, 0, 0), event=None):
    momentum = np.atleast_2d(np.array(momentum, float))
    count = len(momentum)
    return StableParticles(
        event=np.zeros(count, int) if event is None else np.array(event),
        pid=np.broadcast_to(pid, count).copy(),
        charge=np.broadcast_to(charge, count).copy(),
        momentum=momentum,
        mass=np.full(count, mass),
        vertex=np.broadcast_to(np.array(vertex, float), (count, 3)).copy(),
    )


def test_azimuth_wraps_to_the_half_open_interval():
    angles = np.array([0.0, 3.0, np.pi, -np.pi, 4.0, -4.0, 7.0])
    expected = [0.0, 3.0, -np.pi, -np.pi, 4 - 2 * np.pi, 2 * np.pi - 4, 7 - 2 * np.pi]
    np.testing.assert_allclose(wrap_phi(angles), expected, atol=1e-15)


def test_delta_r_across_the_wrap():
    assert delta_r(0.3, 3.1, 0.0, -3.1) == pytest.approx(np.hypot(0.3, 2 * np.pi - 6.2))
    assert delta_r(1.0, 0.5, -1.0, 0.5) == 2.0


def test_directions_of_momenta():
    """sinh(eta) = pz / pT; finite along the beam."""
    eta, phi = eta_phi(np.array([[[3.0, 4.0, 5.0]], [[0.0, 0.0, -1.0]]]))
    np.testing.assert_allclose(np.sinh(eta[0]), 1.0)
    np.testing.assert_allclose(phi[0], np.arctan2(4, 3))
    np.testing.assert_allclose(eta[1], -np.log(2e9))


@pytest.mark.parametrize("charge", [-1, 1])
def test_a_track_from_the_beam_exits_where_its_circle_meets_the_wall(charge):
    """Half the chord: sin(turn) = R / (2 r); positive particles turn clockwise."""
    found = tracking.propagate(stable([0.8, 0.0, 0.1], charge=charge))
    r = 0.8 * CURVATURE / FIELD
    half = np.arcsin(SOLENOID_RADIUS / (2 * r))
    np.testing.assert_allclose(found.exit_phi, -charge * half, rtol=1e-9)
    z = 0.1 / 0.8 * 2 * r * half
    np.testing.assert_allclose(
        found.exit_eta, np.arcsinh(z / SOLENOID_RADIUS), rtol=1e-9
    )
    np.testing.assert_allclose([found.d0, found.dz, found.phi], 0, atol=1e-9)


def test_curvature_is_pt_over_three_tenths_of_the_field():
    """pT [GeV] = 0.2998 B [T] r [m]."""
    assert CURVATURE / 1000 == pytest.approx(1 / 0.299792458)


@pytest.mark.parametrize("side", [-1, 1])
def test_a_soft_track_curls_to_the_end_of_the_solenoid(side):
    found = tracking.propagate(stable([0.2, 0.0, side * 0.3], vertex=(0, 0, 100)))
    r = 0.2 * CURVATURE / FIELD
    assert 2 * r < SOLENOID_RADIUS
    turned = (3000 - side * 100) / (0.3 / 0.2) / r
    chord = 2 * r * abs(np.sin(turned / 2))
    np.testing.assert_allclose(
        found.exit_eta, side * np.arcsinh(3000 / chord), rtol=1e-9
    )


def test_neutral_particles_follow_straight_lines():
    photon: Any = dict(pid=22, charge=0, mass=0.0)
    found = tracking.propagate(stable([3.0, 4.0, 5.0], **photon))
    np.testing.assert_allclose(found.exit_eta, np.arcsinh(1.0))
    np.testing.assert_allclose(found.exit_phi, np.arctan2(4, 3))
    ahead = tracking.propagate(stable([1.0, 0.0, 0.0], vertex=(0, 30.0, 7.0), **photon))
    np.testing.assert_allclose(ahead.exit_phi, np.arcsin(30 / SOLENOID_RADIUS))
    np.testing.assert_allclose((ahead.d0, ahead.dz), [[-30.0], [7.0]])
    # 300 mm along its way at slope 0.5: dz = 7 - 150
    moved = stable([1.0, 0.0, 0.5], vertex=(300.0, 0, 7.0), **photon)
    np.testing.assert_allclose(tracking.propagate(moved).dz, -143.0)


@pytest.mark.parametrize("charge", [-1, 1])
def test_the_perigee_is_the_same_from_every_point_of_the_helix(charge):
    pt, slope, phi0 = 1.3, 0.4, 0.7
    r = pt * CURVATURE / FIELD
    start = np.array([20.0, -12.0])
    center = start + charge * r * np.array([np.sin(phi0), -np.cos(phi0)])
    seen = []
    for turn in (0.0, 0.05, 0.12):  # along the helix
        angle = np.arctan2(*(start - center)[::-1]) - charge * turn
        x, y = center + r * np.array([np.cos(angle), np.sin(angle)])
        phi = phi0 - charge * turn
        momentum = [pt * np.cos(phi), pt * np.sin(phi), pt * slope]
        vertex = (x, y, 5.0 + slope * r * turn)
        seen.append(tracking.propagate(stable(momentum, charge=charge, vertex=vertex)))
    for name in tracking.Propagation._fields:
        values = [float(getattr(each, name)[0]) for each in seen]
        np.testing.assert_allclose(values, values[0], rtol=1e-7, err_msg=name)
    assert abs(abs(seen[0].d0[0]) - abs(np.hypot(*center) - r)) < 1e-6


def test_stiff_tracks_have_the_impact_parameters_of_a_straight_line():
    line = tracking.propagate(stable([900.0, 0.0, 90.0], vertex=(8.0, 3.0, 4.0)))
    np.testing.assert_allclose(line.d0, -3.0, rtol=1e-4)
    np.testing.assert_allclose(line.dz, 4.0 - 0.8, rtol=1e-4)


def test_only_particles_produced_inside_the_solenoid_propagate():
    vertices = [(1289, 0, 0), (0, 1291, 0), (0, 0, -2999), (0, 0, -3001), (0, 0, 0)]
    particles = stable([[5.0, 0, 0]] * 4 + [[2e-5, 2e-5, 1]])
    particles.vertex[:] = vertices
    assert tracking.can_propagate(particles).tolist() == [True, False] * 2 + [False]


@pytest.mark.parametrize(
    ("pid", "pt", "eta", "expected"),
    [
        (211, 0.1, 0.0, 0.0),
        (211, 0.11, 0.0, 0.7),
        (-211, 1.0, 1.5, 0.7),
        (211, 1.01, -1.5, 0.95),
        (2212, 0.5, 1.51, 0.6),
        (321, 5.0, -2.5, 0.85),
        (211, 5.0, 2.51, 0.0),
        (11, 0.5, 0.0, 0.73),
        (-11, 50.0, 0.0, 0.95),
        (11, 101.0, 0.0, 0.99),
        (11, 0.5, 2.0, 0.5),
        (11, 50.0, 2.0, 0.83),
        (11, 101.0, 2.0, 0.9),
        (13, 0.5, 0.0, 0.75),
        (13, 500.0, 0.0, 0.99),
        (13, 2000.0, 0.0, 0.99 * np.exp(-0.5)),
        (13, 0.5, 2.0, 0.7),
        (-13, 5.0, 2.0, 0.98),
    ],
)
def test_tracking_efficiency_of_the_card(pid, pt, eta, expected):
    found = tracking.efficiency(*(np.array([x]) for x in (pid, float(pt), eta)))
    assert found[0] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("pid", "eta", "constant", "linear"),
    [
        (211, 0.5, 0.06, 1.3e-3),
        (211, -1.5, 0.10, 1.7e-3),
        (211, 1.51, 0.25, 3.1e-3),
        (-11, 0.3, 0.03, 1.3e-3),
        (11, 2.0, 0.15, 3.1e-3),
        (13, -0.51, 0.015, 1.5e-4),
        (-13, 2.4, 0.025, 3.5e-4),
    ],
)
def test_pt_resolution_of_the_card(pid, eta, constant, linear):
    found = tracking.pt_resolution(np.array([pid]), np.array([80.0]), np.array([eta]))
    assert found[0] == pytest.approx(np.hypot(constant, 80 * linear))


def test_impact_parameter_resolutions_at_and_between_published_points():
    pt = np.array([0.182, 0.183, 5.0, 10.0, np.sqrt(50.0), 500.0])
    eta = np.array([0.0, 0.0, -0.9, 1.4, 0.0, -2.4])
    d0, dz = tracking.impact_parameter_resolutions(pt, eta)
    middle = np.sqrt([0.0285 * 0.0205, 0.0485 * 0.0400])  # log-log, 5 to 10 GeV
    np.testing.assert_allclose(d0, [0, 0.354, 0.0285, 0.0217, middle[0], 0.0137])
    np.testing.assert_allclose(dz, [0, 0.369, 0.0485, 0.0526, middle[1], 0.0820])


def test_tracks_are_found_and_smeared_as_the_card_says():
    rng = np.random.default_rng(0)
    count = 20_000
    pions = stable([[10.0, 0.0, 0.0]] * count, event=np.arange(count))
    found = simulate_detector(pions, rng)
    # 95 % are found, and a tower below 2.25 GeV takes its track away
    assert 0.93 < np.mean(np.bincount(found.event[found.charge != 0]) > 0) <= 1
    muons = simulate_detector(
        stable([[10.0, 0.0, 0.0]] * count, pid=13, charge=-1, event=np.arange(count)),
        rng,
    )
    assert len(muons.pt) / count == pytest.approx(0.99, abs=0.003)
    assert np.mean(muons.pt) == pytest.approx(10, abs=0.003)
    width = np.hypot(0.01, 10 * 1e-4)  # of muons, |eta| < 0.5
    assert np.std(muons.pt) / 10 == pytest.approx(width, rel=0.03)
    d0, d0_error, dz, dz_error = muons.impact_parameters.T
    np.testing.assert_allclose((d0_error[0], dz_error[0]), (0.0205, 0.0400), rtol=0.02)
    assert np.std(d0 / d0_error) == pytest.approx(1, abs=0.02)
    assert np.std(dz / dz_error) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize(
    ("pid", "charge", "species"),
    [
        (22, 0, {PHOTON}),
        (2112, 0, {NEUTRAL_HADRON}),
        (130, 0, {NEUTRAL_HADRON}),
        (13, -1, {MUON}),
        (11, -1, {ELECTRON, PHOTON}),  # photons: excess over the track
        (211, 1, {CHARGED_HADRON, NEUTRAL_HADRON}),
        (12, 0, set()),
        (-14, 0, set()),
        (16, 0, set()),
    ],
)
def test_species_that_a_particle_is_reconstructed_as(pid, charge, species):
    count = 2_000
    energetic = stable(
        [[80.0, 0.0, 40.0]] * count, pid=pid, charge=charge, event=np.arange(count)
    )
    found = simulate_detector(energetic, np.random.default_rng(3))
    assert set(found.species.tolist()) == species
    assert np.all(np.diff(found.event) >= 0)
    if species:
        energy = np.bincount(found.event, found.energy, count)
        assert np.mean(energy[energy > 0]) == pytest.approx(np.hypot(80, 40), rel=0.03)
    neutral = np.isin(found.species, (PHOTON, NEUTRAL_HADRON))
    assert (found.charge[neutral] == 0).all()
    assert (found.charge[~neutral] == charge).all()


def test_particles_beyond_the_calorimeters_are_lost():
    """The edge is at |eta| = 2.95."""
    for eta, seen in ((2.94, True), (2.96, False), (-2.94, True), (-2.96, False)):
        photon = stable([50.0, 0.0, 50 * np.sinh(eta)], pid=22, charge=0, mass=0.0)
        found = simulate_detector(photon, np.random.default_rng(0))
        assert (len(found.pt) == 1) is seen, eta


def test_lognormal_has_the_mean_and_width_that_are_asked_for():
    draws = lognormal(
        np.full(200_000, 3.0), np.full(200_000, 1.2), np.random.default_rng(1)
    )
    assert np.mean(draws) == pytest.approx(3.0, rel=0.005)
    assert np.std(draws) == pytest.approx(1.2, rel=0.02)
    zero = lognormal(np.zeros(2), np.ones(2), np.random.default_rng(1))
    assert zero.tolist() == [0, 0]


def test_resolutions_of_both_calorimeters():
    """At 50 GeV, on both sides of each edge in |eta|."""
    stochastic = np.sqrt(0.4**2 + 0.11**2 * 50 + 0.4**2)
    forward = np.sqrt(5.35**2 + 2.08**2 * 50)
    cases = {
        0.3: (1 + 0.64 * 0.3**2) * stochastic,
        -1.5: (1 + 0.64 * 1.5**2) * stochastic,
        1.6: (2.16 + 5.6 * 0.4**2) * stochastic,
        -2.4: (2.16 + 5.6 * 0.4**2) * stochastic,
        2.6: forward,
    }
    eta, energy = np.array([*cases]), np.full(len(cases), 50.0)
    np.testing.assert_allclose(ECAL.resolution(eta, energy), [*cases.values()])
    np.testing.assert_allclose(
        HCAL.resolution(eta, energy), np.sqrt(2.5**2 + 1.5**2 * 50)
    )


def test_cells_that_directions_fall_in():
    """Lower edges and widths: 0.0174 x 1 degree in the ECAL; 0.087 x 5 degrees in the
    HCAL, 10 degrees and wider in eta outside."""
    eta, phi = np.array([0.3, -0.01, 1.8, -1.8]), np.array([0.2, -0.01, 0.2, -0.2])
    degrees = np.degrees
    low_eta, low_phi, width_eta, width_phi = ECAL.cells(eta[:2], phi[:2])
    np.testing.assert_allclose(low_eta, [0.2958, -0.0174])
    np.testing.assert_allclose(degrees(low_phi), [11, -1])
    np.testing.assert_allclose([*width_eta, *degrees(width_phi)], [0.0174] * 2 + [1, 1])
    low_eta, low_phi, width_eta, width_phi = HCAL.cells(eta, phi)
    np.testing.assert_allclose(low_eta, [0.261, -0.087, 1.74, -1.83], atol=1e-12)
    np.testing.assert_allclose(degrees(low_phi), [10, -5, 10, -20])
    np.testing.assert_allclose(width_eta, [0.087, 0.087, 0.09, 0.09])
    np.testing.assert_allclose(degrees(width_phi), [5, 5, 10, 10])


def hits(energy, count=20_000, eta=0.3):
    return Hits(
        np.arange(count),
        np.full(count, eta),
        np.full(count, 0.2),
        np.full(count, energy),
    )


NO_TRACKS = Hits(*(np.zeros(0, kind) for kind in (int, float, float, float)))


def test_a_photon_is_a_tower_of_its_energy_and_resolution():
    towers, _ = ECAL.energy_flow(hits(50.0), NO_TRACKS, np.random.default_rng(0))
    assert len(towers.event) == 20_000
    assert np.mean(towers.energy) == pytest.approx(50, rel=0.001)
    sigma = (1 + 0.64 * 0.3**2) * np.sqrt(0.4**2 + 0.11**2 * 50 + 0.4**2)
    assert np.std(towers.energy) == pytest.approx(sigma, rel=0.03)
    low = np.array([0.2958, np.radians(11)])  # of the cell, then uniform in it
    place = np.stack([towers.eta, towers.phi]) - low[:, None]
    place /= np.array([0.0174, np.radians(1)])[:, None]
    assert 0 <= place.min() < 0.01
    assert 0.99 < place.max() <= 1
    np.testing.assert_allclose(place.mean(axis=1), 0.5, atol=0.01)


def test_towers_below_threshold_vanish_with_their_tracks():
    soft = hits(0.9, count=2000)
    towers, scale = HCAL.energy_flow(soft, soft, np.random.default_rng(0))
    lost = scale == 0
    assert 0.5 < lost.mean() < 1  # below 1 GeV, or below sigma: 1.5 sqrt(E)
    assert set(towers.event) <= set(np.flatnonzero(~lost))


def test_thresholds_of_neutral_towers():
    """The smallest energy that survives: above 0.5 GeV and 2 sigma in the ECAL, 1 GeV
    and 1 sigma in the HCAL."""
    for calorimeter, threshold, significance in ((ECAL, 0.5, 2.0), (HCAL, 1.0, 1.0)):
        grid = np.linspace(0.1, 5, 49_001)
        sigma = calorimeter.resolution(np.full(len(grid), 0.3), grid)
        expected = grid[(grid > threshold) & (grid > significance * sigma)].min()
        spread = hits(1.5, count=50_000)
        towers, _ = calorimeter.energy_flow(spread, NO_TRACKS, np.random.default_rng(1))
        assert towers.energy.min() == pytest.approx(expected, abs=0.02)


def test_tracks_are_scaled_to_a_tower_without_a_significant_excess():
    both = hits(100.0)
    towers, scale = HCAL.energy_flow(both, both, np.random.default_rng(0))
    unchanged = scale == 1
    excess = np.zeros(len(unchanged), bool)
    excess[towers.event] = True
    np.testing.assert_array_equal(unchanged, excess)
    assert 0.1 < unchanged.mean() < 0.2  # one sigma: .16, and some skew
    assert scale[~unchanged].max() < 1 + 1.2 * 0.16
    total = 100 * scale
    total[towers.event] += towers.energy
    assert np.mean(total) == pytest.approx(100, rel=0.005)


def test_cells_do_not_mix_events():
    two = Hits(*(np.concatenate([c, c]) for c in hits(20.0, count=1)))
    same, _ = ECAL.energy_flow(two, NO_TRACKS, np.random.default_rng(0))
    apart, _ = ECAL.energy_flow(
        two._replace(event=np.array([0, 1])), NO_TRACKS, np.random.default_rng(0)
    )
    assert (len(same.event), len(apart.event)) == (1, 2)
    assert same.energy[0] > 30


def candidates(event, pt, eta, phi) -> ParticleFlow:
    count = len(pt)
    return ParticleFlow(
        np.array(event),
        np.array(pt, float),
        np.array(eta, float),
        np.array(phi, float),
        np.zeros(count),
        np.zeros(count, int),
        np.full(count, PHOTON),
        np.zeros((count, 4)),
    )


def test_jets_are_selected_and_ordered_within_their_event():
    parts = candidates(
        event=[0, 0, 0, 2, 2, 3],
        pt=[300, 299, 700, 600, 300, 1200],
        eta=[0.1, 0.4, -1.0, 2.3, 0.0, 0.0],
        phi=[3.1, -3.1, 0.0, 1.0, 2.0, 0.0],
    )
    jets = find_jets(parts, 4)
    assert jets.event.tolist() == [0, 0]
    assert jets.pt[0] == pytest.approx(700)
    assert 590 < jets.pt[1] < 599
    assert jets.counts.tolist() == [1, 2]
    assert sorted(jets.constituents[1:].tolist()) == [0, 1]
    second = jets.select(np.array([1]))
    np.testing.assert_array_equal(second.counts, [2])
    assert sorted(second.constituents.tolist()) == [0, 1]


def test_the_selection_is_500_to_1000_gev_and_eta_up_to_2():
    pt = [499, 501, 999, 1001, 600, 600, 600, 600]
    eta = [0, 0, 0, 0, 1.99, 2.01, -1.99, -2.01]
    jets = find_jets(candidates(np.arange(8), pt, eta, [0.3] * 8), 8)
    assert jets.event.tolist() == [1, 2, 4, 6]
    np.testing.assert_allclose(jets.energy, jets.pt * np.cosh(jets.eta))
    np.testing.assert_allclose(jets.phi, 0.3)


def test_jets_have_a_radius_of_eight_tenths():
    parts = candidates([0, 0, 1, 1], [600, 100] * 2, [0] * 4, [0, 0.79, 0, 0.81])
    assert find_jets(parts, 2).counts.tolist() == [2, 1]


def test_substructure_of_two_prongs():
    """m^2 = 2 pT1 pT2 (cosh deta - cos dphi); tau_N = sum pT min dR / (R sum pT), whose
    axis for N = 1 is the harder prong."""
    parts = candidates([0, 0, 0], [400, 200, 1.0], [0, 0, 0], [0.0, 0.3, 0.9])
    shapes = substructure(parts, np.array([3]))
    mass = np.sqrt(2 * 400 * 200 * (1 - np.cos(0.3)))
    assert shapes.mass[0] == pytest.approx(mass, rel=1e-3)  # the soft one is dropped
    assert shapes.tau[0, 2] == pytest.approx(0, abs=1e-6)
    assert shapes.tau[0, 0] > 10 * shapes.tau[0, 1]
    two = (0.6 * 1.0) / (0.8 * 601)
    np.testing.assert_allclose(shapes.tau[0, 1], two, rtol=1e-3)
    one = (0.3 * 200 + 0.9 * 1.0) / (0.8 * 601)
    np.testing.assert_allclose(shapes.tau[0, 0], one, rtol=0.02)


@pytest.mark.parametrize(("soft", "groomed"), [(64, True), (70, False)])
def test_soft_drop_keeps_prongs_of_a_tenth_of_the_pt(soft, groomed):
    """z = pT2 / (pT1 + pT2) > 0.1."""
    parts = candidates([0, 0], [600, soft], [0, 0], [0.0, 0.5])
    mass = substructure(parts, np.array([2])).mass[0]
    assert mass == pytest.approx(
        0 if groomed else np.sqrt(1200 * soft * (1 - np.cos(0.5))), abs=1e-3
    )
