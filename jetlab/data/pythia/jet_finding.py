"""Jets from particle-flow candidates. The only file that imports FastJet.

As in JetClass's Delphes card (arXiv:2202.03772): anti-kT with R = 0.8; soft drop with
z_cut = 0.1 and beta = 0; N-subjettiness with beta = 1 and one-pass kT axes.
"""

from typing import Any, NamedTuple

import awkward as ak
import fastjet
import fastjet._swig
import numpy as np
from jaxtyping import Float, Int

from jetlab.data import ragged
from jetlab.data.pythia.detector import ParticleFlow
from jetlab.data.pythia.kinematics import eta_phi

# FastJet's banner would mix with the output of a command.
fastjet._swig.ClusterSequence.set_fastjet_banner_stream(None)

JET_RADIUS = 0.8
MIN_PT, MAX_PT, MAX_ETA = 500.0, 1000.0, 2.0  # GeV, GeV, -


class JetCollection(NamedTuple):
    """Selected jets of a batch of events, in order of their events."""

    event: Int[np.ndarray, "b"]
    pt: Float[np.ndarray, "b"]  # GeV
    eta: Float[np.ndarray, "b"]
    phi: Float[np.ndarray, "b"]
    energy: Float[np.ndarray, "b"]  # GeV
    counts: Int[np.ndarray, "b"]  # number of constituents
    constituents: Int[np.ndarray, "total"]  # rows of the particle flow, jet after jet

    def select(self, jets: Int[np.ndarray, "c"]) -> "JetCollection":
        starts = np.cumsum(self.counts) - self.counts
        counts = self.counts[jets]
        return JetCollection(
            *(column[jets] for column in self[:-2]),
            counts=counts,
            constituents=self.constituents[ragged.rows(starts[jets], counts)],
        )


def find_jets(particles: ParticleFlow, events: int) -> JetCollection:
    """Anti-kT jets of 500 < pT < 1000 GeV and |eta| < 2 in each of `events` events,
    ordered by event and falling pT."""
    counts = np.bincount(particles.event, minlength=events)
    vectors = ak.unflatten(_four_vectors(particles), counts)
    definition = fastjet.JetDefinition(fastjet.antikt_algorithm, JET_RADIUS)
    sequence: Any = fastjet.ClusterSequence(vectors, definition)
    jets = sequence.inclusive_jets(min_pt=MIN_PT)
    indices = sequence.constituent_index(min_pt=MIN_PT)  # within the event
    first = np.cumsum(counts) - counts
    rows = ak.values_astype(indices, np.int64) + first[:, None, None]
    event = ak.to_numpy(ak.flatten(ak.broadcast_arrays(np.arange(events), jets.px)[0]))
    momentum = np.stack([ak.to_numpy(ak.flatten(jets[f"p{x}"])) for x in "xyz"], axis=1)
    energy = ak.to_numpy(ak.flatten(jets["E"]))
    pt, (eta, phi) = np.hypot(*momentum.T[:2]), eta_phi(momentum)
    selected = (pt > MIN_PT) & (pt < MAX_PT) & (np.abs(eta) < MAX_ETA)
    selected = np.flatnonzero(selected)
    selected = selected[np.lexsort((-pt[selected], event[selected]))]
    constituents = ak.flatten(rows)[selected]
    return JetCollection(
        event=event[selected].astype(np.int64),
        pt=pt[selected],
        eta=eta[selected],
        phi=phi[selected],
        energy=energy[selected],
        counts=ak.to_numpy(ak.num(constituents)),
        constituents=ak.to_numpy(ak.flatten(constituents)),
    )


class Substructure(NamedTuple):
    """Soft-drop mass in GeV and tau_1 to tau_4 of each jet."""

    mass: Float[np.ndarray, "b"]
    tau: Float[np.ndarray, "b 4"]


def substructure(
    constituents: ParticleFlow, counts: Int[np.ndarray, "b"]
) -> Substructure:
    """Of jets whose constituents follow one another, `counts` in each."""
    vectors = ak.unflatten(_four_vectors(constituents), counts)
    definition = fastjet.JetDefinition(fastjet.cambridge_algorithm, 10 * JET_RADIUS)
    sequence: Any = fastjet.ClusterSequence(vectors, definition)
    groomed = sequence.exclusive_jets_softdrop_grooming(
        njets=1, beta=0.0, symmetry_cut=0.1, R0=JET_RADIUS
    )
    tau = sequence.njettiness(
        measure_definition="NormalizedMeasure",
        axes_definition="OnePass_KT_Axes",
        njets=[1, 2, 3, 4],
        beta=1.0,
        R0=JET_RADIUS,
    )
    return Substructure(mass=ak.to_numpy(groomed.msoftdrop), tau=ak.to_numpy(tau))


def _four_vectors(particles: ParticleFlow) -> ak.Array:
    px = particles.pt * np.cos(particles.phi)
    py = particles.pt * np.sin(particles.phi)
    pz = particles.pt * np.sinh(particles.eta)
    fields = {"px": px, "py": py, "pz": pz, "E": particles.energy}
    return ak.zip(fields, with_name="Momentum4D")
