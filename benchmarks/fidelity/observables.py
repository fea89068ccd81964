"""Observables of particles and of jets, and the inputs of the classifiers."""

import numpy as np
from jaxtyping import Float, Shaped

from benchmarks.fidelity.samples import Sample
from jetlab.data import ragged

NUM_LEADING = 20
"""Leading particles whose kinematics are classifier inputs."""

NUM_PAIRED = 40
"""Leading particles whose pairs enter the energy correlation."""

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
"""Quantiles over the particles of a jet, of pT and dR."""

PAIR_BATCH = 1_000  # jets whose pairs are in memory at the same time


def pt_of(jets: Sample) -> Float[np.ndarray, "n"]:
    return np.hypot(jets.momentum[:, 0], jets.momentum[:, 1])


def summed(values: Shaped[np.ndarray, "n *f"], jets: Sample) -> np.ndarray:
    """The sum over the particles of every jet."""
    return np.add.reduceat(values.astype(np.float64), jets.starts, axis=0)


def of_particles(jets: Sample) -> dict[str, Float[np.ndarray, "n"]]:
    deta, dphi = jets.angles.T
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
    """Distance in eta between the axis that deta refers to and the summed momentum."""
    eta, first = _eta(jets), jets.starts
    particle = np.arcsinh(jets.momentum[first, 2] / pt_of(jets)[first])
    return np.abs(particle - np.sign(eta) * jets.angles[first, 0] - eta)


def engineered(jets: Sample) -> dict[str, Float[np.ndarray, "b"]]:
    """Observables per jet; z is the fraction of the summed pT."""
    particle, jet = of_particles(jets), of_jets(jets)
    pt = pt_of(jets)
    z = pt / summed(pt, jets)[jets.owner]
    rank = np.arange(len(pt)) - jets.starts[jets.owner]
    values = {
        "log multiplicity": np.log(jet["multiplicity"]),
        "log mass": np.log(np.maximum(jet["mass"], 1.0)),
        "log jet pT": np.log(jet["pT"]),
        "|jet eta|": np.abs(_eta(jets)),
        "sum z^2": summed(z**2, jets),
    }
    for count in (1, 2, 3, 5, 10, 20):
        values[f"z of leading {count}"] = summed(z * (rank < count), jets)
    for power in (0.5, 1.0, 2.0):
        values[f"sum z dR^{power:g}"] = summed(z * particle["dR"] ** power, jets)
    values |= _widths(jets, z)
    values["energy correlation"] = _energy_correlation(jets, z)
    for q in QUANTILES:
        values[f"log pT at {q:.0%}"] = _quantile(particle["log pT"], jets, q)
        values[f"dR at {q:.0%}"] = _quantile(particle["dR"], jets, q)
    return values


def leading(jets: Sample) -> Float[np.ndarray, "b f"]:
    """log pT, deta and dphi of the leading 20 particles, padded with zeros."""
    values = of_particles(jets)
    flat = np.stack([values[name] for name in ("log pT", "deta", "dphi")], axis=1)
    counts = np.minimum(jets.counts, NUM_LEADING)
    rows = ragged.rows(jets.starts, counts)
    return ragged.pad(flat[rows], counts, NUM_LEADING).reshape(len(counts), -1)


def _eta(jets: Sample) -> Float[np.ndarray, "b"]:
    """Of the summed momentum."""
    total = summed(jets.momentum, jets)
    return np.arcsinh(total[:, 2] / np.hypot(total[:, 0], total[:, 1]))


def _widths(
    jets: Sample, z: Float[np.ndarray, "n"]
) -> dict[str, Float[np.ndarray, "b"]]:
    """Square roots of the eigenvalues of sum z x x^T in the (deta, dphi) plane."""
    squares = summed(
        z[:, None, None] * jets.angles[:, :, None] * jets.angles[:, None, :], jets
    )
    minor, major = np.sqrt(np.maximum(np.linalg.eigvalsh(squares), 0)).T
    return {"major width": major, "minor width": minor}


def _energy_correlation(
    jets: Sample, z: Float[np.ndarray, "n"]
) -> Float[np.ndarray, "b"]:
    """e_2 = sum over pairs of z_i z_j dR_ij (arXiv:1305.0007, beta = 1), of the leading
    40 particles."""
    counts = np.minimum(jets.counts, NUM_PAIRED)
    rows = ragged.rows(jets.starts, counts)
    fractions = ragged.pad(z[rows], counts, NUM_PAIRED)
    # deta + i dphi, whose differences have the modulus dR
    angles = ragged.pad(jets.angles[rows] @ np.array([1, 1j]), counts, NUM_PAIRED)
    batches = []
    for first in range(0, len(counts), PAIR_BATCH):
        batch = np.s_[first : first + PAIR_BATCH]
        dr = np.abs(angles[batch, :, None] - angles[batch, None, :])
        pairs = np.einsum("bi,bj,bij->b", fractions[batch], fractions[batch], dr)
        batches.append(pairs / 2)
    return np.concatenate(batches)


def _quantile(
    values: Float[np.ndarray, "n"], jets: Sample, q: float
) -> Float[np.ndarray, "b"]:
    """Quantile (the value below it) over the particles of each jet."""
    order = np.lexsort((values, jets.owner))
    return values[order[jets.starts + (q * (jets.counts - 1)).astype(int)]]
