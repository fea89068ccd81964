"""How far simulated jets are from those of JetClass.

    python benchmarks/fidelity.py --jets DIR --real FOLDER [--out FOLDER] [--quick]

DIR holds ROOT files as `jetlab simulate pythia --format root` writes them (or name the
files), FOLDER the 500 jets of JetClass whose kinematics are public as SMALL*.npy.
Prints multiplicities, masses, what jets are made of, spectra by quantiles, and the AUC
of classifiers that tell real from simulated kinematics; with --out, writes
fidelity.md, fidelity.json and the figures fidelity.png and fidelity.pdf. Nothing is
tuned on the real jets: the classifiers are scikit-learn's with its own settings.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks import fidelity_tables as tables
from benchmarks.fidelity_classifiers import (
    SEED,
    Tries,
    told_by_classifiers,
    told_by_one_observable,
)
from benchmarks.fidelity_content import content
from benchmarks.fidelity_figure import figure
from benchmarks.fidelity_spectra import displacement, spectra
from benchmarks.jet_samples import Sample, composed, per_class, real, simulated

POOL = 40
"""At most so many simulated jets for every real one, class by class."""


class Effort(NamedTuple):
    """Simulated jets read, real jets used of each class, draws of the bootstrap."""

    jets: int = 50_000
    real: int = 1_000
    bootstraps: int = 200
    tries: Tries = Tries(draws=4, nulls=8)


QUICK = Effort(500, 10, 30, Tries(draws=1, nulls=2))


class Alike(NamedTuple):
    """Simulated jets, of each class as many as real ones times one whole number."""

    simulated: Sample
    real: Sample


def alike(jets: Sample, theirs: Sample, most: int) -> Alike:
    """The jets of both, at most `most` real ones of each class.

    Raises ValueError where no class is in both.
    """
    wanted = np.minimum(np.minimum(per_class(jets), per_class(theirs)), most)
    if not wanted.any():
        raise ValueError("no class of the simulated jets is among the real ones")
    times = int((per_class(jets)[wanted > 0] // wanted[wanted > 0]).min())
    return Alike(composed(jets, min(times, POOL) * wanted), composed(theirs, wanted))


class Comparison(NamedTuple):
    sections: list[tables.Section]
    figure: Any


def compare(jets: Sample, theirs: Sample, effort: Effort) -> Comparison:
    rng = np.random.default_rng(SEED)
    pair = alike(jets, theirs, effort.real)
    both = tables.draws(*pair, effort.bootstraps, rng)
    sections = [
        tables.multiplicity(jets, theirs),
        tables.masses(jets, theirs, effort.bootstraps, rng),
        content(both),
        spectra(both),
        displacement(both),
        told_by_classifiers(*pair, effort.tries),
        told_by_one_observable(*pair),
    ]
    return Comparison(sections, figure(both, jets))


def plain(value: Any) -> Any:
    """Named tuples as objects, for JSON."""
    if hasattr(value, "_asdict"):
        return plain(value._asdict())
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, list) else value


def write(out: Path, text: str, found: Comparison) -> None:
    out.mkdir(parents=True, exist_ok=True)
    (out / "fidelity.md").write_text(text)
    values = {section.title: plain(section.values) for section in found.sections}
    (out / "fidelity.json").write_text(json.dumps(values, indent=1) + "\n")
    for kind in ("png", "pdf"):
        found.figure.savefig(out / f"fidelity.{kind}")
    print(f"wrote {out}/fidelity.md, .json, .png, .pdf")


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jets", type=Path, nargs="+", required=True, metavar="DIR")
    parser.add_argument("--real", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--out", type=Path, metavar="FOLDER")
    parser.add_argument("--quick", action="store_true", help="few jets and few draws")
    args = parser.parse_args(argv)
    effort = QUICK if args.quick else Effort()
    try:
        theirs, jets = real(args.real), simulated(args.jets, effort.jets)
        found = compare(jets, theirs, effort)
    except ValueError as error:
        parser.error(str(error))
    heading = (
        f"# Fidelity\n\n{len(jets.label):,} simulated jets of "
        f"{', '.join(map(str, args.jets))} beside {len(theirs.label)} of JetClass.\n"
    )
    text = "\n".join([heading, *(section.markdown() for section in found.sections)])
    print(text)
    if args.out:
        write(args.out, text, found)


if __name__ == "__main__":
    main()
