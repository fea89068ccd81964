"""Tracks, towers, jets and matching against answers that can be worked out by hand."""

from typing import Any

import numpy as np
import pytest

pytest.importorskip("fastjet")
pytest.importorskip("pythia8mc")

from jetlab.data.pythia import tracks, truth
from jetlab.data.pythia.calorimeter import ECAL, HCAL, Hits, lognormal
from jetlab.data.pythia.detector import Objects, respond
from jetlab.data.pythia.events import Entries
from jetlab.data.pythia.jet_finding import Clustered, cluster, pick, substructure
from jetlab.data.pythia.tracks import BENDING, FIELD, RADIUS, Stable


def stable(momentum, *, pid=211, charge=1, mass=0.14, vertex=(0, 0, 0), event=None):
    momentum = np.atleast_2d(np.array(momentum, float))
    count = len(momentum)
    return Stable(
        event=np.zeros(count, int) if event is None else np.array(event),
        pid=np.broadcast_to(pid, count).copy(),
        charge=np.broadcast_to(charge, count).copy(),
        momentum=momentum,
        mass=np.full(count, mass),
        vertex=np.broadcast_to(np.array(vertex, float), (count, 3)).copy(),
    )


@pytest.mark.parametrize("charge", [-1, 1])
def test_a_track_from_the_beam_leaves_where_its_circle_meets_the_wall(charge):
    """Half the chord: sin(turn) = R / (2 r); positive particles turn clockwise."""
    flight = tracks.fly(stable([0.8, 0.0, 0.1], charge=charge))
    r = 0.8 * BENDING / FIELD
    half = np.arcsin(RADIUS / (2 * r))
    np.testing.assert_allclose(flight.exit_phi, -charge * half, rtol=1e-9)
    z = 0.1 / 0.8 * 2 * r * half
    np.testing.assert_allclose(flight.exit_eta, np.arcsinh(z / RADIUS), rtol=1e-9)
    np.testing.assert_allclose([flight.d0, flight.dz, flight.phi], 0, atol=1e-9)


def test_bending_is_three_tenths_of_pt_over_field():
    """pT [GeV] = 0.2998 B [T] r [m]."""
    assert BENDING / 1000 == pytest.approx(1 / 0.299792458)


def test_a_soft_track_curls_to_the_end_of_the_solenoid():
    flight = tracks.fly(stable([0.2, 0.0, 0.3]))
    r = 0.2 * BENDING / FIELD
    assert 2 * r < RADIUS
    turned = 3000 / (0.3 / 0.2) / r
    chord = 2 * r * abs(np.sin(turned / 2))
    np.testing.assert_allclose(flight.exit_eta, np.arcsinh(3000 / chord), rtol=1e-9)


def test_neutral_particles_go_straight():
    photon: Any = dict(pid=22, charge=0, mass=0.0)
    flight = tracks.fly(stable([3.0, 4.0, 5.0], **photon))
    np.testing.assert_allclose(flight.exit_eta, np.arcsinh(1.0))
    np.testing.assert_allclose(flight.exit_phi, np.arctan2(4, 3))
    ahead = tracks.fly(stable([1.0, 0.0, 0.0], vertex=(0, 30.0, 7.0), **photon))
    np.testing.assert_allclose(ahead.exit_phi, np.arcsin(30 / RADIUS))
    np.testing.assert_allclose((ahead.d0, ahead.dz), [[-30.0], [7.0]])


@pytest.mark.parametrize("charge", [-1, 1])
def test_the_perigee_does_not_depend_on_where_along_its_helix_a_particle_is_made(
    charge,
):
    pt, slope, phi0 = 1.3, 0.4, 0.7
    r = pt * BENDING / FIELD
    start = np.array([20.0, -12.0])
    centre = start + charge * r * np.array([np.sin(phi0), -np.cos(phi0)])
    seen = []
    for turn in (0.0, 0.05, 0.12):  # along its way
        angle = np.arctan2(*(start - centre)[::-1]) - charge * turn
        x, y = centre + r * np.array([np.cos(angle), np.sin(angle)])
        phi = phi0 - charge * turn
        momentum = [pt * np.cos(phi), pt * np.sin(phi), pt * slope]
        vertex = (x, y, 5.0 + slope * r * turn)
        seen.append(tracks.fly(stable(momentum, charge=charge, vertex=vertex)))
    for name in tracks.Flight._fields:
        values = [float(getattr(flight, name)[0]) for flight in seen]
        np.testing.assert_allclose(values, values[0], rtol=1e-7, err_msg=name)
    assert abs(abs(seen[0].d0[0]) - abs(np.hypot(*centre) - r)) < 1e-6


def test_stiff_tracks_have_the_impact_parameter_of_a_straight_line():
    line = tracks.fly(stable([900.0, 0.0, 90.0], vertex=(8.0, 3.0, 4.0)))
    np.testing.assert_allclose(line.d0, -3.0, rtol=1e-4)
    np.testing.assert_allclose(line.dz, 4.0 - 0.8, rtol=1e-4)


