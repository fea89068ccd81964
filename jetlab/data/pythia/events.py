"""Events of Pythia 8 as flat arrays."""

from typing import NamedTuple

import awkward as ak
import numpy as np
import pythia8mc
from jaxtyping import Float, Int

from jetlab.data.pythia.processes import COMMON
from jetlab.data.pythia.tracks import Stable

BATCH = 100
"""Events made together: about 20 MB of records."""

_POSITIVE = (-11, -13, 211, 321, 2212)
"""Charged particles that live to reach the detector, and their antiparticles."""


class Entries(NamedTuple):
    """All entries of the event records of a batch; mothers and daughters are rows."""

    event: Int[np.ndarray, "n"]
    pid: Int[np.ndarray, "n"]
    status: Int[np.ndarray, "n"]
    daughters: Int[np.ndarray, "n 2"]  # first and last; own row where there are none
    momentum: Float[np.ndarray, "n 3"]  # GeV
    mass: Float[np.ndarray, "n"]
    vertex: Float[np.ndarray, "n 3"]  # mm


class Generator:
    """Events of these settings that `veto` lets pass, the same for the same seed.

    Raises ValueError for settings that Pythia does not know.
    """

    def __init__(self, veto: pythia8mc.UserHooks, settings: tuple[str, ...], seed: int):
        self._pythia = pythia8mc.Pythia("", False)
        self._veto = veto  # Pythia does not keep it alive
        self._pythia.setUserHooksPtr(veto)
        for line in (*COMMON, *settings, f"Random:seed = {seed}"):
            if not self._pythia.readString(line):
                raise ValueError(f"Pythia does not know the setting {line!r}")
        if not self._pythia.init():
            raise ValueError(f"Pythia cannot begin with {', '.join(settings)}")

    def batch(self) -> Entries:
        """The next events."""
        records = self._pythia.nextBatch(BATCH, "skip").prt
        counts = ak.to_numpy(ak.num(records.id))
        first = np.repeat(np.cumsum(counts) - counts, counts)
        flat = ak.flatten(records)

        def columns(record: ak.Array, names: str) -> np.ndarray:
            return np.stack([ak.to_numpy(record[name]) for name in names.split()], 1)

        daughters = columns(flat, "daughter1 daughter2")
        daughters = np.where(daughters > 0, daughters + first[:, None], -1)
        momentum, mass = columns(flat.p, "px py pz"), ak.to_numpy(flat.m)
        mothers = ak.to_numpy(flat.mother1) + first
        flown = _flights(momentum, mass, ak.to_numpy(flat.tau))
        return Entries(
            event=np.repeat(np.arange(len(counts)), counts),
            pid=ak.to_numpy(flat.id),
            status=ak.to_numpy(flat.status),
            daughters=daughters,
            momentum=momentum,
            mass=mass,
            vertex=_vertices(mothers, flown),
        )


def _flights(
    momentum: Float[np.ndarray, "n 3"],
    mass: Float[np.ndarray, "n"],
    proper: Float[np.ndarray, "n"],
) -> Float[np.ndarray, "n 3"]:
    """From where a particle is made to where it decays: proper lifetime times p / m."""
    lived = (proper > 0) & (mass > 0)
    return (
        momentum
        * np.divide(proper, mass, out=np.zeros_like(mass), where=lived)[:, None]
    )


def _vertices(
    mothers: Int[np.ndarray, "n"], flown: Float[np.ndarray, "n 3"]
) -> Float[np.ndarray, "n 3"]:
    """Where particles are made: at the end of their mother's flight.

    The batches of pythia8mc 8.317 have vertices too, but in the wrong rows: their
    column is shifted by one row an event.
    """
    vertex, away = np.zeros_like(flown), np.any(flown != 0, axis=1)
    while True:
        rows = np.flatnonzero(away[mothers])  # few: only hadrons live long enough
        moved = vertex[mothers[rows]] + flown[mothers[rows]]
        if np.array_equal(moved, vertex[rows]):
            return vertex
        vertex[rows], away[rows] = moved, True


def stable(entries: Entries) -> Stable:
    """The particles of the final state."""
    final = entries.status > 0
    pid = entries.pid[final]
    charge = np.isin(pid, _POSITIVE).astype(int) - np.isin(-pid, _POSITIVE)
    return Stable(
        event=entries.event[final],
        pid=pid,
        charge=charge,
        momentum=entries.momentum[final],
        mass=entries.mass[final],
        vertex=entries.vertex[final],
    )
