"""Simulated jets beside JetClass: species, shares of pT, spreads and means.

Published numbers were measured on the files of JetClass (arXiv:2202.03772, Zenodo
6619768), over all particles; those of neutral particles' tracks are zero.
"""

from collections.abc import Mapping

import numpy as np

from benchmarks import observables
from benchmarks.fidelity_tables import NONE, Draws, Section, formed, pull
from benchmarks.jet_samples import Sample
from benchmarks.resampling import Sums, mean, measured, ratio, spread
from jetlab.runs.report import TextTable
from jetlab.types import CLASSES, SPECIES

FRACTIONS = (0.470, 0.107, 0.408, 0.009, 0.006)


def content(both: Draws) -> Section:
    """Shares of species and of pT, spreads and means, beside the published."""
    ours, theirs = _statistics(both.simulated), _statistics(both.real)
    rows, values = [], []
    for name, (published, form) in _published().items():
        if name not in ours:
            continue
        mine = measured(ours[name], both.of_simulated)
        real = measured(theirs[name], both.of_real) if name in theirs else None
        row = {"quantity": name, "simulated": mine, "JetClass": published}
        values.append(row | {"real": real})
        off = f"{mine.value / published - 1:+.1%}" if published else NONE
        cells = [formed(mine, form), format(published, form) if published else NONE]
        rows.append([name, *cells, off, formed(real, form), pull(mine, real)])
    words = (
        "Class by class as many simulated jets as the real ones at hand have. Errors "
        "are those of the bootstrap over jets; JetClass's own are not published, and "
        "its numbers of pT, angles and multiplicity were measured on few jets. Per "
        "particle where nothing else is said; d0 and dz over all particles, neutral "
        "ones with zero. The last row: jets whose deta is measured from an eta other "
        "than that of their summed momentum. The last column is the simulated less the "
        "real jets over the error of that."
    )
    headers = ["quantity", "simulated", "JetClass", "off by", "real at hand", "σ"]
    return Section("What jets are made of", words, TextTable(headers, rows), values)


def _published() -> Mapping[str, tuple[float | None, str]]:
    """Published value, where there is one, and how it is written."""
    named = {
        f"{name.replace('_', ' ')}s": (share, ".4f")
        for name, share in zip(SPECIES, FRACTIONS, strict=True)
    }
    return named | {
        "pT in leading 10": (0.754, ".4f"),
        "pT in leading 40": (0.983, ".4f"),
        "jets of more than 40": (0.438, ".3f"),
        "beyond dR 0.8": (0.004, ".4f"),
        "sd of deta": (0.1992, ".4f"),
        "sd of dphi": (0.2045, ".4f"),
        "sd of d0 [mm]": (12.3, ".2f"),
        "sd of dz [mm]": (6.57, ".2f"),
        "mean d0 error [mm]": (0.0143, ".4f"),
        "mean dz error [mm]": (0.0371, ".4f"),
        "mean pT of QCD jets [GeV]": (629.0, ".1f"),
        "mean pT of Tbl jets [GeV]": (599.0, ".1f"),
        "jets with deta off by 1e-4": (None, ".3f"),
    }


def _statistics(jets: Sample) -> dict[str, Sums]:
    pt, seen = observables.pt_of(jets), observables.of_particles(jets)
    total, n = observables.summed(pt, jets), jets.counts
    place = np.arange(len(pt)) - jets.starts[jets.owner]

    def part(chosen: np.ndarray) -> np.ndarray:
        return observables.summed(chosen, jets)

    def width(x: np.ndarray) -> Sums:
        return spread(n, part(x), part(x**2))

    found = {
        f"pT in leading {k}": ratio(part(pt * (place < k)), total) for k in (10, 40)
    }
    found["jets of more than 40"] = mean(n > 40)
    found["beyond dR 0.8"] = ratio(part(seen["dR"] > 0.8), n)
    found |= {f"sd of {x}": width(seen[x]) for x in ("deta", "dphi")}
    jet_pt = observables.of_jets(jets)["pT"]
    for name in ("QCD", "Tbl"):
        own = jets.label == CLASSES.index(name)
        if own.any():
            found[f"mean pT of {name} jets [GeV]"] = ratio(jet_pt * own, own)
    found["jets with deta off by 1e-4"] = mean(observables.off_axis(jets) > 1e-4)
    for number, name in enumerate(SPECIES if jets.of_particle else ()):
        own = jets.of_particle["species"] == number
        found[f"{name.replace('_', ' ')}s"] = ratio(part(own), n)
    for axis in ("d0", "dz") if jets.of_particle else ():
        found[f"sd of {axis} [mm]"] = width(jets.of_particle[f"part_{axis}val"])
        error = part(jets.of_particle[f"part_{axis}err"])
        found[f"mean {axis} error [mm]"] = ratio(error, n)
    return found
