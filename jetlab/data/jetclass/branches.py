"""Names of the branches of JetClass's trees (arXiv:2202.03772)."""

from jetlab.types import CLASSES

FLOATS = (
    "part_px",
    "part_py",
    "part_pz",
    "part_energy",
    "part_deta",
    "part_dphi",
    "part_d0val",
    "part_d0err",
    "part_dzval",
    "part_dzerr",
)
"""Momenta in GeV, distances to the jet axis, impact parameters in mm, by particle."""

FLAGS = (
    "part_isChargedHadron",
    "part_isNeutralHadron",
    "part_isPhoton",
    "part_isElectron",
    "part_isMuon",
)
"""Particle-flow categories in the order of `SPECIES`."""

PARTICLE = (*FLOATS, "part_charge", *FLAGS)
JET = ("jet_pt", "jet_eta", "jet_phi", "jet_energy")
TEN_LABELS = tuple(f"label_{name}" for name in CLASSES)
