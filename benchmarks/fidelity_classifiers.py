"""Simulated jets beside real ones: what a classifier sees in their kinematics."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from benchmarks import observables
from benchmarks.fidelity_tables import NONE, Section
from benchmarks.jet_samples import Sample
from benchmarks.telling_apart import (
    Auc,
    Described,
    Make,
    boosting,
    logistic,
    null,
    told_apart,
)
from jetlab.physics.metrics import auc
from jetlab.runs.report import TextTable

SEED = 1
SHOWN = 10  # observables that differ most


class Tries(NamedTuple):
    """Draws of simulated jets for a classifier, and times they play the real ones."""

    draws: int
    nulls: int


class Judged(NamedTuple):
    """Real against simulated jets, and simulated against simulated, if enough."""

    auc: Auc
    nulls: list[Auc]

    @property
    def cells(self) -> list[str]:
        shown = f"{self.auc.value:.3f} ({self.auc.low:.3f}, {self.auc.high:.3f})"
        if not self.nulls:
            return [shown, "too few simulated jets", NONE]
        found = [each.value for each in self.nulls]
        error = np.std(found, ddof=1) / np.sqrt(len(found))
        held = sum(each.holds(0.5) for each in self.nulls)
        control = f"{np.mean(found):.3f} ± {error:.3f}"
        return [shown, control, f"{held} of {len(found)}"]


def told_by_classifiers(simulated: Sample, real: Sample, tries: Tries) -> Section:
    """Every class must have as many simulated jets as real ones, or a whole multiple
    of them; with at least two of them the control is run too."""
    described = {"observables": _by_hand, "leading 20 particles": observables.raw}
    rows, values = [], []
    for name, make, read in (
        ("boosted trees", boosting, "observables"),
        ("logistic regression", logistic, "observables"),
        ("boosted trees", boosting, "leading 20 particles"),
    ):
        pool, theirs = (
            Described(described[read](jets), jets.label) for jets in (simulated, real)
        )
        found = _judged(make, pool, theirs, tries)
        rows.append([f"{name}, {read}", *found.cells])
        values.append({"classifier": name, "input": read, **found._asdict()})
    size = len(real.label)
    words = (
        f"{size} real jets against {size} simulated ones with as many of each class, "
        f"which classifiers are not told. AUC: mean over 5 folds and {tries.draws} "
        "draws of simulated jets, with a 68 % interval by bootstrap over jets and "
        "draws; 0.5 is chance. More real jets would train better classifiers, so this "
        "is a lower limit of what can be told. In the control, simulated jets play the "
        "real ones: the mean AUC over several choices with its standard error, and how "
        "many of their intervals hold 0.5 (68 % should)."
    )
    headers = ["classifier, input", "AUC, real or simulated", "control", "hold 0.5"]
    return Section("Telling them apart", words, TextTable(headers, rows), values)


def told_by_one_observable(simulated: Sample, real: Sample) -> Section:
    """AUC of each observable by itself, those that differ most first."""
    ours, theirs = (observables.by_hand(jets) for jets in (simulated, real))
    n, m = len(real.label), len(simulated.label)
    error = float(np.sqrt((n + m + 1) / (12 * n * m)))
    found = {name: auc(theirs[name], ours[name]) for name in ours}
    falling = sorted(found, key=lambda name: -abs(found[name] - 0.5))
    values = [
        {"observable": name, "AUC": found[name], "off": (found[name] - 0.5) / error}
        for name in falling
    ]
    rows = [
        [row["observable"], f"{row['AUC']:.3f}", f"{row['off']:+.1f}"]
        for row in values[:SHOWN]
    ]
    words = (
        "AUC of one observable without training, above 0.5 where real jets have more "
        "of it, and its distance from 0.5 over the error that jets of one kind would "
        f"have; the {len(rows)} furthest of {len(found)}. The furthest of so many is "
        "at about 2.4 by chance, less as they hang together."
    )
    grid = TextTable(["observable", "AUC", "σ"], rows)
    return Section("Observables by themselves", words, grid, values)


def _by_hand(jets: Sample) -> Float[np.ndarray, "b f"]:
    return np.stack([*observables.by_hand(jets).values()], axis=1)


def _judged(make: Make, pool: Described, theirs: Described, tries: Tries) -> Judged:
    found = told_apart(make, theirs, pool, draws=tries.draws, seed=SEED)
    if len(pool.label) < 2 * len(theirs.label):
        return Judged(found, [])
    nulls = null(
        make, pool, theirs.label, draws=tries.draws, times=tries.nulls, seed=SEED
    )
    return Judged(found, nulls)
