"""The simulation chain of one production job: generator, detector, jet finding, labels,
and a Parquet file with JetClass's branches (arXiv:2202.03772)."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np

from jetlab.atomic import atomic_file
from jetlab.data.jetclass.branches import FLAGS
from jetlab.data.pythia.campaign import ProductionJob
from jetlab.data.pythia.detector import ParticleFlow, simulate_detector
from jetlab.data.pythia.generator import (
    BATCH_EVENTS,
    EventRecord,
    Generator,
    stable_particles,
)
from jetlab.data.pythia.jet_finding import (
    JetCollection,
    Substructure,
    find_jets,
    substructure,
)
from jetlab.data.pythia.kinematics import wrap_phi
from jetlab.data.pythia.labels import LabellingScheme, labelling_scheme

StageSeconds = dict[str, float]


def run_job(job: ProductionJob, path: Path) -> StageSeconds:
    """Write the jets of a job to a Parquet file, atomically.

    One row per jet, in random order; float32 except for flags and labels.

    Returns:
      CPU seconds by stage.
    """
    seconds: StageSeconds = {}
    rng = job.rng()
    jets: Any = ak.concatenate(list(_batches(job, rng, seconds)))
    with _timed(seconds, "writing"), atomic_file(path) as partial:
        ak.to_parquet(jets[rng.permutation(len(jets))], partial)
    return seconds


def _batches(
    job: ProductionJob, rng: np.random.Generator, seconds: StageSeconds
) -> Iterator[Any]:
    """The jets of each of the class's subprocesses, batch by batch of events."""
    scheme = labelling_scheme(job.name)
    fractions = [fraction for fraction, _ in scheme.subprocesses]
    edges = np.round(np.cumsum([0, *fractions]) * job.jets)
    for number, (_, settings) in enumerate(scheme.subprocesses):
        with _timed(seconds, "Pythia"):
            generator = Generator(
                scheme.generator_filter(), settings, job.pythia_seed(number)
            )
        missing = int(edges[number + 1] - edges[number])
        while missing:
            with _timed(seconds, "Pythia"):
                record = generator.next_batch()
            jets = _jets_of_batch(record, scheme, rng, seconds)[:missing]
            missing -= len(jets)
            if len(jets):
                yield jets


def _jets_of_batch(
    record: EventRecord,
    scheme: LabellingScheme,
    rng: np.random.Generator,
    seconds: StageSeconds,
) -> Any:
    """The jets of the class in a batch of events, as an awkward array of records."""
    with _timed(seconds, "detector"):
        particles = simulate_detector(stable_particles(record), rng)
    with _timed(seconds, "clustering"):
        jets = find_jets(particles, BATCH_EVENTS)
    with _timed(seconds, "matching"):
        labelled = scheme.select_and_label(record, jets)
    with _timed(seconds, "clustering"):
        jets = _sort_constituents(jets.select(labelled.jets), particles)
        constituents = particles.select(jets.constituents)
        shapes = substructure(constituents, jets.counts)
    with _timed(seconds, "writing"):
        columns = {
            **_constituent_columns(constituents, jets),
            **_jet_columns(jets, shapes),
            **labelled.columns,
        }
        return ak.zip(columns, depth_limit=1)


def _sort_constituents(jets: JetCollection, particles: ParticleFlow) -> JetCollection:
    """By falling pT within each jet."""
    jet = np.repeat(np.arange(len(jets.counts)), jets.counts)
    order = np.lexsort((-particles.pt[jets.constituents], jet))
    return jets._replace(constituents=jets.constituents[order])


def _constituent_columns(
    constituents: ParticleFlow, jets: JetCollection
) -> dict[str, ak.Array]:
    jet = np.repeat(np.arange(len(jets.counts)), jets.counts)
    d0, d0_error, dz, dz_error = constituents.impact_parameters.T
    measured = {
        "part_px": constituents.pt * np.cos(constituents.phi),
        "part_py": constituents.pt * np.sin(constituents.phi),
        "part_pz": constituents.pt * np.sinh(constituents.eta),
        "part_energy": constituents.energy,
        "part_deta": np.where(jets.eta > 0, 1, -1)[jet]
        * (constituents.eta - jets.eta[jet]),
        "part_dphi": wrap_phi(constituents.phi - jets.phi[jet]),
        "part_d0val": d0,
        "part_d0err": d0_error,
        "part_dzval": dz,
        "part_dzerr": dz_error,
        "part_charge": constituents.charge,
    }
    columns = {name: column.astype(np.float32) for name, column in measured.items()}
    for number, name in enumerate(FLAGS):
        columns[name] = (constituents.species == number).astype(np.int32)
    return {name: ak.unflatten(column, jets.counts) for name, column in columns.items()}


def _jet_columns(jets: JetCollection, shapes: Substructure) -> dict[str, np.ndarray]:
    columns = {
        "jet_pt": jets.pt,
        "jet_eta": jets.eta,
        "jet_phi": jets.phi,
        "jet_energy": jets.energy,
        "jet_nparticles": jets.counts,
        "jet_sdmass": shapes.mass,
        **{f"jet_tau{n + 1}": shapes.tau[:, n] for n in range(4)},
    }
    return {name: column.astype(np.float32) for name, column in columns.items()}


@contextmanager
def _timed(seconds: StageSeconds, stage: str) -> Iterator[None]:
    begin = time.thread_time()
    yield
    seconds[stage] = seconds.get(stage, 0) + time.thread_time() - begin
