"""Clustered jets as the branches of a JetClass file (arXiv:2202.03772)."""

import awkward as ak
import numpy as np
from jaxtyping import Int

from jetlab.data.jetclass.decoding import FLAGS, TEN_LABELS
from jetlab.data.pythia.detector import Objects
from jetlab.data.pythia.events import Entries
from jetlab.data.pythia.jet_finding import Clustered, Substructure
from jetlab.data.pythia.truth import direction

Branches = dict[str, ak.Array | np.ndarray]


def measured(objects: Objects, jets: Clustered, inside: Substructure) -> Branches:
    """What is measured of jets whose objects are these, jet after jet."""
    owner = np.repeat(np.arange(len(jets.counts)), jets.counts)
    toward = np.where(jets.eta > 0, 1, -1)[owner]
    turn = objects.phi - jets.phi[owner]
    d0, d0err, dz, dzerr = objects.impact.T
    particles = {
        "part_px": objects.pt * np.cos(objects.phi),
        "part_py": objects.pt * np.sin(objects.phi),
        "part_pz": objects.pt * np.sinh(objects.eta),
        "part_energy": objects.energy,
        "part_deta": toward * (objects.eta - jets.eta[owner]),
        "part_dphi": (turn + np.pi) % (2 * np.pi) - np.pi,
        "part_d0val": d0,
        "part_d0err": d0err,
        "part_dzval": dz,
        "part_dzerr": dzerr,
        "part_charge": objects.charge,
    }
    columns = {name: column.astype(np.float32) for name, column in particles.items()}
    for number, name in enumerate(FLAGS):
        columns[name] = (objects.species == number).astype(np.int32)
    of_jets = {
        "jet_pt": jets.pt,
        "jet_eta": jets.eta,
        "jet_phi": jets.phi,
        "jet_energy": jets.energy,
        "jet_nparticles": jets.counts,
        "jet_sdmass": inside.mass,
        **{f"jet_tau{n + 1}": inside.tau[:, n] for n in range(4)},
    }
    return {
        **{name: ak.unflatten(column, jets.counts) for name, column in columns.items()},
        **{name: column.astype(np.float32) for name, column in of_jets.items()},
    }


def truth(entries: Entries, rows: Int[np.ndarray, "b"]) -> Branches:
    """What each jet came from: the resonance in this row, or zeros for row -1."""
    known = rows >= 0
    eta, phi = direction(entries, rows)
    values = {
        "aux_genpart_eta": known * eta,
        "aux_genpart_phi": known * phi,
        "aux_genpart_pid": known * entries.pid[rows],
        "aux_genpart_pt": known * np.hypot(*entries.momentum[rows].T[:2]),
    }
    return {name: column.astype(np.float32) for name, column in values.items()}


def labels(name: str, jets: int) -> Branches:
    """The ten labels of jets of one class."""
    return {
        label: np.full(jets, label == f"label_{name}", np.int32) for label in TEN_LABELS
    }
