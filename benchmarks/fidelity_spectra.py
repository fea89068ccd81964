"""Simulated jets beside JetClass: spectra by quantiles."""

import numpy as np
from jaxtyping import Float, Int

from benchmarks import observables
from benchmarks.fidelity_tables import Draws, Section
from benchmarks.jet_samples import Sample
from benchmarks.resampling import Measured, quantiles
from jetlab.runs.report import TextTable

SHARES = (0.01, 0.05, 0.25, 0.50, 0.75, 0.95, 0.99)
TRACK_SHARES = (0.25, 0.50, 0.75, 0.95, 0.99)


def spectra(both: Draws) -> Section:
    rows, values = [], []
    for name, (ours, theirs) in paired(both).items():
        mine = quantiles(*ours, both.of_simulated, SHARES)
        real = quantiles(*theirs, both.of_real, SHARES)
        off = (mine[0] - real[0]) / np.hypot(mine[1], real[1])
        cells = zip(mine[0], real[0], off, strict=True)
        rows.append([name, *(f"{a:.3g} / {b:.3g} ({c:+.1f})" for a, b, c in cells)])
        values += [
            {"observable": name, "share": share, "simulated": Measured(*a)}
            | {"real": Measured(*b), "off": float(c)}
            for share, a, b, c in zip(
                SHARES, np.transpose(mine), np.transpose(real), off, strict=True
            )
        ]
    far = sum(abs(row["off"]) > 2 for row in values)
    words = (
        f"Simulated / real (difference over its standard error, bootstrap over jets, "
        f"both samples). Of {len(values)} differences {far} exceed two errors; of two "
        f"samples of the same, {0.046 * len(values):.0f} would, but they hang "
        "together. The real jets at hand bound this: their error is nearly all of it. "
        "GeV, radians; multiplicities are spread evenly over ± 1/2."
    )
    headers = ["observable", *(f"{share:.0%}" for share in SHARES)]
    return Section("Spectra by quantiles", words, TextTable(headers, rows), values)


Owned = tuple[Float[np.ndarray, "n"], Int[np.ndarray, "n"]]


def paired(both: Draws) -> dict[str, tuple[Owned, Owned]]:
    """Values and the numbers of the jets they belong to, simulated and real."""
    ours, theirs = _owned(both.simulated), _owned(both.real)
    return {name: (ours[name], theirs[name]) for name in ours}


def _owned(jets: Sample) -> dict[str, Owned]:
    number = np.arange(len(jets.counts))
    of_jets = observables.of_jets(jets)
    of_jets["multiplicity"] += np.random.default_rng(0).uniform(-0.5, 0.5, len(number))
    particles = observables.of_particles(jets)
    return {name: (values, jets.owner) for name, values in particles.items()} | {
        name: (values, number) for name, values in of_jets.items()
    }


def displacement(both: Draws) -> Section:
    """Sizes of d0 and dz by quantiles; no real ones to compare with."""
    jets, rows, values = both.simulated, [], []
    tracks = ~np.isin(jets.of_particle["species"], (1, 2))
    tracks &= jets.of_particle["part_d0err"] > 0  # JetClass gives none to the softest
    for name in ("d0", "dz"):
        size = np.abs(jets.of_particle[f"part_{name}val"][tracks])
        error = jets.of_particle[f"part_{name}err"][tracks]
        for label, seen in (
            (f"{name} [mm]", size),
            (f"{name} over its error", size / error),
        ):
            at, errors = quantiles(
                seen, jets.owner[tracks], both.of_simulated, TRACK_SHARES
            )
            pairs = zip(at.tolist(), errors.tolist(), strict=True)
            found = [Measured(*pair) for pair in pairs]
            values.append({"observable": label, "quantiles": found})
            rows.append([label, *(f"{m.value:.3g} ± {m.error:.1g}" for m in found)])
    words = (
        "Sizes, of simulated tracks that have an error. No real jets with tracks are "
        "at hand, so these have no counterpart: of JetClass only the moments in the "
        "table of what jets are made of are known, and these are decided by far tails, "
        "which tanh flattens before training."
    )
    headers = ["observable", *(f"{share:.0%}" for share in TRACK_SHARES)]
    return Section("Displacement", words, TextTable(headers, rows), values)
