"""Events of Pythia 8 as flat arrays."""

from typing import NamedTuple

import awkward as ak
import numpy as np
import pythia8mc
from jaxtyping import Float, Int

from jetlab.data.pythia.processes import COMMON_SETTINGS
from jetlab.data.pythia.tracking import StableParticles

BATCH_EVENTS = 100
"""Events generated together: about 20 MB of event records."""

_POSITIVE = (-11, -13, 211, 321, 2212)
"""Positively charged particles that reach the detector; their antiparticles are
negative, all others neutral."""


class EventRecord(NamedTuple):
    """All entries of the event records of a batch, one event after the other."""

    event: Int[np.ndarray, "n"]  # number of the event in the batch
    pid: Int[np.ndarray, "n"]  # PDG code
    status: Int[np.ndarray, "n"]  # positive in the final state
    daughters: Int[np.ndarray, "n 2"]  # rows of the first and the last; -1 for none
    momentum: Float[np.ndarray, "n 3"]  # GeV
    mass: Float[np.ndarray, "n"]  # GeV
    vertex: Float[np.ndarray, "n 3"]  # production vertex, mm


class Generator:
    """Events with these settings that pass the filter; reproducible for a given seed.

    Raises:
      ValueError: for settings that Pythia rejects.
    """

    def __init__(
        self, event_filter: pythia8mc.UserHooks, settings: tuple[str, ...], seed: int
    ):
        self._pythia = pythia8mc.Pythia("", False)
        self._filter = event_filter  # Pythia does not keep it alive
        self._pythia.setUserHooksPtr(event_filter)
        for line in (*COMMON_SETTINGS, *settings, f"Random:seed = {seed}"):
            if not self._pythia.readString(line):
                raise ValueError(f"Pythia rejects the setting {line!r}")
        if not self._pythia.init():
            raise ValueError(f"Pythia cannot be initialised with {', '.join(settings)}")

    def next_batch(self) -> EventRecord:
        """The next BATCH_EVENTS events, or fewer where the generation of some fails."""
        records = self._pythia.nextBatch(BATCH_EVENTS, "skip").prt
        counts = ak.to_numpy(ak.num(records.id))
        first_row = np.repeat(np.cumsum(counts) - counts, counts)
        flat = ak.flatten(records)

        def columns(record: ak.Array, names: str) -> np.ndarray:
            return np.stack([ak.to_numpy(record[name]) for name in names.split()], 1)

        daughters = columns(flat, "daughter1 daughter2")
        momentum, mass = columns(flat.p, "px py pz"), ak.to_numpy(flat.m)
        mothers = ak.to_numpy(flat.mother1) + first_row
        path = _flight_paths(momentum, mass, ak.to_numpy(flat.tau))
        return EventRecord(
            event=np.repeat(np.arange(len(counts)), counts),
            pid=ak.to_numpy(flat.id),
            status=ak.to_numpy(flat.status),
            daughters=np.where(daughters > 0, daughters + first_row[:, None], -1),
            momentum=momentum,
            mass=mass,
            vertex=_production_vertices(mothers, path),
        )


def _flight_paths(
    momentum: Float[np.ndarray, "n 3"],
    mass: Float[np.ndarray, "n"],
    proper_lifetime: Float[np.ndarray, "n"],
) -> Float[np.ndarray, "n 3"]:
    """From production to decay vertex in mm: (c tau) p / m."""
    decays = (proper_lifetime > 0) & (mass > 0)
    zeros = np.zeros_like(mass)
    return momentum * np.divide(proper_lifetime, mass, out=zeros, where=decays)[:, None]


def _production_vertices(
    mothers: Int[np.ndarray, "n"], path: Float[np.ndarray, "n 3"]
) -> Float[np.ndarray, "n 3"]:
    """Sum of the flight paths of all ancestors.

    The vertices that batches of pythia8mc 8.317 have are in the wrong rows: shifted by
    one row per event.
    """
    vertex, displaced = np.zeros_like(path), np.any(path != 0, axis=1)
    while True:
        rows = np.flatnonzero(displaced[mothers])
        found = vertex[mothers[rows]] + path[mothers[rows]]
        if np.array_equal(found, vertex[rows]):
            return vertex
        vertex[rows], displaced[rows] = found, True


def stable_particles(record: EventRecord) -> StableParticles:
    """The final state."""
    final = record.status > 0
    pid = record.pid[final]
    charge = np.isin(pid, _POSITIVE).astype(int) - np.isin(-pid, _POSITIVE)
    return StableParticles(
        event=record.event[final],
        pid=pid,
        charge=charge,
        momentum=record.momentum[final],
        mass=record.mass[final],
        vertex=record.vertex[final],
    )
