"""Simulated jets beside JetClass: multiplicities and masses.

Published multiplicities were measured on the files of JetClass (arXiv:2202.03772,
Zenodo 6619768); masses are those of the Particle Data Group, and of JetClass's H.
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from benchmarks import observables
from benchmarks.jet_samples import Sample, per_class
from benchmarks.resampling import (
    Measured,
    peak,
    times_drawn,
)
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
    """One table of the comparison, the same as raw numbers, and what it says."""

    title: str
    words: str
    grid: TextTable
    values: list[dict[str, Any]]

    def markdown(self) -> str:
        return f"## {self.title}\n\n{self.words}\n\n{self.grid.markdown()}\n"


class Draws(NamedTuple):
    """Simulated and real jets, and how often each is drawn, class by class."""

    simulated: Sample
    real: Sample
    of_simulated: Int[np.ndarray, "draws b"]
    of_real: Int[np.ndarray, "draws r"]


def draws(
    simulated: Sample, real: Sample, count: int, rng: np.random.Generator
) -> Draws:
    return Draws(
        simulated,
        real,
        times_drawn(simulated.label, count, rng),
        times_drawn(real.label, count, rng),
    )


def multiplicity(jets: Sample, real: Sample) -> Section:
    rows, values = [], []
    for k in np.flatnonzero(per_class(jets)):
        ours = _mean(jets.of_jet["jet_nparticles"][jets.label == k])
        of_class = real.counts[real.label == k]
        theirs = _mean(of_class) if len(of_class) else None
        share, error = ours.value / MULTIPLICITY[k], ours.error / MULTIPLICITY[k]
        verdict = _verdict(share, error)
        cells = [shown(ours, 2), f"{MULTIPLICITY[k]:.1f}", f"{share:.3f} ± {error:.3f}"]
        rows.append([CLASSES[k], *cells, verdict, shown(theirs, 1)])
        values.append(
            {"class": CLASSES[k], "simulated": ours, "JetClass": MULTIPLICITY[k]}
            | {"ratio": share, "error": error, "verdict": verdict, "real": theirs}
        )
    within = sum(row["verdict"] == "yes" for row in values)
    words = (
        f"{within} of {len(values)} classes lie within 5 % of JetClass; "
        "`open` where the border is less than one standard error away. The real jets "
        "at hand are those of --real, a small sample of the same."
    )
    headers = ["class", "simulated", "JetClass", "ratio", "within 5 %", "real at hand"]
    return Section("Mean multiplicity", words, TextTable(headers, rows), values)


def _verdict(share: float, error: float) -> str:
    room = TOLERANCE - abs(share - 1)
    return "open" if abs(room) < error else "yes" if room > 0 else "no"


def masses(jets: Sample, real: Sample, count: int, rng: np.random.Generator) -> Section:
    plain, theirs = (observables.of_jets(some)["mass"] for some in (jets, real))
    groomed: np.ndarray | None = jets.of_jet.get("jet_sdmass")
    rows, values = [], []
    for k in np.flatnonzero(per_class(jets)):
        own, name = jets.label == k, CLASSES[k]
        row: dict[str, Any] = {"class": name, "expected": MASSES.get(name)}
        for kind, mass in (("soft drop", groomed), ("plain", plain)):
            row[f"{kind} peak"] = None
            if name in MASSES and mass is not None:
                row[f"{kind} peak"] = peak(mass[own], count, rng)
        row["median"] = _median(plain[own], count, rng)
        row["median, real"] = _median(theirs[real.label == k], count, rng)
        values.append(row)
        expected = f"{row['expected']:.1f}" if row["expected"] else NONE
        found = [row[n] for n in list(row)[2:]]
        rows.append([name, expected, *(shown(m, 1) for m in found)])
        rows[-1].append(pull(row["median"], row["median, real"]))
    words = (
        "GeV. A peak is where the density of the masses, smoothed by a Gaussian of "
        "4 GeV, is highest between 40 and 240 GeV, with its bootstrap error; classes "
        "whose jets lose a neutrino have none to compare, nor has QCD. Neutrinos and "
        "what falls out of the cone put peaks below the masses. The last column is the "
        "difference of the medians over its error."
    )
    if groomed is None:
        words += " These files have no jet_sdmass, so the groomed mass is missing."
    headers = ["class", "pole", "soft-drop peak", "plain peak"]
    headers += ["plain median", "median, real jets", "σ"]
    return Section("Jet mass", words, TextTable(headers, rows), values)


def _median(
    values: Float[np.ndarray, "b"], count: int, rng: np.random.Generator
) -> Measured | None:
    if not len(values):
        return None
    chosen = rng.integers(len(values), size=(count, len(values)))
    errors = np.median(values[chosen], axis=1).std()
    return Measured(float(np.median(values)), float(errors))


def pull(one: Measured | None, other: Measured | None) -> str:
    """Their difference over its standard error."""
    if one is None or other is None or not (error := np.hypot(one.error, other.error)):
        return NONE
    return f"{(one.value - other.value) / error:+.1f}"


def _mean(values: np.ndarray) -> Measured:
    return Measured(float(values.mean()), float(values.std() / np.sqrt(len(values))))


def shown(found: Measured | None, digits: int) -> str:
    return formed(found, f".{digits}f")


def formed(found: Measured | None, form: str) -> str:
    if found is None:
        return NONE
    return f"{found.value:{form}} ± {found.error:{form}}"
