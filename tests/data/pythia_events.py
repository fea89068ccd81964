"""Event records, jets and particles of Pythia written by hand."""

from typing import NamedTuple

import numpy as np

from jetlab.data.pythia.generator import EventRecord
from jetlab.data.pythia.jet_finding import JetCollection

Row = tuple[int, int, int, float]


def event_record(*rows: Row, turn: float = 0.0) -> EventRecord:
    """(PDG code, first and last daughter, phi) of the particles of one event; pT is
    100 GeV, eta 0. All azimuths are turned by `turn`."""
    count = len(rows)
    phi = np.array([row[3] for row in rows]) + turn
    return EventRecord(
        event=np.zeros(count, int),
        pid=np.array([row[0] for row in rows]),
        status=np.full(count, -23),
        daughters=np.array([row[1:3] for row in rows]),
        momentum=np.stack([100 * np.cos(phi), 100 * np.sin(phi), 0 * phi], 1),
        mass=np.full(count, 80.0),
        vertex=np.zeros((count, 3)),
    )


def jets_at(*phis: float, eta: float = 0.0, turn: float = 0.0) -> JetCollection:
    """Jets of 600 GeV in one event."""
    count = len(phis)
    phi = np.remainder(np.array(phis) + turn + np.pi, 2 * np.pi) - np.pi
    return JetCollection(
        event=np.zeros(count, int),
        pt=np.full(count, 600.0),
        eta=np.full(count, eta),
        phi=phi,
        energy=np.full(count, 600.0),
        counts=np.ones(count, int),
        constituents=np.arange(count),
    )


class Particle(NamedTuple):
    """What a generator filter asks of a particle of Pythia's."""

    pid: int
    daughters: tuple[int, int] = (0, 0)
    pt_gev: float = 0.0
    pseudorapidity: float = 0.0
    azimuth: float = 0.0
    state: int = 23

    def idAbs(self) -> int:
        return abs(self.pid)

    def status(self) -> int:
        return self.state

    def daughter1(self) -> int:
        return self.daughters[0]

    def daughter2(self) -> int:
        return self.daughters[1]

    def eta(self) -> float:
        return self.pseudorapidity

    def px(self) -> float:
        return self.pt_gev * float(np.cos(self.azimuth))

    def py(self) -> float:
        return self.pt_gev * float(np.sin(self.azimuth))

    def pz(self) -> float:
        return self.pt_gev * float(np.sinh(self.pseudorapidity))