def test_particles_made_outside_the_solenoid_are_not_seen():
    far = stable([[5.0, 0, 0]] * 2, vertex=(0, 0, 0))
    far.vertex[1] = (1300.0, 0, 0)
    assert tracks.reaching(far).tolist() == [True, False]


def test_tracks_are_found_and_smeared_as_the_card_says():
    rng = np.random.default_rng(0)
    count = 20_000
    pions = stable([[10.0, 0.0, 0.0]] * count, event=np.arange(count))
    found = respond(pions, rng)
    # 95 % are found, and a tower below 2.25 GeV takes its track away
    assert 0.93 < np.mean(np.bincount(found.event[found.charge != 0]) > 0) <= 1
    muons = respond(
        stable([[10.0, 0.0, 0.0]] * count, pid=13, charge=-1, event=np.arange(count)),
        rng,
    )
    assert len(muons.pt) / count == pytest.approx(0.99, abs=0.003)
    assert np.mean(muons.pt) == pytest.approx(10, abs=0.003)
    width = np.hypot(0.01, 10 * 1e-4)  # of muons, |eta| < 0.5
    assert np.std(muons.pt) / 10 == pytest.approx(width, rel=0.03)
    d0, d0err, dz, dzerr = muons.impact.T
    np.testing.assert_allclose((d0err[0], dzerr[0]), (0.0205, 0.0400), rtol=0.02)
    assert np.std(d0 / d0err) == pytest.approx(1, abs=0.02)
    assert np.std(dz / dzerr) == pytest.approx(1, abs=0.02)


def test_lognormal_has_the_mean_and_width_that_are_asked_for():
    drawn = lognormal(
        np.full(200_000, 3.0), np.full(200_000, 1.2), np.random.default_rng(1)
    )
    assert np.mean(drawn) == pytest.approx(3.0, rel=0.005)
    assert np.std(drawn) == pytest.approx(1.2, rel=0.02)
    zero = lognormal(np.zeros(2), np.ones(2), np.random.default_rng(1))
    assert zero.tolist() == [0, 0]


def hits(energy, count=20_000, eta=0.3):
    return Hits(
        np.arange(count),
        np.full(count, eta),
        np.full(count, 0.2),
        np.full(count, energy),
    )


NO_TRACKS = Hits(*(np.zeros(0, kind) for kind in (int, float, float, float)))


def test_a_photon_is_a_tower_of_its_energy_and_resolution():
    towers, _ = ECAL.flow(hits(50.0), NO_TRACKS, np.random.default_rng(0))
    assert len(towers.event) == 20_000
    assert np.mean(towers.energy) == pytest.approx(50, rel=0.001)
    sigma = (1 + 0.64 * 0.3**2) * np.sqrt(0.4**2 + 0.11**2 * 50 + 0.4**2)
    assert np.std(towers.energy) == pytest.approx(sigma, rel=0.03)
    assert np.abs(towers.eta - 0.3).max() < 0.0174
    assert np.abs(towers.phi - 0.2).max() < np.radians(1)


def test_towers_below_threshold_vanish_with_their_tracks():
    soft = hits(0.9, count=2000)
    towers, scale = HCAL.flow(soft, soft, np.random.default_rng(0))
    gone = scale == 0
    assert 0.5 < gone.mean() < 1  # E > 1 GeV and E > 1.5 sqrt(E) GeV are asked for
    assert set(towers.event) <= set(np.flatnonzero(~gone))


def test_tracks_are_scaled_to_a_tower_without_a_significant_excess():
    both = hits(100.0)
    towers, scale = HCAL.flow(both, both, np.random.default_rng(0))
    kept = scale == 1
    excess = np.zeros(len(kept), bool)
    excess[towers.event] = True
    np.testing.assert_array_equal(kept, excess)  # kept as they are, beside a neutral
    assert 0.1 < kept.mean() < 0.2  # one sigma: .16, and some skew
    assert scale[~kept].max() < 1 + 1.2 * 0.16
    total = 100 * scale
    total[towers.event] += towers.energy
    assert np.mean(total) == pytest.approx(100, rel=0.005)


def test_cells_do_not_mix_events():
    two = Hits(*(np.concatenate([c, c]) for c in hits(20.0, count=1)))
    same, _ = ECAL.flow(two, NO_TRACKS, np.random.default_rng(0))
    apart, _ = ECAL.flow(
        two._replace(event=np.array([0, 1])), NO_TRACKS, np.random.default_rng(0)
    )
    assert (len(same.event), len(apart.event)) == (1, 2)
    assert same.energy[0] > 30


def objects(event, pt, eta, phi) -> Objects:
    count = len(pt)
    return Objects(
        np.array(event),
        np.array(pt, float),
        np.array(eta, float),
        np.array(phi, float),
        np.zeros(count),
        np.zeros(count, int),
        np.full(count, 2),
        np.zeros((count, 4)),
    )


