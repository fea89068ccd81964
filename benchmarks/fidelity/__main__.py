"""How closely simulated jets agree with those of JetClass.

    python -m benchmarks.fidelity --jets DIR --real FOLDER [--out FOLDER] [--quick]

DIR holds ROOT files as `jetlab simulate pythia --format root` writes them (or name the
files), FOLDER the reference sample: the 500 jets of JetClass whose kinematics are
public as SMALL*.npy. Prints tables of multiplicities, masses, composition and
quantiles, and the AUC of classifiers trained to separate the two samples. With --out,
writes fidelity.md, fidelity.json and the figures fidelity.png and fidelity.pdf. No
parameter is tuned on the reference: the classifiers have scikit-learn's defaults.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.fidelity import tables
from benchmarks.fidelity.composition import composition
from benchmarks.fidelity.figure import figure
from benchmarks.fidelity.samples import (
    Sample,
    counts_per_class,
    first_per_class,
    read_reference,
    read_simulated,
)
from benchmarks.fidelity.separability import (
    SEED,
    Repetitions,
    classifiers,
    single_observables,
)
from benchmarks.fidelity.spectra import displacement, spectra

MAX_RATIO = 40
"""Largest number of simulated jets used per reference jet of a class."""


class Effort(NamedTuple):
    jets: int = 50_000  # simulated, read from the files
    per_class: int = 1_000  # reference jets used of each class
    bootstraps: int = 200
    repetitions: Repetitions = Repetitions(draws=4, nulls=8)


QUICK = Effort(500, 10, 30, Repetitions(draws=1, nulls=2))


class Balanced(NamedTuple):
    """Samples of equal class fractions: of each class, the simulated jets are the same
    whole multiple of the reference jets."""

    simulated: Sample
    reference: Sample


def balance(simulated: Sample, reference: Sample, per_class: int) -> Balanced:
    """The first jets of both samples, at most `per_class` reference jets of each class.

    Raises:
      ValueError: if the samples have no class in common.
    """
    available = counts_per_class(simulated)
    wanted = np.minimum(np.minimum(available, counts_per_class(reference)), per_class)
    if not wanted.any():
        raise ValueError("the simulated and the reference jets have no class in common")
    ratio = int((available[wanted > 0] // wanted[wanted > 0]).min())
    return Balanced(
        first_per_class(simulated, min(ratio, MAX_RATIO) * wanted),
        first_per_class(reference, wanted),
    )


class Comparison(NamedTuple):
    sections: list[tables.Section]
    figure: Any


def compare(simulated: Sample, reference: Sample, effort: Effort) -> Comparison:
    rng = np.random.default_rng(SEED)
    pair = balance(simulated, reference, effort.per_class)
    both = tables.bootstrap(*pair, effort.bootstraps, rng)
    sections = [
        tables.multiplicity(simulated, reference),
        tables.masses(simulated, reference, effort.bootstraps, rng),
        composition(both),
        spectra(both),
        displacement(both),
        classifiers(*pair, effort.repetitions),
        single_observables(*pair),
    ]
    return Comparison(sections, figure(both, simulated))


def plain(value: Any) -> Any:
    """Named tuples as objects, for JSON."""
    if hasattr(value, "_asdict"):
        return plain(value._asdict())
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, list) else value


def write(out: Path, text: str, comparison: Comparison) -> None:
    out.mkdir(parents=True, exist_ok=True)
    (out / "fidelity.md").write_text(text)
    values = {section.title: plain(section.values) for section in comparison.sections}
    (out / "fidelity.json").write_text(json.dumps(values, indent=1) + "\n")
    for kind in ("png", "pdf"):
        comparison.figure.savefig(out / f"fidelity.{kind}")
    print(f"wrote {out}/fidelity.md, .json, .png, .pdf")


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.fidelity",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--jets", type=Path, nargs="+", required=True, metavar="DIR")
    parser.add_argument("--real", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--out", type=Path, metavar="FOLDER")
    parser.add_argument("--quick", action="store_true", help="few jets and few draws")
    args = parser.parse_args(argv)
    effort = QUICK if args.quick else Effort()
    try:
        reference = read_reference(args.real)
        simulated = read_simulated(args.jets, effort.jets)
        comparison = compare(simulated, reference, effort)
    except ValueError as error:
        parser.error(str(error))
    heading = (
        f"# Fidelity\n\n{len(simulated.label):,} simulated jets of "
        f"{', '.join(map(str, args.jets))} and {len(reference.label)} of JetClass.\n"
    )
    text = "\n".join([heading, *(each.markdown() for each in comparison.sections)])
    print(text)
    if args.out:
        write(args.out, text, comparison)


if __name__ == "__main__":
    main()
