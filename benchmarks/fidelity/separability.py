"""Tables of how well simulated and reference jets can be separated by kinematics."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from benchmarks.fidelity import observables
from benchmarks.fidelity.samples import Sample
from benchmarks.fidelity.tables import NONE, Section
from benchmarks.fidelity.two_sample_test import (
    Auc,
    Features,
    MakeClassifier,
    boosting,
    logistic,
    null,
    two_sample_auc,
)
from jetlab.physics.metrics import auc
from jetlab.runs.report import TextTable

SEED = 1
NUM_SHOWN = 10
"""Observables in the table, those with the largest differences."""


class Repetitions(NamedTuple):
    draws: int  # of simulated jets for one test
    nulls: int  # tests under the null hypothesis


class Separability(NamedTuple):
    """Reference against simulated jets; and, where there are enough, simulated against
    simulated jets."""

    auc: Auc
    nulls: list[Auc]

    @property
    def cells(self) -> list[str]:
        shown = f"{self.auc.value:.3f} ({self.auc.low:.3f}, {self.auc.high:.3f})"
        if not self.nulls:
            return [shown, "too few simulated jets", NONE]
        aucs = [each.value for each in self.nulls]
        error = np.std(aucs, ddof=1) / np.sqrt(len(aucs))
        covered = sum(each.contains(0.5) for each in self.nulls)
        control = f"{np.mean(aucs):.3f} ± {error:.3f}"
        return [shown, control, f"{covered} of {len(aucs)}"]


def classifiers(
    simulated: Sample, reference: Sample, repetitions: Repetitions
) -> Section:
    """Classifier two-sample tests. `simulated` has a whole multiple of the reference's
    jets in every class; the control needs twice as many at least."""
    inputs = {"observables": _engineered, "leading 20 particles": observables.leading}
    rows, values = [], []
    for name, make, read in (
        ("boosted trees", boosting, "observables"),
        ("logistic regression", logistic, "observables"),
        ("boosted trees", boosting, "leading 20 particles"),
    ):
        pool, theirs = (
            Features(inputs[read](jets), jets.label) for jets in (simulated, reference)
        )
        result = _test(make, pool, theirs, repetitions)
        rows.append([f"{name}, {read}", *result.cells])
        values.append({"classifier": name, "input": read, **result._asdict()})
    size = len(reference.label)
    explanation = (
        f"{size} reference jets against {size} simulated jets of the same classes, "
        "which are no input. AUC: mean over 5 folds and "
        f"{repetitions.draws} draws of simulated jets, with a 68 % bootstrap interval; "
        "0.5 is chance. With more reference jets the classifiers would improve, so the "
        "AUC is a lower limit on the separability. Control: simulated jets in place of "
        "the reference; mean AUC with its standard error, and number of intervals that "
        "contain 0.5 (68 % should)."
    )
    headers = ["classifier, input", "AUC", "AUC of the control", "contain 0.5"]
    grid = TextTable(headers, rows)
    return Section("Classifier two-sample tests", explanation, grid, values)


def single_observables(simulated: Sample, reference: Sample) -> Section:
    """AUC of each observable, the largest differences first."""
    ours, theirs = (observables.engineered(jets) for jets in (simulated, reference))
    n, m = len(reference.label), len(simulated.label)
    error = float(np.sqrt((n + m + 1) / (12 * n * m)))
    aucs = {name: auc(theirs[name], ours[name]) for name in ours}
    ordered = sorted(aucs, key=lambda name: -abs(aucs[name] - 0.5))
    values = [
        {"observable": name, "AUC": aucs[name], "pull": (aucs[name] - 0.5) / error}
        for name in ordered
    ]
    rows = [
        [row["observable"], f"{row['AUC']:.3f}", f"{row['pull']:+.1f}"]
        for row in values[:NUM_SHOWN]
    ]
    explanation = (
        "AUC of one observable without training, above 0.5 where reference jets have "
        "larger values, and its distance from 0.5 over the standard error under the "
        f"null hypothesis; the {len(rows)} largest of {len(aucs)}. The largest of "
        f"{len(aucs)} independent ones would be about 2.4; these are correlated."
    )
    grid = TextTable(["observable", "AUC", "σ"], rows)
    return Section("Single observables", explanation, grid, values)


def _engineered(jets: Sample) -> Float[np.ndarray, "b f"]:
    return np.stack([*observables.engineered(jets).values()], axis=1)


def _test(
    make: MakeClassifier, pool: Features, reference: Features, repetitions: Repetitions
) -> Separability:
    draws = repetitions.draws
    found = two_sample_auc(make, reference, pool, draws=draws, seed=SEED)
    if len(pool.label) < 2 * len(reference.label):
        return Separability(found, [])
    nulls = null(
        make, pool, reference.label,
        draws=draws, repetitions=repetitions.nulls, seed=SEED,
    )  # fmt: skip
    return Separability(found, nulls)
