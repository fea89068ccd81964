"""Table of the composition of jets: species, pT fractions, spreads and means.

Published numbers were measured on the files of JetClass (arXiv:2202.03772, Zenodo
6619768), over all particles; impact parameters of neutral particles are zero.
"""

from collections.abc import Mapping

import numpy as np

from benchmarks.fidelity import observables
from benchmarks.fidelity.bootstrap import (
    Statistic,
    estimate,
    mean,
    ratio,
    standard_deviation,
)
from benchmarks.fidelity.samples import Sample
from benchmarks.fidelity.tables import NONE, Bootstrap, Section, formatted, pull
from jetlab.runs.report import TextTable
from jetlab.types import CLASSES, SPECIES

SPECIES_FRACTIONS = (0.470, 0.107, 0.408, 0.009, 0.006)


def composition(both: Bootstrap) -> Section:
    """All statistics of both samples beside the published values."""
    ours, theirs = _statistics(both.simulated), _statistics(both.reference)
    rows, values = [], []
    for name, (published, spec) in _published().items():
        if name not in ours:
            continue
        simulated, reference = estimate(ours[name], both.simulated_times), None
        if name in theirs:
            reference = estimate(theirs[name], both.reference_times)
        row = {"quantity": name, "simulated": simulated, "JetClass": published}
        values.append(row | {"reference": reference})
        difference = f"{simulated.value / published - 1:+.1%}" if published else NONE
        cells = [formatted(simulated, spec)]
        cells += [format(published, spec) if published else NONE, difference]
        cells += [formatted(reference, spec), pull(simulated, reference)]
        rows.append([name, *cells])
    explanation = (
        "Class fractions of the simulated jets are those of the reference. Errors are "
        "from a bootstrap over jets; JetClass's own are not published, and its values "
        "for pT, angles and multiplicity were measured on few jets. Fractions are per "
        "particle unless stated; d0 and dz include neutral particles, as zero. The "
        "last row counts jets whose deta refers to another axis than the summed "
        "momentum. The last column is the difference of simulated and reference jets "
        "over its standard error."
    )
    headers = ["quantity", "simulated", "JetClass", "difference", "reference", "σ"]
    return Section("Composition", explanation, TextTable(headers, rows), values)


def _published() -> Mapping[str, tuple[float | None, str]]:
    """Published value, if any, and format of each quantity."""
    species = {
        f"{name.replace('_', ' ')}s": (fraction, ".4f")
        for name, fraction in zip(SPECIES, SPECIES_FRACTIONS, strict=True)
    }
    return species | {
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


def _statistics(jets: Sample) -> dict[str, Statistic]:
    pt, particle = observables.pt_of(jets), observables.of_particles(jets)
    n, jet_pt = jets.counts, observables.of_jets(jets)["pT"]
    total_pt = observables.summed(pt, jets)
    rank = np.arange(len(pt)) - jets.starts[jets.owner]
    statistics = {
        f"pT in leading {k}": ratio(observables.summed(pt * (rank < k), jets), total_pt)
        for k in (10, 40)
    }
    statistics["jets of more than 40"] = mean(n > 40)
    beyond = observables.summed(particle["dR"] > 0.8, jets)
    statistics["beyond dR 0.8"] = ratio(beyond, n)
    statistics |= {f"sd of {x}": _spread(particle[x], jets) for x in ("deta", "dphi")}
    for name in ("QCD", "Tbl"):
        own = jets.label == CLASSES.index(name)
        if own.any():
            statistics[f"mean pT of {name} jets [GeV]"] = ratio(jet_pt * own, own)
    off_axis = observables.off_axis(jets) > 1e-4
    statistics["jets with deta off by 1e-4"] = mean(off_axis)
    return statistics | (_particle_statistics(jets) if jets.particle_columns else {})


def _particle_statistics(jets: Sample) -> dict[str, Statistic]:
    """Of files that have species and impact parameters."""
    columns, statistics = jets.particle_columns, {}
    for number, name in enumerate(SPECIES):
        of_species = observables.summed(columns["species"] == number, jets)
        statistics[f"{name.replace('_', ' ')}s"] = ratio(of_species, jets.counts)
    for axis in ("d0", "dz"):
        statistics[f"sd of {axis} [mm]"] = _spread(columns[f"part_{axis}val"], jets)
        error = observables.summed(columns[f"part_{axis}err"], jets)
        statistics[f"mean {axis} error [mm]"] = ratio(error, jets.counts)
    return statistics


def _spread(x: np.ndarray, jets: Sample) -> Statistic:
    sums = (observables.summed(values, jets) for values in (x, x**2))
    return standard_deviation(jets.counts, *sums)
