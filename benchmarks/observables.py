"""What is seen of jets: of particles, of jets, and by hand for a classifier."""

import numpy as np
from jaxtyping import Float, Shaped

from benchmarks.jet_samples import Sample
from jetlab.data import ragged

LEADING = 20
"""Particles whose raw kinematics a classifier reads,"""
PAIRED = 40
"""those whose pairs count in the energy correlation,"""
SHARES = (0.1, 0.25, 0.5, 0.75, 0.9)
"""and where in a jet its particles' pT and dR are read off."""
BLOCK = 1_000  # jets whose pairs are in memory at a time


def pt_of(jets: Sample) -> Float[np.ndarray, "n"]:
    return np.hypot(jets.momentum[:, 0], jets.momentum[:, 1])


def summed(values: Shaped[np.ndarray, "n *f"], jets: Sample) -> np.ndarray:
    """The sum over the particles of every jet."""
    return np.add.reduceat(values.astype(np.float64), jets.starts, axis=0)


def of_particles(jets: Sample) -> dict[str, Float[np.ndarray, "n"]]:
    deta, dphi = jets.place.T
    return {
        "log pT": np.log(pt_of(jets)),
        "dR": np.hypot(deta, dphi),
        "deta": deta,
        "dphi": dphi,
    }


def of_jets(jets: Sample) -> dict[str, Float[np.ndarray, "b"]]:
    """Multiplicity, and mass and pT of the sum of the four-momenta in GeV."""
    total = summed(jets.momentum, jets)
    squared = total[:, 3] ** 2 - (total[:, :3] ** 2).sum(axis=1)
    return {
        "multiplicity": jets.counts.astype(np.float64),
        "mass": np.sqrt(np.maximum(squared, 0)),
        "pT": np.hypot(total[:, 0], total[:, 1]),
    }


def off_axis(jets: Sample) -> Float[np.ndarray, "b"]:
    """How far the eta that deta was measured from lies from that of the summed
    momentum."""
    total, first = summed(jets.momentum, jets), jets.starts
    eta = np.arcsinh(total[:, 2] / np.hypot(total[:, 0], total[:, 1]))
    particle = np.arcsinh(jets.momentum[first, 2] / pt_of(jets)[first])
    return np.abs(particle - np.sign(eta) * jets.place[first, 0] - eta)


def by_hand(jets: Sample) -> dict[str, Float[np.ndarray, "b"]]:
    """Observables of one jet each, with z the share of the summed pT."""
    seen, jet = of_particles(jets), of_jets(jets)
    pt = pt_of(jets)
    z = pt / summed(pt, jets)[jets.owner]
    place = np.arange(len(pt)) - jets.starts[jets.owner]
    found = {
        "log multiplicity": np.log(jet["multiplicity"]),
        "log mass": np.log(np.maximum(jet["mass"], 1.0)),
        "log jet pT": np.log(jet["pT"]),
        "size of jet eta": np.abs(_eta(jets)),
        "sum z^2": summed(z**2, jets),
    }
    for count in (1, 2, 3, 5, 10, 20):
        found[f"z of leading {count}"] = summed(z * (place < count), jets)
    for power in (0.5, 1.0, 2.0):
        found[f"sum z dR^{power:g}"] = summed(z * seen["dR"] ** power, jets)
    found |= _widths(jets, z)
    found["energy correlation"] = _correlation(jets, z)
    for share in SHARES:
        found[f"log pT at {share:.0%}"] = _at(seen["log pT"], jets, share)
        found[f"dR at {share:.0%}"] = _at(seen["dR"], jets, share)
    return found


def raw(jets: Sample) -> Float[np.ndarray, "b f"]:
    """log pT, deta and dphi of the leading 20 particles, zero where there are fewer."""
    seen = of_particles(jets)
    flat = np.stack([seen[name] for name in ("log pT", "deta", "dphi")], axis=1)
    counts = np.minimum(jets.counts, LEADING)
    rows = ragged.rows(jets.starts, counts)
    return ragged.pad(flat[rows], counts, LEADING).reshape(len(counts), -1)


def _eta(jets: Sample) -> Float[np.ndarray, "b"]:
    total = summed(jets.momentum, jets)
    return np.arcsinh(total[:, 2] / np.hypot(total[:, 0], total[:, 1]))


def _widths(
    jets: Sample, z: Float[np.ndarray, "n"]
) -> dict[str, Float[np.ndarray, "b"]]:
    """Square roots of the eigenvalues of sum z x x^T in the (deta, dphi) plane."""
    squares = summed(
        z[:, None, None] * jets.place[:, :, None] * jets.place[:, None, :], jets
    )
    minor, major = np.sqrt(np.maximum(np.linalg.eigvalsh(squares), 0)).T
    return {"major width": major, "minor width": minor}


def _correlation(jets: Sample, z: Float[np.ndarray, "n"]) -> Float[np.ndarray, "b"]:
    """e_2 = sum over pairs of z_i z_j dR_ij (arXiv:1305.0007, beta = 1), of the leading
    40 particles."""
    counts = np.minimum(jets.counts, PAIRED)
    rows = ragged.rows(jets.starts, counts)
    shares = ragged.pad(z[rows], counts, PAIRED)
    places = ragged.pad(jets.place[rows] @ np.array([1, 1j]), counts, PAIRED)
    found = []
    for first in range(0, len(counts), BLOCK):
        part = np.s_[first : first + BLOCK]
        apart = np.abs(places[part, :, None] - places[part, None, :])
        found.append(np.einsum("bi,bj,bij->b", shares[part], shares[part], apart) / 2)
    return np.concatenate(found)


def _at(
    values: Float[np.ndarray, "n"], jets: Sample, share: float
) -> Float[np.ndarray, "b"]:
    """The value of every jet's particles below which about `share` of them lie."""
    rising = np.lexsort((values, jets.owner))
    return values[rising[jets.starts + (share * (jets.counts - 1)).astype(int)]]
