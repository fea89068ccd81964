"""Jets out of particle-flow objects. Only this file knows FastJet.

Anti-kT with R = 0.8; soft drop with z_cut = 0.1 and beta = 0; N-subjettiness with
beta = 1 and one-pass kT axes: as in the Delphes card of JetClass (arXiv:2202.03772).
"""

from typing import Any, NamedTuple

import awkward as ak
import fastjet
import fastjet._swig
import numpy as np
from jaxtyping import Float, Int

from jetlab.data import ragged
from jetlab.data.pythia.detector import Objects

# Its greeting would be among what a command prints.
fastjet._swig.ClusterSequence.set_fastjet_banner_stream(None)

RADIUS = 0.8
MIN_PT, MAX_PT, MAX_ETA = 500.0, 1000.0, 2.0  # GeV, GeV, -


class Clustered(NamedTuple):
    """Selected jets of a batch; the objects of each, one jet after the other's."""

    event: Int[np.ndarray, "b"]
    pt: Float[np.ndarray, "b"]  # GeV
    eta: Float[np.ndarray, "b"]
    phi: Float[np.ndarray, "b"]
    energy: Float[np.ndarray, "b"]  # GeV
    counts: Int[np.ndarray, "b"]
    members: Int[np.ndarray, "total"]  # rows of the objects


def cluster(objects: Objects, events: int) -> Clustered:
    """Jets of 500 < pT < 1000 GeV and |eta| < 2 in each of the events, hardest
    first."""
    counts = np.bincount(objects.event, minlength=events)
    vectors = ak.unflatten(_vectors(objects), counts)
    definition = fastjet.JetDefinition(fastjet.antikt_algorithm, RADIUS)
    sequence: Any = fastjet.ClusterSequence(vectors, definition)
    jets = sequence.inclusive_jets(min_pt=MIN_PT)
    inside = sequence.constituent_index(min_pt=MIN_PT)
    first = np.cumsum(counts) - counts
    members = ak.values_astype(inside, np.int64) + first[:, None, None]
    event = ak.to_numpy(ak.flatten(ak.broadcast_arrays(np.arange(events), jets.px)[0]))
    px, py, pz, energy = (
        ak.to_numpy(ak.flatten(jets[n])) for n in ["px", "py", "pz", "E"]
    )
    pt, eta = np.hypot(px, py), np.arcsinh(pz / np.hypot(px, py))
    keep = (pt > MIN_PT) & (pt < MAX_PT) & (np.abs(eta) < MAX_ETA)
    keep = np.flatnonzero(keep)
    keep = keep[np.lexsort((-pt[keep], event[keep]))]
    chosen = ak.flatten(members)[keep]
    return Clustered(
        event=event[keep].astype(np.int64),
        pt=pt[keep],
        eta=eta[keep],
        phi=np.arctan2(py, px)[keep],
        energy=energy[keep],
        counts=ak.to_numpy(ak.num(chosen)),
        members=ak.to_numpy(ak.flatten(chosen)),
    )


def pick(jets: Clustered, chosen: Int[np.ndarray, "c"]) -> Clustered:
    """Some of the jets."""
    starts = np.cumsum(jets.counts) - jets.counts
    counts = jets.counts[chosen]
    return Clustered(
        *(column[chosen] for column in jets[:-2]),
        counts=counts,
        members=jets.members[ragged.rows(starts[chosen], counts)],
    )


class Substructure(NamedTuple):
    """Of each jet: soft-drop mass in GeV, tau_1 to tau_4."""

    mass: Float[np.ndarray, "b"]
    tau: Float[np.ndarray, "b 4"]


def substructure(objects: Objects, counts: Int[np.ndarray, "b"]) -> Substructure:
    """Of jets whose objects are these, `counts` of them in each."""
    vectors = ak.unflatten(_vectors(objects), counts)
    definition = fastjet.JetDefinition(fastjet.cambridge_algorithm, 10 * RADIUS)
    sequence: Any = fastjet.ClusterSequence(vectors, definition)
    dropped = sequence.exclusive_jets_softdrop_grooming(
        njets=1, beta=0.0, symmetry_cut=0.1, R0=RADIUS
    )
    tau = sequence.njettiness(
        measure_definition="NormalizedMeasure",
        axes_definition="OnePass_KT_Axes",
        njets=[1, 2, 3, 4],
        beta=1.0,
        R0=RADIUS,
    )
    return Substructure(mass=ak.to_numpy(dropped.msoftdrop), tau=ak.to_numpy(tau))


def _vectors(objects: Objects) -> ak.Array:
    px, py = objects.pt * np.cos(objects.phi), objects.pt * np.sin(objects.phi)
    pz = objects.pt * np.sinh(objects.eta)
    fields = {"px": px, "py": py, "pz": pz, "E": objects.energy}
    return ak.zip(fields, with_name="Momentum4D")