def test_jets_are_those_of_500_to_1000_gev_in_the_middle_hardest_first():
    parts = objects(
        event=[0, 0, 0, 2, 2, 3],
        pt=[300, 299, 700, 600, 300, 1200],
        eta=[0.1, 0.4, -1.0, 2.3, 0.0, 0.0],
        phi=[3.1, -3.1, 0.0, 1.0, 2.0, 0.0],
    )
    jets = cluster(parts, 4)
    assert jets.event.tolist() == [0, 0]
    assert jets.pt[0] == pytest.approx(700)
    assert 590 < jets.pt[1] < 599
    assert jets.counts.tolist() == [1, 2]
    assert sorted(jets.members[1:].tolist()) == [0, 1]
    np.testing.assert_array_equal(pick(jets, np.array([1])).counts, [2])


def test_substructure_of_two_prongs():
    """m^2 = 2 pT1 pT2 (cosh deta - cos dphi); tau_1 = sum pT min dR / (R sum pT)."""
    parts = objects([0, 0, 0], [400, 200, 1.0], [0, 0, 0], [0.0, 0.3, 0.9])
    inside = substructure(parts, np.array([3]))
    mass = np.sqrt(2 * 400 * 200 * (1 - np.cos(0.3)))
    assert inside.mass[0] == pytest.approx(mass, rel=1e-3)  # the soft one is dropped
    assert inside.tau[0, 2] == pytest.approx(0, abs=1e-6)
    assert inside.tau[0, 0] > 10 * inside.tau[0, 1]


def record(*rows: tuple[int, int, int, tuple[float, float, float]]) -> Entries:
    """(PDG code, first and last daughter, momentum) of the particles of one event."""
    count = len(rows)
    return Entries(
        event=np.zeros(count, int),
        pid=np.array([row[0] for row in rows]),
        status=np.ones(count, int),
        daughters=np.array([row[1:3] for row in rows]),
        momentum=np.array([row[3] for row in rows], float),
        mass=np.zeros(count),
        vertex=np.zeros((count, 3)),
    )


def jet_at(phi: float) -> Clustered:
    one = np.array([600.0])
    return Clustered(
        np.array([0]), one, 0 * one, 0 * one + phi, one, np.array([1]), np.array([0])
    )


def aims(phi: float) -> tuple[float, float, float]:
    return 100 * np.cos(phi), 100 * np.sin(phi), 0.0


TOP = record(
    (90, -1, -1, (0, 0, 0)),
    (6, 2, 2, aims(2.0)),  # recoils to
    (6, 3, 4, aims(0.0)),  # its last copy, which decays
    (24, 5, 5, aims(0.1)),
    (5, -1, -1, aims(-0.5)),
    (24, 6, 7, aims(0.1)),
    (-1, -1, -1, aims(0.3)),
    (4, -1, -1, aims(0.7)),
)


def test_a_top_jet_holds_its_b_and_both_quarks_of_the_w():
    found = truth.decays(TOP, (6,))
    assert found.rows.tolist() == [2]
    assert sorted(p for p in found.products[0].tolist() if p >= 0) == [4, 6, 7]
    for phi, held in ((0.0, True), (0.25, True), (0.4, False), (-0.2, False)):
        match = truth.match(TOP, found, jet_at(phi), 3, 0)
        assert (match.rows.tolist() == [2]) is held, phi
    match = truth.match(TOP, found, jet_at(0.0), 3, 0)
    assert truth.codes("Tbqq", match.kinds).tolist() == [11]  # with a charm quark
    assert not len(truth.match(TOP, found, jet_at(0.0), 2, 0).jets)


def test_leptons_count_after_they_radiated_and_neutrinos_do_not():
    higgs = record(
        (90, -1, -1, (0, 0, 0)),
        (25, 2, 3, aims(0.0)),
        (24, 4, 5, aims(0.1)),
        (-24, 6, 7, aims(-0.1)),
        (-11, 8, 9, aims(1.2)),
        (12, -1, -1, aims(3.0)),
        (3, -1, -1, aims(0.1)),
        (-4, -1, -1, aims(-0.2)),
        (-11, -1, -1, aims(0.5)),
        (22, -1, -1, aims(1.3)),
    )
    found = truth.decays(higgs, (25, 36))
    match = truth.match(higgs, found, jet_at(0.0), 2, 1)
    assert match.rows.tolist() == [1]
    assert truth.codes("Hqql", match.kinds).tolist() == [46]
    assert not len(truth.match(higgs, found, jet_at(-0.4), 2, 1).jets)


def test_codes_of_z_and_w_by_their_flavour():
    kinds = np.array(
        [[5, 0, 5, 0], [4, 0, 4, 0], [1, 0, 1, 0], [3, 0, 4, 0], [1, 0, 2, 0]]
    )
    assert truth.codes("Zqq", kinds[:3]).tolist() == [31, 32, 33]
    assert truth.codes("Wqq", kinds[3:]).tolist() == [21, 22]
    leptons = np.array([[11, 12, 5, 0], [13, 14, 5, 0]])
    assert truth.codes("Tbl", leptons).tolist() == [15, 16]
