"""Tables of multiplicities and masses, and what all tables of the comparison share.

Published multiplicities were measured on the files of JetClass (arXiv:2202.03772,
Zenodo 6619768); masses are those of the Particle Data Group, and of JetClass's H.
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from benchmarks.fidelity import observables
from benchmarks.fidelity.bootstrap import Estimate, multiplicities, peak
from benchmarks.fidelity.samples import Sample, counts_per_class
from jetlab.runs.report import TextTable
from jetlab.types import CLASSES

MULTIPLICITY = (35.2, 42.0, 38.4, 56.3, 48.5, 28.3, 33.9, 32.2, 50.9, 27.6)
TOLERANCE = 0.05
MASSES = {
    **dict.fromkeys(("Hbb", "Hcc", "Hgg", "H4q"), 125.0),
    **{"Zqq": 91.2, "Wqq": 80.4, "Tbqq": 172.5},
}
NONE = "–"


class Section(NamedTuple):
    """One table: as text with an explanation, and as raw numbers."""

    title: str
    explanation: str
    grid: TextTable
    values: list[dict[str, Any]]

    def markdown(self) -> str:
        return f"## {self.title}\n\n{self.explanation}\n\n{self.grid.markdown()}\n"


class Bootstrap(NamedTuple):
    """Both samples, and how often each draw, stratified by class, contains each jet."""

    simulated: Sample
    reference: Sample
    simulated_times: Int[np.ndarray, "draws b"]
    reference_times: Int[np.ndarray, "draws r"]


def bootstrap(
    simulated: Sample, reference: Sample, draws: int, rng: np.random.Generator
) -> Bootstrap:
    return Bootstrap(
        simulated,
        reference,
        multiplicities(simulated.label, draws, rng),
        multiplicities(reference.label, draws, rng),
    )


def multiplicity(simulated: Sample, reference: Sample) -> Section:
    rows, values = [], []
    for k in np.flatnonzero(counts_per_class(simulated)):
        of_class = simulated.jet_columns["jet_nparticles"][simulated.label == k]
        of_reference = reference.counts[reference.label == k]
        ours = _mean(of_class)
        theirs = _mean(of_reference) if len(of_reference) else None
        published = MULTIPLICITY[k]
        ratio, error = ours.value / published, ours.error / published
        verdict = _within_tolerance(ratio, error)
        cells = [shown(ours, 2), f"{published:.1f}", f"{ratio:.3f} ± {error:.3f}"]
        rows.append([CLASSES[k], *cells, verdict, shown(theirs, 1)])
        values.append(
            {"class": CLASSES[k], "simulated": ours, "JetClass": published}
            | {"ratio": ratio, "error": error, "verdict": verdict, "reference": theirs}
        )
    within = sum(row["verdict"] == "yes" for row in values)
    explanation = (
        f"{within} of {len(values)} classes agree with JetClass's published mean "
        "within 5 %; `open` where the ratio is less than one standard error from this "
        "limit. The last column is the small reference sample of --real."
    )
    headers = ["class", "simulated", "JetClass", "ratio", "within 5 %", "reference"]
    return Section("Mean multiplicity", explanation, TextTable(headers, rows), values)


def _within_tolerance(ratio: float, error: float) -> str:
    margin = TOLERANCE - abs(ratio - 1)
    return "open" if abs(margin) < error else "yes" if margin > 0 else "no"


def masses(
    simulated: Sample, reference: Sample, draws: int, rng: np.random.Generator
) -> Section:
    plain, theirs = (observables.of_jets(s)["mass"] for s in (simulated, reference))
    groomed: np.ndarray | None = simulated.jet_columns.get("jet_sdmass")
    rows, values = [], []
    for k in np.flatnonzero(counts_per_class(simulated)):
        own, name = simulated.label == k, CLASSES[k]
        row: dict[str, Any] = {"class": name, "expected": MASSES.get(name)}
        for kind, mass in (("soft drop", groomed), ("plain", plain)):
            row[f"{kind} peak"] = None
            if name in MASSES and mass is not None:
                row[f"{kind} peak"] = peak(mass[own], draws, rng)
        row["median"] = _median(plain[own], draws, rng)
        row["median, reference"] = _median(theirs[reference.label == k], draws, rng)
        values.append(row)
        expected = f"{row['expected']:.1f}" if row["expected"] else NONE
        estimates = [row[n] for n in list(row)[2:]]
        rows.append([name, expected, *(shown(m, 1) for m in estimates)])
        rows[-1].append(pull(row["median"], row["median, reference"]))
    explanation = (
        "GeV. A peak is the maximum between 40 and 240 GeV of the density smoothed by "
        "a Gaussian of 4 GeV, with its bootstrap error; QCD and classes with a "
        "neutrino have none. Neutrinos and particles outside the cone shift peaks "
        "below the pole masses. The last column is the difference of the medians over "
        "its standard error."
    )
    if groomed is None:
        explanation += " These files have no jet_sdmass: no groomed masses."
    headers = ["class", "pole", "soft-drop peak", "plain peak"]
    headers += ["plain median", "median, reference", "σ"]
    return Section("Jet mass", explanation, TextTable(headers, rows), values)


def _median(
    values: Float[np.ndarray, "b"], draws: int, rng: np.random.Generator
) -> Estimate | None:
    if not len(values):
        return None
    chosen = rng.integers(len(values), size=(draws, len(values)))
    error = np.median(values[chosen], axis=1).std()
    return Estimate(float(np.median(values)), float(error))


def pull(one: Estimate | None, other: Estimate | None) -> str:
    """Difference over its standard error."""
    if one is None or other is None or not (error := np.hypot(one.error, other.error)):
        return NONE
    return f"{(one.value - other.value) / error:+.1f}"


def _mean(values: np.ndarray) -> Estimate:
    return Estimate(float(values.mean()), float(values.std() / np.sqrt(len(values))))


def shown(estimate: Estimate | None, digits: int) -> str:
    return formatted(estimate, f".{digits}f")


def formatted(estimate: Estimate | None, spec: str) -> str:
    if estimate is None:
        return NONE
    return f"{estimate.value:{spec}} ± {estimate.error:{spec}}"
