"""Tables of quantiles: kinematic spectra, and impact parameters."""

import numpy as np
from jaxtyping import Float, Int

from benchmarks.fidelity import observables
from benchmarks.fidelity.bootstrap import Estimate, quantiles
from benchmarks.fidelity.samples import Sample
from benchmarks.fidelity.tables import Bootstrap, Section
from jetlab.runs.report import TextTable

PROBABILITIES = (0.01, 0.05, 0.25, 0.50, 0.75, 0.95, 0.99)
TRACK_PROBABILITIES = (0.25, 0.50, 0.75, 0.95, 0.99)

Owned = tuple[Float[np.ndarray, "n"], Int[np.ndarray, "n"]]
"""Values, and the number of the jet that each belongs to."""


def spectra(both: Bootstrap) -> Section:
    rows, values = [], []
    for name, (ours, theirs) in paired(both).items():
        simulated = quantiles(*ours, both.simulated_times, PROBABILITIES)
        reference = quantiles(*theirs, both.reference_times, PROBABILITIES)
        pulls = (simulated[0] - reference[0]) / np.hypot(simulated[1], reference[1])
        cells = zip(simulated[0], reference[0], pulls, strict=True)
        rows.append([name, *(f"{a:.3g} / {b:.3g} ({c:+.1f})" for a, b, c in cells)])
        estimates = (map(Estimate, *each) for each in (simulated, reference))
        values += [
            {"observable": name, "probability": p, "simulated": a, "reference": b}
            | {"pull": float(c)}
            for p, a, b, c in zip(PROBABILITIES, *estimates, pulls, strict=True)
        ]
    large = sum(abs(row["pull"]) > 2 for row in values)
    explanation = (
        f"Simulated / reference (difference over its standard error, from a bootstrap "
        f"over the jets of both samples). {large} of {len(values)} differences exceed "
        f"two standard errors, where {0.046 * len(values):.0f} are expected of two "
        "equal samples; quantiles are correlated. The small reference sample dominates "
        "the errors. GeV, radians; multiplicities are smeared uniformly by ± 1/2."
    )
    headers = ["observable", *(f"{p:.0%}" for p in PROBABILITIES)]
    return Section(
        "Spectra by quantiles", explanation, TextTable(headers, rows), values
    )


def paired(both: Bootstrap) -> dict[str, tuple[Owned, Owned]]:
    """Every observable of the simulated and of the reference sample."""
    ours, theirs = _observables(both.simulated), _observables(both.reference)
    return {name: (ours[name], theirs[name]) for name in ours}


def _observables(jets: Sample) -> dict[str, Owned]:
    number = np.arange(len(jets.counts))
    of_jets = observables.of_jets(jets)
    of_jets["multiplicity"] += np.random.default_rng(0).uniform(-0.5, 0.5, len(number))
    particles = observables.of_particles(jets)
    return {name: (values, jets.owner) for name, values in particles.items()} | {
        name: (values, number) for name, values in of_jets.items()
    }


def displacement(both: Bootstrap) -> Section:
    """Quantiles of |d0| and |dz|; the reference sample has none."""
    jets, rows, values = both.simulated, [], []
    columns = jets.particle_columns
    tracks = ~np.isin(columns["species"], (1, 2))
    tracks &= columns["part_d0err"] > 0  # JetClass gives none to the softest
    for name in ("d0", "dz"):
        size = np.abs(columns[f"part_{name}val"][tracks])
        error = columns[f"part_{name}err"][tracks]
        for label, x in (
            (f"{name} [mm]", size),
            (f"{name} over its error", size / error),
        ):
            at, errors = quantiles(
                x, jets.owner[tracks], both.simulated_times, TRACK_PROBABILITIES
            )
            pairs = zip(at.tolist(), errors.tolist(), strict=True)
            estimates = [Estimate(*pair) for pair in pairs]
            values.append({"observable": label, "quantiles": estimates})
            rows.append([label, *(f"{e.value:.3g} ± {e.error:.1g}" for e in estimates)])
    explanation = (
        "Absolute values, of simulated tracks with an error above zero. The reference "
        "sample has no tracks; of JetClass only the moments in the table of the "
        "composition are known, which far tails dominate that tanh flattens before "
        "training."
    )
    headers = ["observable", *(f"{p:.0%}" for p in TRACK_PROBABILITIES)]
    return Section("Displacement", explanation, TextTable(headers, rows), values)
