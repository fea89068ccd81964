"""Classifier two-sample tests (Lopez-Paz and Oquab, arXiv:1610.06545) with intervals.

Jets are scored by models that were not trained on them (five folds). The AUC is the
mean over folds, and over several draws of simulated jets against the same reference
jets. Its 68 % interval is a bootstrap over the draws, over the simulated jets of each
draw and over the reference jets (the same for all draws); the trained models stay
fixed. Neglecting their variation matters little for the variance of a cross-validated
AUC (LeDell, Petersen and van der Laan, Electron. J. Statist. 9 (2015) 1583); `null`
tests the coverage.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

FOLDS = 5
BOOTSTRAPS = 400
INTERVAL = (0.16, 0.84)

MakeClassifier = Callable[[], Any]


class Auc(NamedTuple):
    value: float
    low: float
    high: float

    def contains(self, value: float) -> bool:
        return self.low <= value <= self.high


class Features(NamedTuple):
    """Classifier inputs, and the classes of the jets."""

    x: Float[np.ndarray, "b f"]
    label: Int[np.ndarray, "b"]

    def take(self, indices: Int[np.ndarray, "i"]) -> "Features":
        return Features(self.x[indices], self.label[indices])


class CrossValidation(NamedTuple):
    """Comparisons of the scores of all pairs of a reference and a simulated jet."""

    wins: Float[np.ndarray, "b b"]  # 1 where the reference scores higher, 1/2 for ties
    fold: Int[np.ndarray, "b"]  # of the jets in either sample


def boosting() -> Any:
    return HistGradientBoostingClassifier(random_state=0)


def logistic() -> Any:
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=2_000))


def draw(
    pool: Features, label: Int[np.ndarray, "b"], rng: np.random.Generator
) -> Int[np.ndarray, "b"]:
    """Jets of the pool without replacement, whose classes are `label`."""
    indices = np.empty(len(label), np.int64)
    for k in np.unique(label):
        wanted = label == k
        of_class = np.flatnonzero(pool.label == k)
        indices[wanted] = rng.choice(of_class, wanted.sum(), replace=False)
    return indices


def two_sample_auc(
    make: MakeClassifier,
    reference: Features,
    pool: Features,
    *,
    draws: int,
    seed: int,
) -> Auc:
    """AUC of the reference against several draws from the pool, of equal classes."""
    rng = np.random.default_rng(seed)
    runs = [
        _cross_validate(
            make, reference, pool.take(draw(pool, reference.label, rng)), rng
        )
        for _ in range(draws)
    ]
    size = (BOOTSTRAPS, len(reference.label))
    reference_times = _bootstrap_times(rng, size)
    resampled = [
        _auc(run, reference_times, _bootstrap_times(rng, size)) for run in runs
    ]
    chosen = rng.integers(draws, size=(draws, BOOTSTRAPS))
    means = np.take_along_axis(np.stack(resampled), chosen, axis=0).mean(axis=0)
    ones = np.ones((1, size[1]))
    value = np.mean([_auc(run, ones, ones)[0] for run in runs])
    return Auc(float(value), *map(float, np.quantile(means, INTERVAL)))


def null(
    make: MakeClassifier,
    pool: Features,
    label: Int[np.ndarray, "b"],
    *,
    draws: int,
    repetitions: int,
    seed: int,
) -> list[Auc]:
    """The same test under the null hypothesis: jets of the pool, with these classes,
    take the place of the reference."""
    rng = np.random.default_rng(seed)
    aucs = []
    for repetition in range(repetitions):
        taken = draw(pool, label, rng)
        rest = pool.take(np.setdiff1d(np.arange(len(pool.label)), taken))
        auc = two_sample_auc(
            make, pool.take(taken), rest, draws=draws, seed=seed + repetition
        )
        aucs.append(auc)
    return aucs


def _cross_validate(
    make: MakeClassifier,
    reference: Features,
    simulated: Features,
    rng: np.random.Generator,
) -> CrossValidation:
    """Both samples have the same classes in the same order: folds are balanced."""
    fold = _folds(reference.label, rng)
    x = np.concatenate([reference.x, simulated.x])
    y = np.repeat([1, 0], len(fold))
    both, score = np.concatenate([fold, fold]), np.empty(2 * len(fold))
    for number in np.unique(fold):
        test = both == number
        score[test] = make().fit(x[~test], y[~test]).decision_function(x[test])
    difference = score[: len(fold), None] - score[None, len(fold) :]
    return CrossValidation((np.sign(difference) + 1) / 2, fold)


def _folds(label: Int[np.ndarray, "b"], rng: np.random.Generator) -> np.ndarray:
    """Random folds, stratified by class; all sizes differ by one at most."""
    shuffled = rng.permutation(len(label))
    by_class = shuffled[np.argsort(label[shuffled], kind="stable")]
    fold = np.empty(len(label), np.int64)
    fold[by_class] = np.arange(len(label)) % FOLDS
    return fold


def _bootstrap_times(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """How often each (draw, jet) is drawn."""
    draws, jets = size
    return rng.multinomial(jets, np.full(jets, 1 / jets), size=draws)


def _auc(
    run: CrossValidation, reference_times: np.ndarray, simulated_times: np.ndarray
) -> Float[np.ndarray, "draws"]:
    """Mean AUC over folds with weighted jets; weights have shape (draws, jets)."""
    folds = []
    for number in np.unique(run.fold):
        test = run.fold == number
        reference, simulated = reference_times[:, test], simulated_times[:, test]
        wins = ((reference @ run.wins[np.ix_(test, test)]) * simulated).sum(axis=1)
        folds.append(wins / (reference.sum(axis=1) * simulated.sum(axis=1)))
    return np.mean(folds, axis=0)
