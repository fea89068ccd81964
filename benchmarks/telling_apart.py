"""How well a classifier tells two samples of jets apart, with an interval.

Its scores on a jet come from a model that has not seen it (five folds). The AUC is the
mean over folds, and over several draws of simulated jets against the same real ones.
Its 68 % interval is that of the bootstrap: draws are drawn anew, in each the simulated
jets, and the real jets (once for all draws), while the models stay as trained. This
leaves out that other jets would have trained other models, which matters little to the
variance of a cross-validated AUC (LeDell, Petersen and van der Laan, Electron. J.
Statist. 9 (2015) 1583); `null` checks it.
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
ENDS = (0.16, 0.84)

Make = Callable[[], Any]


class Auc(NamedTuple):
    value: float
    low: float
    high: float

    def holds(self, value: float) -> bool:
        return self.low <= value <= self.high


class Described(NamedTuple):
    """Numbers that describe jets, and the classes of these."""

    x: Float[np.ndarray, "b f"]
    label: Int[np.ndarray, "b"]

    def take(self, chosen: Int[np.ndarray, "i"]) -> "Described":
        return Described(self.x[chosen], self.label[chosen])


class Trial(NamedTuple):
    """Whether each simulated jet scores below each real one, 1/2 at equal scores, and
    whether both are of one fold."""

    below: Float[np.ndarray, "b b"]
    fold: Int[np.ndarray, "b"]


def boosting() -> Any:
    return HistGradientBoostingClassifier(random_state=0)


def logistic() -> Any:
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=2_000))


def drawn(
    pool: Described, like: Int[np.ndarray, "b"], rng: np.random.Generator
) -> Int[np.ndarray, "b"]:
    """As many jets of each class as `like` has, in its order of classes."""
    found = np.empty(len(like), np.int64)
    for k in np.unique(like):
        of_class = np.flatnonzero(pool.label == k)
        wanted = like == k
        found[wanted] = rng.choice(of_class, wanted.sum(), replace=False)
    return found


def told_apart(
    make: Make, real: Described, pool: Described, *, draws: int, seed: int
) -> Auc:
    """AUC of real jets against so many draws from a pool, class by class as many."""
    rng = np.random.default_rng(seed)
    trials = [
        _trial(make, real, pool.take(drawn(pool, real.label, rng)), rng)
        for _ in range(draws)
    ]
    size = (BOOTSTRAPS, len(real.label))
    of_real = _times(rng, size)
    repeated = [_auc(trial, of_real, _times(rng, size)) for trial in trials]
    chosen = rng.integers(draws, size=(draws, BOOTSTRAPS))
    spread = np.take_along_axis(np.stack(repeated), chosen, axis=0).mean(axis=0)
    once = np.ones((1, size[1]))
    value = np.mean([_auc(trial, once, once)[0] for trial in trials])
    return Auc(float(value), *map(float, np.quantile(spread, ENDS)))


def null(
    make: Make,
    pool: Described,
    like: Int[np.ndarray, "b"],
    *,
    draws: int,
    times: int,
    seed: int,
) -> list[Auc]:
    """The same with jets of the pool in the place of the real ones, several times."""
    rng = np.random.default_rng(seed)
    found = []
    for time in range(times):
        played = drawn(pool, like, rng)
        rest = pool.take(np.setdiff1d(np.arange(len(pool.label)), played))
        one = told_apart(make, pool.take(played), rest, draws=draws, seed=seed + time)
        found.append(one)
    return found


def _trial(
    make: Make, real: Described, other: Described, rng: np.random.Generator
) -> Trial:
    """Both in the same order of classes, so that a fold has as many of each."""
    fold = _folds(real.label, rng)
    x, y = np.concatenate([real.x, other.x]), np.repeat([1, 0], len(fold))
    twice, score = np.concatenate([fold, fold]), np.empty(2 * len(fold))
    for number in np.unique(fold):
        held = twice == number
        score[held] = make().fit(x[~held], y[~held]).decision_function(x[held])
    above = score[: len(fold), None] - score[None, len(fold) :]
    return Trial((np.sign(above) + 1) / 2, fold)


def _folds(label: Int[np.ndarray, "b"], rng: np.random.Generator) -> np.ndarray:
    """Folds of equal size, as equal as can be within every class."""
    shuffled = rng.permutation(len(label))
    in_classes = shuffled[np.argsort(label[shuffled], kind="stable")]
    fold = np.empty(len(label), np.int64)
    fold[in_classes] = np.arange(len(label)) % FOLDS
    return fold


def _times(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    draws, jets = size
    return rng.multinomial(jets, np.full(jets, 1 / jets), size=draws)


def _auc(
    trial: Trial, of_real: np.ndarray, of_other: np.ndarray
) -> Float[np.ndarray, "draws"]:
    """Mean over folds, where jets count so many times; (draws, jets)."""
    found = []
    for number in np.unique(trial.fold):
        held = trial.fold == number
        real, other = of_real[:, held], of_other[:, held]
        won = ((real @ trial.below[np.ix_(held, held)]) * other).sum(axis=1)
        found.append(won / (real.sum(axis=1) * other.sum(axis=1)))
    return np.mean(found, axis=0)
